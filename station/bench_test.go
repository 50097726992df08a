package station

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station/presence"
	"station-agent/store/record"
)

// memory is a Journal in memory.
type memory struct {
	mu      sync.Mutex
	state   record.State
	entries []record.Entry
	before  func() error // called before an entry is taken; its error is Append's
}

func (m *memory) Append(e record.Entry) (record.Entry, error) {
	if m.before != nil {
		if err := m.before(); err != nil {
			return record.Entry{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Seq = m.state.Seq + 1
	for n := range e.Intents {
		e.Intents[n].ID, e.Intents[n].Scan = m.state.Intent+uint64(n)+1, e.Seq
	}
	m.state.Apply(e)
	m.entries = append(m.entries, e)
	return e, nil
}

func (m *memory) Retry(id uint64) ([]record.Intent, error) {
	for _, p := range m.state.Parked {
		if p.ID == id {
			p.Intent.ID = 0
			e, err := m.Append(record.Entry{Intents: []record.Intent{p.Intent}})
			return e.Intents, err
		}
	}
	return nil, errors.New("not parked")
}

// witness is a Panel.
type witness struct {
	shown   []record.Scan
	took    []time.Duration
	resumed []record.Session
	called  []record.Parked
	onShow  func(record.Scan)
}

func (w *witness) Show(s record.Scan, took time.Duration) {
	if w.onShow != nil {
		w.onShow(s)
	}
	w.shown, w.took = append(w.shown, s), append(w.took, took)
}
func (w *witness) Resume(s record.Session)  { w.resumed = append(w.resumed, s) }
func (w *witness) CallBack(p record.Parked) { w.called = append(w.called, p) }

// verdicts shows what was shown.
func (w *witness) verdicts() string {
	var out []string
	for _, s := range w.shown {
		out = append(out, string(s.Verdict))
	}
	return strings.Join(out, ", ")
}

// rig is a running bench inside a synctest bubble.
type rig struct {
	*Bench
	memory
	witness
	cancel context.CancelFunc
	reader int
	err    error         // of Run
	done   chan struct{} // Run has returned
}

func newRig(t *testing.T, start record.State) *rig {
	r := &rig{done: make(chan struct{})}
	r.memory.state = start.Clone()
	p := NewPicture(3 * time.Second)
	p.Replace(record.Reading{Here: []record.Row{rowOf(hash("a"), "400", "-"), rowOf(hash("b"), "401", "-")}, Began: time.Now()})
	booted := time.Now().Add(-time.Hour)
	c := Config{Rules: rules, Start: start, Labels: labels{used: map[string]record.Use{}},
		Stamp: func() record.Stamp { return record.Stamp{Boot: "boot", Mono: time.Since(booted)} }}
	r.Bench = NewBench(c, &r.memory, p, &r.witness)
	return r
}

func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx)
	}()
	synctest.Wait()
}

// sync lets the bench see what the test did, and the test what the bench did.
func (r *rig) sync() {
	signal(r.told)
	synctest.Wait()
}

func (r *rig) stop() { r.cancel(); <-r.done }

func (r *rig) scan(codes ...string) {
	for _, c := range codes {
		r.reader++ // another one each time: nothing bounces
		r.Reads() <- Read{Tag: record.Tag{Reader: fmt.Sprint(r.reader), Code: c}, At: time.Now()}
	}
	synctest.Wait()
}

func TestBench(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1", "400", "400", hash("b"), "CLOSE")
		if got := r.verdicts(); got != "accepted, accepted, duplicate, accepted, accepted" {
			t.Fatal(got)
		}
		if len(r.entries) != 5 || r.entries[2].Session != nil || r.entries[1].At.Boot != "boot" || r.entries[3].Intents[0].ID != 2 {
			t.Fatalf("%+v", r.entries)
		}
		if show(r.memory.state.Session) != "" || show(r.Bench.state.Session) != "" {
			t.Fatal(show(r.Bench.state.Session))
		}
		r.stop()
		if r.err != nil {
			t.Fatal(r.err)
		}
	})
}

// TestGreenMeansOnDisk: nothing is shown while the journal is busy, and nothing green after it failed.
func TestGreenMeansOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		flushed := make(chan struct{})
		r.before = func() error { <-flushed; return nil }
		r.onShow = func(s record.Scan) {
			if n := len(r.entries); n == 0 || r.entries[n-1].Scan.Code != s.Code {
				t.Errorf("%q was shown before it was in the journal", s.Code)
			}
		}
		r.start(t)
		r.scan("P-1", "400")
		time.Sleep(time.Second)
		if len(r.shown) > 0 || show(r.Bench.state.Session) != "" {
			t.Fatalf("shown while the journal was busy: %s", r.verdicts())
		}
		for range 2 {
			flushed <- struct{}{}
		}
		synctest.Wait()
		if got := r.verdicts(); got != "accepted, accepted" {
			t.Fatal(got)
		}
		r.stop()
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1")
		full := errors.New("no space left on device")
		r.before = func() error { return full }
		r.scan("400") // the card is full: the bench goes on
		broken := errors.New("flush failed")
		r.before = func() error { return record.Stop(broken) }
		r.scan("400") // the journal is broken: it ends
		<-r.done
		if !errors.Is(r.err, broken) || record.ClassOf(r.err) != record.StopHere {
			t.Errorf("run: %v", r.err)
		}
		if got := r.verdicts(); got != "accepted, fault, fault" {
			t.Error(got)
		}
		row, _ := r.picture.Lookup(hash("a"))
		if show(r.Bench.state.Session) != "P-1" || row.Package != nil || r.shown[1].Step != "" || r.shown[1].Count != 0 {
			t.Errorf("session %s, row %+v, shown %+v", show(r.Bench.state.Session), row, r.shown[1])
		}
	})
}

// TestTheNetworkNeverDelaysTheBench: nobody reads the rows, nobody settles, nobody listens to Kick. In the bubble's time
// every wait would show.
func TestTheNetworkNeverDelaysTheBench(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		time.Sleep(time.Minute) // the last read is long ago
		began := time.Now()
		r.start(t)
		for n := range 100 {
			r.scan(fmt.Sprintf("P-%d", n), "400", "408", "UNDO")
		}
		if took := time.Since(began); took != 0 || len(r.shown) != 400 || len(r.memory.state.Open) != 200 {
			t.Fatalf("%d verdicts, %d open intents after %v", len(r.shown), len(r.memory.state.Open), took)
		}
		for n, s := range r.shown {
			if s.Verdict != record.AcceptedOffline && s.Verdict != record.Unknown || r.took[n] != 0 {
				t.Fatalf("%s after %v", s.Text, r.took[n])
			}
		}
		r.stop()
	})
}

// TestTheBenchNeverDelaysTheSettler: outcomes are taken while a scan is on its way to the card.
func TestTheBenchNeverDelaysTheSettler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1", hash("a"), hash("b"))
		flushed := make(chan struct{})
		r.before = func() error { <-flushed; return nil }
		r.scan("CLOSE")
		began := time.Now()
		for _, i := range r.memory.state.Open {
			r.Ended(record.Outcome{Intent: i.ID, Result: record.OtherValue, Found: val("Z"), Text: "look"}, i)
		}
		if time.Since(began) != 0 {
			t.Error("the settler waited")
		}
		close(flushed)
		synctest.Wait()
		if len(r.called) != 2 || r.called[0].Hash != hash("a") || r.called[0].Outcome.Text != "look" {
			t.Errorf("called back: %+v", r.called)
		}
		r.stop()
	})
}

// TestAnIntentThatSettlesAtOnce: its outcome comes before Append has returned.
func TestAnIntentThatSettlesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.start(t)
		r.scan("P-1")
		r.before = func() error {
			r.Ended(record.Outcome{Intent: 1, Result: record.Settled}, intentOf(1, hash("a"), "P-1", "-"))
			return nil
		}
		r.scan("400")
		row, _ := r.picture.Lookup(hash("a"))
		if vals(row.May) != "P-1" || len(r.called) > 0 {
			t.Errorf("may be %s, called back %v", vals(row.May), r.called)
		}
		r.stop()
	})
}

func TestBenchAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newRig(t, record.State{})
		first.start(t)
		first.scan("P-1", "400")
		first.stop()
		r := newRig(t, first.memory.state)
		r.start(t)
		if len(r.resumed) != 1 || show(r.resumed[0]) != "P-1:a" {
			t.Fatalf("resumed %v", r.resumed)
		}
		if row, _ := r.picture.Lookup(hash("a")); vals(row.May) != "- P-1" {
			t.Errorf("the open intent was not laid over the picture: %s", vals(row.May))
		}
		r.scan("400", "P-1", "400", "UNDO", "401")
		if got := r.verdicts(); got != "question, accepted, duplicate, accepted, accepted" || show(r.Bench.state.Session) != "P-1:b" {
			t.Fatal(got, show(r.Bench.state.Session))
		}
		if got := showIntents(r.memory.state.Open); got != "a→P-1 for -, a→- for - P-1, b→P-1 for -" {
			t.Error(got)
		}
		r.stop()
	})
}

// TestAnUnknownCodeIsLookedFor: it asks for a read at once, is answered as soon as that knows it, and after three seconds
// for good.
func TestAnUnknownCodeIsLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		read := func(rows ...string) {
			reading := record.Reading{Began: time.Now()}
			for _, h := range rows {
				reading.Here = append(reading.Here, rowOf(hash(h), "", "-"))
			}
			r.picture.Replace(reading)
			synctest.Wait()
		}
		r.start(t)
		r.scan("P-1", "400")
		select {
		case <-r.picture.Kick():
			t.Fatal("asked without need")
		default:
		}
		r.scan(hash("y"), hash("z"))
		<-r.picture.Kick()
		if got := r.picture.Asked(); len(got) != 2 || got[0] != hash("y") {
			t.Error(got)
		}
		time.Sleep(2 * time.Second)
		read("a", "b", "y")
		if got := r.verdicts(); got != "accepted, accepted, waiting, waiting, accepted" || len(r.picture.Asked()) != 1 {
			t.Error(got)
		}
		time.Sleep(900 * time.Millisecond)
		read("a", "b", "y")
		if len(r.shown) != 5 {
			t.Error("answered too early")
		}
		r.sync()
		time.Sleep(102 * time.Millisecond)
		synctest.Wait()
		if got := r.verdicts(); got != "accepted, accepted, waiting, waiting, accepted, unknown" || len(r.picture.Asked()) != 0 {
			t.Error(got)
		}
		if last := r.shown[5]; last.Judges != 4 || last.Code != hash("z") {
			t.Errorf("%+v", last)
		}
		r.stop()
	})
}

// TestTimeGoesOnAtTheBench: what waits ends by itself.
func TestTimeGoesOnAtTheBench(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.rules.TimeOut = time.Minute
		r.start(t)
		r.scan("P-1", "REMOVE")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := r.verdicts(); got != "accepted, accepted, timed out" {
			t.Error(got)
		}
		full := errors.New("no space left on device")
		tries := 0
		r.before = func() error { tries++; return full }
		r.sync()
		time.Sleep(time.Minute)
		synctest.Wait()
		if tries < 8 || tries > 13 || len(r.shown) != 4 || r.shown[3].Verdict != record.Fault { // once a second, and told once
			t.Errorf("a package that could not be closed was tried %d times and told %d times", tries, len(r.shown)-3)
		}
		r.before = nil
		r.sync()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if last := r.shown[len(r.shown)-1]; last.Step != record.Closed || r.memory.state.Session.Package != "" {
			t.Errorf("%+v", last)
		}
		r.stop()
	})
}

// TestTagsOnTheAntenna: a tag is one event, however often it is read, and what lies there when a package opens doesn't count.
func TestTagsOnTheAntenna(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, record.State{})
		r.field = presence.New(presence.Config{Began: -time.Hour})
		r.start(t)
		lie := func(code string) {
			for range 50 {
				r.Reads() <- Read{Tag: record.Tag{Reader: "antenna", Code: code, Radio: true}, At: time.Now()}
				time.Sleep(20 * time.Millisecond)
			}
			synctest.Wait()
		}
		lie(hash("a"))
		r.scan("P-1")
		lie(hash("a"))
		lie(hash("b"))
		lie(hash("a"))
		if got := r.verdicts(); got != "accepted, accepted" || show(r.Bench.state.Session) != "P-1:b" || r.shown[0].NotEmpty != 1 {
			t.Error(got, show(r.Bench.state.Session), r.shown[0].NotEmpty)
		}
		time.Sleep(3 * time.Second)
		lie(hash("a"))
		if show(r.Bench.state.Session) != "P-1:ba" {
			t.Error("it left and came back:", show(r.Bench.state.Session))
		}
		r.stop()
	})
}

// TestRetry: a person makes a parked intent open again.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parked := record.Parked{Intent: intentOf(1, hash("a"), "P-1", "-"), Outcome: record.Outcome{Intent: 1, Result: record.Refused}}
		r := newRig(t, record.State{Intent: 1, Parked: []record.Parked{parked}})
		r.start(t)
		if err := r.Bench.Retry(t.Context(), 7); err == nil {
			t.Error("7 is not parked")
		}
		if err := r.Bench.Retry(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if row, _ := r.picture.Lookup(hash("a")); vals(row.May) != "- P-1" || len(r.memory.state.Parked) > 0 {
			t.Errorf("%+v %+v", row, r.memory.state)
		}
		r.stop()
	})
}

func TestLogPanel(t *testing.T) {
	var out bytes.Buffer
	p := LogPanel{slog.New(slog.NewJSONHandler(&out, nil))}
	hostile, shown := "x\n{\"msg\":\"verdict\"}\x1d\u202ež\u200b", "x\n{\"msg\":\"verdict\"}\x1d\\u202ež\\u200b"
	p.Show(record.Scan{Tag: record.Tag{Reader: "r", Code: hostile}, Verdict: record.Accepted, Step: record.Added, Package: "P-1", Hash: "h", Count: 2, Text: "t"}, 1500*time.Microsecond)
	p.Resume(session("P-1:ab"))
	p.CallBack(record.Parked{Intent: intentOf(1, "h", "P-1", "-"), Outcome: record.Outcome{Result: record.OtherValue, Text: "look"}})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []map[string]any{
		{"level": "INFO", "msg": "verdict", "reader": "r", "code": shown, "verdict": "accepted", "step": "added", "package": "P-1", "hash": "h", "count": 2.0, "not_empty": 0.0, "text": "t", "took_ms": 1.5},
		{"level": "INFO", "msg": "still open", "package": "P-1", "count": 2.0, "text": `package "P-1" is open with 2 items: scan the label to go on`},
		{"level": "WARN", "msg": "call back", "hash": "h", "package": "P-1", "result": "conflict", "found": "NULL", "text": "look"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), &out)
	}
	for n, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "time")
		if fmt.Sprint(got) != fmt.Sprint(want[n]) {
			t.Errorf("got  %v\nwant %v", got, want[n])
		}
	}
}

// TestBenchCallsBackAfterRestart: the agent may have died between the outcome and the lamp.
func TestBenchCallsBackAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parked := record.Parked{Intent: intentOf(1, "a", "P-1", "-"), Outcome: record.Outcome{Intent: 1, Result: record.OtherValue}}
		seen := parked
		seen.ID, seen.Seen = 2, true
		r := newRig(t, record.State{Parked: []record.Parked{seen, parked}})
		r.start(t)
		if len(r.called) != 1 || r.called[0].ID != 1 {
			t.Errorf("called back: %v", r.called)
		}
		r.stop()
	})
}
