package station

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
	"station-agent/store/record"
)

// taping is a bench that is recorded, with a scanner that puts S1 before each code, buttons and an antenna.
type taping struct {
	*rig
	tape  *Tape
	ports map[string]*tap
	table map[string]record.Value
	r     *rand.Rand
	used  map[string]record.Use
}

func newTaping(t *testing.T, tape *Tape, r *rand.Rand) *taping {
	w := &taping{rig: &rig{done: make(chan struct{})}, tape: tape, ports: map[string]*tap{}, table: map[string]record.Value{}, r: r, used: map[string]record.Use{}}
	own := rules
	own.Pseudonym = func(badge string) string { return "cafe0" + strings.TrimPrefix(badge, "B-") }
	own.Way = []Way{LabelFirst, LabelFirst, ItemsFirst, Sweep}[r.IntN(4)]
	own.Together, own.AllowElsewhere, own.TimeOut, own.ReuseLabels = r.IntN(3) == 0, r.IntN(3) == 0, 40*time.Second, r.IntN(2) == 0
	booted := time.Now().Add(-time.Hour)
	stamp := func() record.Stamp { return record.Stamp{Boot: "boot", Mono: time.Since(booted)} }
	for n := range 8 {
		w.table[hash(string(rune('a'+n)))] = nil
	}
	tape.Readers = []TapedReader{{Name: "scanner", Kind: Barcode, Prefix: "S1"}, {Name: "antenna", Kind: RFID}, {Name: "buttons", Kind: Buttons}}
	w.Bench = NewBench(Config{Rules: own, Labels: labels{used: w.used}, Stamp: stamp, Tape: tape}, &w.memory, NewPicture(3*time.Second), &w.witness)
	card := rand.New(rand.NewPCG(r.Uint64(), 1)) // asked by the bench
	w.memory.before = func() error {
		if card.IntN(40) == 0 {
			return errors.New("the card is full")
		}
		return nil
	}
	for _, reader := range tape.Readers {
		e := &ear{ctx: t.Context(), name: reader.Name, codec: &codec.Line{Config: codec.Config{Reader: reader.Name, Prefix: reader.Prefix}}, reads: w.Reads(), kind: reader.Kind}
		w.ports[reader.Name] = &tap{to: e, tape: tape, reader: reader}
		e.saw = w.ports[reader.Name].saw
	}
	w.rows()
	return w
}

// rows reads the table, in which others write too.
func (w *taping) rows() {
	read := record.Reading{Began: time.Now()}
	for _, h := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		row := record.Row{Hash: hash(h), EAN: fmt.Sprint(400 + int(h[0]-97)/2), Package: w.table[hash(h)], EPCs: []string{"T-" + h}}
		switch w.r.IntN(20) {
		case 0:
			row.Away = true
			read.Away = append(read.Away, row)
		case 1:
			read.None = append(read.None, row.Hash)
		default:
			read.Here = append(read.Here, row)
		}
	}
	w.picture.Replace(read)
}

// says sends bytes in pieces.
func (w *taping) says(reader, text string) {
	for len(text) > 0 {
		n := 1 + w.r.IntN(len(text))
		w.ports[reader].Feed([]byte(text[:n]))
		text = text[n:]
	}
}

func (w *taping) item() string { return hash(string(rune('a' + w.r.IntN(9)))) }

// step lets one thing happen.
func (w *taping) step() {
	defer w.sync() // what was read here is read before the bench goes on
	switch n := w.r.IntN(30); {
	case n < 6:
		w.says("scanner", "S1"+w.item()+"\r\n")
	case n < 9:
		w.says("scanner", fmt.Sprintf("S1P-%d\r\n", w.r.IntN(5)))
	case n < 13:
		codes := []string{"CLOSE", "UNDO", "REMOVE", "CLEAR", "CANCEL", "OVERRIDE", "LAST", "ASIDE", "STATUS", "B-1", "B-2", "B-1"}
		w.says("scanner", "S1"+codes[w.r.IntN(len(codes))]+"\r\n")
	case n < 15:
		w.says("antenna", fmt.Sprintf("T-%c\n", 'a'+w.r.IntN(8)))
	case n == 15:
		w.says("buttons", []string{"close\n", "undo\n", "nonsense\n"}[w.r.IntN(3)])
	case n == 16: // half a badge, and then nothing; no prefix; no UTF-8
		w.says("scanner", []string{"S1B-", "B-1\r\n", "S1\xff\xfe\r\n", strings.Repeat("S1CLOSE", 40) + "\r\n"}[w.r.IntN(4)])
		w.ports["scanner"].Idle()
	case n == 17:
		w.ports["scanner"].Gone()
	case n < 21:
		time.Sleep(time.Duration(w.r.IntN(12)) * time.Second)
	case n < 25:
		w.rows()
	case n == 25:
		w.table[w.item()] = []record.Value{nil, val("F"), val("P-1")}[w.r.IntN(3)]
	case n == 26 && len(w.memory.state.Parked) > 0:
		_ = w.Bench.Retry(context.Background(), w.memory.state.Parked[0].ID)
	default:
		w.settle()
	}
	time.Sleep(time.Duration(w.r.IntN(900)) * time.Millisecond)
	w.sync()
	for _, s := range w.shown {
		if s.Step == record.Opened || s.Step == record.Closed {
			w.used[s.Package] = record.Use{Package: s.Package, At: w.stamp()}
		}
	}
}

func (w *taping) settle() {
	if len(w.memory.state.Open) == 0 {
		return
	}
	i := w.memory.state.Open[w.r.IntN(len(w.memory.state.Open))]
	o := record.Outcome{Intent: i.ID, Result: []record.Result{record.Settled, record.Settled, record.SameValue, record.OtherValue, record.NoSuchRow}[w.r.IntN(5)]}
	switch o.Result {
	case record.Settled, record.SameValue:
		w.table[i.Hash] = i.Package
	case record.OtherValue:
		o.Found = val("F")
		w.table[i.Hash] = val("F")
	}
	before := w.memory.before
	w.memory.before = nil
	_, _ = w.memory.Append(record.Entry{Outcome: &o})
	w.memory.before = before
	w.Ended(o, i)
}

// recorded writes the tape and plays it.
func (w *taping) recorded(t *testing.T) (file string, answers []Answer) {
	t.Helper()
	var b bytes.Buffer
	if err := w.tape.Write(&b); err != nil {
		t.Fatal(err)
	}
	file = b.String()
	if err := Replay(&b, func(a Answer) { answers = append(answers, a) }); err != nil {
		t.Fatal(err)
	}
	return file, answers
}

// TestARecordingRunsAgainWithTheSameVerdicts records random shifts, with full cards, restless rows and restarts of the half.
func TestARecordingRunsAgainWithTheSameVerdicts(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			small := seed%3 == 0
			w := newTaping(t, &Tape{Max: map[bool]int{true: 40_000, false: 10 << 20}[small]}, r)
			w.start(t)
			for range 150 {
				w.step()
			}
			file, answers := w.recorded(t)
			w.stop()
			told := slices.DeleteFunc(slices.Clone(w.shown), func(s record.Scan) bool { return s.Verdict == record.Fault && s.Reader == clockReader && s.Code == "" })
			if !small && len(answers) != len(told) || small && (len(answers) == 0 || len(answers) >= len(told)) || len(file) > 40<<20 {
				t.Errorf("seed %d: %d answers for %d verdicts, %d bytes", seed, len(answers), len(told), len(file))
			}
			for _, a := range answers {
				if a.Differ != "" {
					t.Fatalf("seed %d, at %v: %s\nthen %+v\nnow  %+v", seed, a.At, a.Differ, a.Then, a.Now)
				}
				kinds[string(a.Now.Verdict)]++
			}
			for _, secret := range []string{"B-1", "B-2", "CLOSE", "OVERRIDE", "S1B-"} {
				if strings.Contains(file, secret) || strings.Contains(plainBytes(t, file), secret) {
					t.Fatalf("seed %d: %q is in the recording", seed, secret)
				}
			}
		})
	}
	for _, v := range []record.Verdict{record.Accepted, record.AcceptedOffline, record.Waiting, record.Duplicate, record.Misread, record.Unknown, record.Conflict, record.NoPackage, record.Question, record.TimedOut} {
		if kinds[string(v)] == 0 {
			t.Errorf("no verdict %q among %v: the shifts show too little", v, kinds)
		}
	}
}

// plainBytes is all that the readers said, of each reader by itself.
func plainBytes(t *testing.T, file string) string {
	t.Helper()
	said := map[string]string{}
	for line := range strings.Lines(file) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Heard != nil {
			said[e.Heard.Reader] += string(e.Heard.Bytes)
		}
		if e.Asked != nil && e.Asked.Tag != nil {
			said["tags"] += string(e.Asked.Tag.Raw) + "\n"
		}
		if e.Told != nil {
			said["told"] += string(e.Told.Scan.Raw) + "\n"
		}
	}
	return said["scanner"] + "\n" + said["antenna"] + "\n" + said["tags"] + said["told"]
}

// TestAChangedRecordingDiffers spoils what a recording says in one place each.
func TestAChangedRecordingDiffers(t *testing.T) {
	for name, c := range map[string]struct{ was, is, differ string }{
		"a verdict":       {`"verdict":"accepted","step":"added"`, `"verdict":"accepted","step":"closed"`, "step"},
		"the bytes":       {`"bytes":"` + base64Of("S1"+hash("b")+"\r"), `"bytes":"` + base64Of("S1"+hash("c")+"\r"), "code"},
		"a row":           {`"hash":"` + hash("b") + `","ean":"401"`, `"hash":"` + hash("x") + `","ean":"401"`, "verdict"},
		"a label unknown": {`"uses":{"P-1":null}`, `"uses":{"P-2":null}`, "label P-1 was not asked then"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTaping(t, &Tape{}, rand.New(rand.NewPCG(0, 0)))
				w.rules.Way, w.rules.Together, w.memory.before = LabelFirst, false, nil
				w.picture.Replace(record.Reading{Began: time.Now(), Here: []record.Row{rowOf(hash("a"), "400", "-"), rowOf(hash("b"), "401", "-")}})
				w.start(t)
				for _, code := range []string{"P-1", hash("a"), hash("b"), "CLOSE"} {
					w.ports["scanner"].Feed([]byte("S1" + code + "\r"))
					time.Sleep(time.Second)
					w.sync()
				}
				file, answers := w.recorded(t)
				w.stop()
				for _, a := range answers {
					if a.Differ != "" {
						t.Fatal("unspoilt:", a.Differ)
					}
				}
				if strings.Count(file, c.was) == 0 {
					t.Fatalf("%s is not in\n%s", c.was, file)
				}
				var differ []string
				if err := Replay(strings.NewReader(strings.Replace(file, c.was, c.is, 1)), func(a Answer) { differ = append(differ, a.Differ) }); err != nil {
					t.Fatal(err)
				}
				if all := strings.Join(differ, "|"); !strings.Contains(all, c.differ) {
					t.Errorf("differs in %q, want %q", all, c.differ)
				}
			})
		})
	}
}

func base64Of(s string) string {
	b, _ := json.Marshal([]byte(s))
	return strings.Trim(string(b), `"=`)[:len(s)] // without the last, which a neighbour may share
}

func TestATapeStaysWithinItsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100_000
		w := newTaping(t, &Tape{Max: most}, rand.New(rand.NewPCG(1, 1)))
		w.memory.before = nil
		for range 3000 { // the bench doesn't run yet
			w.tape.hear(Heard{Bytes: make([]byte, 1000)}, TapedReader{Name: "scanner"})
		}
		if w.tape.now.size != 0 || w.tape.now.lost != 0 {
			t.Errorf("%d bytes kept, %d lost before there is a start", w.tape.now.size, w.tape.now.lost)
		}
		w.start(t)
		for range 3000 { // the bench idles: it turns the tape only when something happens
			w.tape.hear(Heard{Bytes: make([]byte, 1000)}, TapedReader{Name: "scanner"})
		}
		if n := w.tape.now.size; n > most+2000 || n < most/2 || w.tape.now.lost == 0 {
			t.Errorf("%d bytes kept of a flood, %d lost", n, w.tape.now.lost)
		}
		for n := range 2000 {
			w.says("scanner", fmt.Sprintf("S1X%d\r\n", n))
			time.Sleep(time.Second)
			w.rows()
			w.sync()
			if n := w.tape.now.size + w.tape.before.size; n > 2*most+4000 {
				t.Fatalf("%d bytes", n)
			}
		}
		if w.tape.now.lost+w.tape.before.lost != 0 || w.tape.before.start == nil {
			t.Errorf("%d lost though the bench goes on", w.tape.now.lost)
		}
		w.stop()
	})
}

// TestANightOfTheSameRowsTakesNoRoom reads them each second.
func TestANightOfTheSameRowsTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaping(t, &Tape{}, rand.New(rand.NewPCG(1, 1)))
		w.start(t)
		read := record.Reading{Here: []record.Row{rowOf(hash("a"), "400", "-")}}
		for range 8 * 3600 {
			time.Sleep(time.Second)
			read.Began = time.Now()
			w.picture.Replace(read)
		}
		synctest.Wait() // the bench looks at the rows, too
		if n := len(w.tape.now.events); n > 2 {
			t.Errorf("%d events", n)
		}
		w.stop()
	})
}

func TestWhoFollowsHearsOneReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTaping(t, &Tape{}, rand.New(rand.NewPCG(1, 1)))
		w.start(t)
		heard := make(chan Heard, 2)
		end := w.tape.Follow("scanner", heard)
		w.ports["antenna"].Feed([]byte("T-a\n"))
		w.ports["scanner"].Feed([]byte("S1B-1\r"))
		w.ports["scanner"].Feed([]byte("S1" + hash("a") + "\r"))
		w.ports["scanner"].Feed([]byte("S1" + hash("b") + "\r")) // no room: nobody waits
		end()
		w.ports["scanner"].Feed([]byte("S1" + hash("c") + "\r"))
		close(heard)
		var got []string
		for h := range heard {
			got = append(got, fmt.Sprintf("%q %q", h.Bytes, h.Read[0].Code))
		}
		if want := []string{`"S1badge:cafe01\r" "badge:cafe01"`, fmt.Sprintf("%q %q", "S1"+hash("a")+"\r", hash("a"))}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		w.sync()
		w.stop()
	})
}

func TestWhatIsNoRecording(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "no start",
		"x\n":                     "line 1",
		`{"at":1,"told":{}}`:      "no start",
		`{"at":1,"start":{"rules`: "line 1",
	} {
		if err := Replay(strings.NewReader(text), func(Answer) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// BenchmarkTape is one scan of an item from the last byte to the verdict, with a journal in memory, with a tape and without.
func BenchmarkTape(b *testing.B) {
	for name, tape := range map[string]*Tape{"none": nil, "kept": {Readers: []TapedReader{{Name: "scanner"}}}} {
		b.Run(name, func(b *testing.B) {
			booted := time.Now().Add(-time.Hour)
			stamp := func() record.Stamp { return record.Stamp{Boot: "boot", Mono: time.Since(booted)} }
			p := NewPicture(time.Hour)
			var rows []record.Row
			for n := range 500 {
				rows = append(rows, rowOf(fmt.Sprintf("%032d", n), fmt.Sprint(n), "-"))
			}
			bench := NewBench(Config{Rules: rules, Stamp: stamp, Labels: labels{used: map[string]record.Use{}}, Tape: tape}, forgetful{}, p, silent{})
			p.Replace(record.Reading{Here: rows, Began: time.Now()})
			if tape != nil {
				tape.turn(bench.taped())
			}
			e := &ear{ctx: b.Context(), name: "scanner", codec: &codec.Line{Config: codec.Config{Reader: "scanner"}}, reads: bench.Reads(), kind: Barcode}
			var sink serial.Sink = e
			if tape != nil {
				t := &tap{to: e, tape: tape, reader: tape.Readers[0]}
				e.saw, sink = t.saw, t
			}
			one := func(code string) {
				sink.Feed([]byte(code + "\r"))
				if err := bench.judge(<-bench.reads); err != nil {
					b.Fatal(err)
				}
				if tape.full() {
					tape.turn(bench.taped())
				}
			}
			one("P-1")
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				one(fmt.Sprintf("%032d", n%2)) // in it already after the first of each: the session stays small
			}
		})
	}
}

// forgetful is a Journal, silent a Panel.
type (
	forgetful struct{}
	silent    struct{}
)

func (forgetful) Append(e record.Entry) (record.Entry, error) { return e, nil }
func (forgetful) Retry(uint64) ([]record.Intent, error)       { return nil, nil }
func (silent) Show(record.Scan, time.Duration)                {}
func (silent) Resume(record.Session)                          {}
func (silent) CallBack(record.Parked)                         {}

// TestABurstBehindHalfACodeIsKeptWhole, as it comes from a port when the bench was held up.
func TestABurstBehindHalfACodeIsKeptWhole(t *testing.T) {
	tape, heard := &Tape{}, make(chan Heard, 1)
	tape.Follow("scanner", heard)
	e := &ear{ctx: t.Context(), name: "scanner", codec: &codec.Line{}, reads: make(chan Read, 1024)}
	port := &tap{to: e, tape: tape, reader: TapedReader{Name: "scanner"}}
	e.saw = port.saw
	port.Feed([]byte("PKG-4"))
	rest := "711\r" + strings.Repeat("P-1\r", (mostHeld-4)/4)
	port.Feed([]byte(rest))
	if got := string((<-heard).Bytes); got != "PKG-4"+rest {
		t.Errorf("%d bytes, which begin with %.20q", len(got), got)
	}
}
