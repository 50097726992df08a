package station

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
	"station-agent/station/stationtest"
	"station-agent/store/record"
)

// quiet is a Condition that nobody looks at.
type quiet struct{}

func (quiet) Lost(error) {}
func (quiet) Back()      {}

// TestKindsOfReaders: what a line means depends on what wrote it.
func TestKindsOfReaders(t *testing.T) {
	for kind, want := range map[Kind]string{Barcode: `false "]C0" false`, "": `false "]C0" false`, RFID: `true "]C0" false true "" true`, Buttons: `false "button" false`} {
		reads := make(chan Read, 8)
		e := &ear{ctx: t.Context(), name: "r", codec: &codec.Line{Config: codec.Config{Reader: "r"}}, reads: reads, kind: kind}
		e.Feed([]byte("]C0close\r"))
		e.Gone()
		close(reads)
		var got []string
		for r := range reads {
			got = append(got, fmt.Sprintf("%v %q %v", r.Radio, r.Symbology, r.Lost))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %s, want %s", kind, s, want)
		}
	}
}

// TestAReaderOfTagsTellsWhenItIsAwayAndBack, and how strong and where it saw a tag.
func TestAReaderOfTagsTellsWhenItIsAwayAndBack(t *testing.T) {
	s, err := stationtest.NewScanner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reads := make(chan Read)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		r := Reader{Port: serial.Config{Name: "mat", Device: s.Path()}, Protocol: "r2000", Kind: RFID}
		if err := r.Run(ctx, reads, quiet{}); err != nil {
			t.Error(err)
		}
	})
	defer done.Wait()
	defer cancel()
	expect := func(want string) {
		t.Helper()
		for late := time.After(20 * time.Second); ; {
			select {
			case r := <-reads:
				got := fmt.Sprintf("%s %v %s %d %d lost=%v back=%v", r.Reader, r.Radio, r.Code, r.Antenna, r.RSSI, r.Lost, r.Back)
				if got != want || r.At.IsZero() {
					t.Fatalf("got  %s\nwant %s", got, want)
				}
				return
			case <-late:
				t.Fatalf("nothing came, want %s", want)
			}
		}
	}
	expect("mat true  0 0 lost=false back=true")
	if _, err := s.Write([]byte("\xa0\x13\x01\x89\x04\x30\x00\xe2\x00\x30\x16\x66\x13\x01\x21\x15\x50\x74\xef\x45\xbf")); err != nil {
		t.Fatal(err)
	}
	expect("mat true E200301666130121155074EF 1 -60 lost=false back=false")
	if err := s.Unplug(); err != nil {
		t.Fatal(err)
	}
	expect("mat true  0 0 lost=true back=false")
	if err := s.Plug(); err != nil {
		t.Fatal(err)
	}
	expect("mat true  0 0 lost=false back=true")
}

// TestAWrongCheckDigitIsAMisread where the scanner says that there is one; the raw code is kept.
func TestAWrongCheckDigitIsAMisread(t *testing.T) {
	reads := make(chan Read, 8)
	e := &ear{ctx: t.Context(), name: "r", codec: &codec.Line{}, reads: reads, kind: Barcode}
	var damaged []uint64
	e.damaged = func(n uint64) { damaged = append(damaged, n) }
	e.Feed([]byte("]E04006381333932\r]E04006381333931\r4006381333932\r\xff\r"))
	for _, want := range []string{
		`"]E04006381333932" "" EAN 4006381333932: wrong check digit`, `"]E04006381333931" "4006381333931" `, `"4006381333932" "4006381333932" `, `"\xff" "" not UTF-8`,
	} {
		r := <-reads
		if got := fmt.Sprintf("%q %q %s", r.Raw, r.Code, r.Bad); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	e.Feed([]byte("4006381333931\r"))
	e.Feed([]byte("\xff\r\xff\r"))
	if fmt.Sprint(damaged) != "[1 3]" { // the check digit was the label's
		t.Errorf("%v damaged frames were told", damaged)
	}
}

// TestATagWithoutAnEPCNamesNoProduct, though its bits look like one.
func TestATagWithoutAnEPCNamesNoProduct(t *testing.T) {
	for pc, want := range map[string]record.Verdict{"\x30\x00": okay, "\x31\xa2": "waiting"} {
		p, err := codec.Find("r2000")
		if err != nil {
			t.Fatal(err)
		}
		frame := []byte("\xa0\x13\x01\x89\x04" + pc + "\x30\x74\x25\x7b\xf7\x19\x4e\x40\x00\x00\x1a\x85\x45")
		var sum byte
		for _, b := range frame {
			sum -= b
		}
		reads := make(chan Read, 1)
		(&ear{ctx: t.Context(), name: "r", codec: p.New(codec.Config{}), reads: reads, kind: RFID}).Feed(append(frame, sum))
		rows := world(picture(record.Row{Hash: hash("a"), EAN: "80614141123458"}))
		rows.Field = func() []string { return []string{"3074257BF7194E4000001A85"} }
		if d := Decide(State{Session: session("P-1")}, rules, (<-reads).Tag, rows); d.Scan.Verdict != want {
			t.Errorf("PC % X: %s", pc, d.Scan.Verdict)
		}
	}
}

// TestAReaderOfAnUnknownProtocolIsAnError that ends the program: the configuration is wrong.
func TestAReaderOfAnUnknownProtocolIsAnError(t *testing.T) {
	err := Reader{Port: serial.Config{Name: "r", Device: "/nowhere"}, Protocol: "llrp"}.Run(t.Context(), nil, quiet{})
	if record.ClassOf(err) != record.StopHere || !strings.HasPrefix(err.Error(), `reader r: protocol "llrp" is none of line, r200`) {
		t.Error(err)
	}
}

// TestReader takes codes from a pseudo-terminal, over an unplugging in the middle of one.
func TestReader(t *testing.T) {
	s, err := stationtest.NewScanner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reads := make(chan Read)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		r := Reader{Port: serial.Config{Name: "scanner1", Device: s.Path(), Idle: time.Minute}, Prefix: "S1"}
		if err := r.Run(ctx, reads, quiet{}); err != nil {
			t.Error(err)
		}
	})
	defer done.Wait()
	defer cancel()
	send := func(bytes string) {
		if _, err := s.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		select {
		case r := <-reads:
			if got := fmt.Sprintf("%s %s %q %s", r.Reader, r.Symbology, r.Code, r.Bad); got != want || r.At.IsZero() {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing came, want %s", want)
		}
	}
	send("S1]E0400\rS1]C101\x1d2\r\n")
	expect(`scanner1 ]E0 "400" `)
	expect(`scanner1 ]C1 "01\x1d2" `)
	send("S1\xff\xff\r")
	expect(`scanner1  "" not UTF-8`)
	send("S1PKG-1\rS1PKG-2026-00")
	expect(`scanner1  "PKG-1" `) // so what came with it is read
	if err := s.Unplug(); err != nil {
		t.Fatal(err)
	}
	expect(`scanner1  "" cut off: the reader was unplugged`)
	if err := s.Plug(); err != nil {
		t.Fatal(err)
	}
	if err := s.Scan("S1PKG-2026-0001"); err != nil {
		t.Fatal(err)
	}
	expect(`scanner1  "PKG-2026-0001" `)
}
