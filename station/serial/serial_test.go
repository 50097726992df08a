package serial

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/station/stationtest"
	"station-agent/store/record"
)

// patience is how long a test waits for something that must come; nothing is measured by it.
const patience = 20 * time.Second

// event is one call of Sink or Condition.
type event struct {
	what string // "feed", "idle", "gone", "lost", "back"
	text string
}

// witness is Sink and Condition.
type witness chan event

func (w witness) Feed(p []byte)  { w <- event{"feed", string(p)} }
func (w witness) Idle()          { w <- event{what: "idle"} }
func (w witness) Gone()          { w <- event{what: "gone"} }
func (w witness) Lost(err error) { w <- event{"lost", err.Error()} }
func (w witness) Back()          { w <- event{what: "back"} }

// until gives everything fed up to an event called what, and that event.
func (w witness) until(t *testing.T, what string) (fed string, e event) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-w:
			if e.what == what {
				return fed, e
			}
			if e.what == "feed" {
				fed += e.text
			}
		case <-late:
			t.Fatalf("no %q came; fed %q", what, fed)
		}
	}
}

// bytes gives the next n bytes fed.
func (w witness) bytes(t *testing.T, n int) string {
	t.Helper()
	var fed string
	for len(fed) < n {
		_, e := w.until(t, "feed")
		fed += e.text
	}
	return fed
}

// run starts Run and joins it at the end of the test.
func run(t *testing.T, c Config) (witness, context.CancelFunc) {
	t.Helper()
	w := make(witness, 4096)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := Run(ctx, c, w, w); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return w, cancel
}

func scanner(t *testing.T) *stationtest.Scanner {
	t.Helper()
	s, err := stationtest.NewScanner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBytesAndGaps(t *testing.T) {
	s := scanner(t)
	must(t, s.Scan("sent before the port was opened"))
	w, _ := run(t, Config{Name: "scanner1", Device: s.Path(), Parity: "even", Baud: 115200, Idle: 20 * time.Millisecond})
	fed, _ := w.until(t, "idle")
	if fed != "sent before the port was opened\r" {
		t.Fatalf("fed %q", fed)
	}
	must(t, s.Scan("second"))
	if fed, _ := w.until(t, "idle"); fed != "second\r" {
		t.Fatalf("fed %q", fed)
	}
	select {
	case e := <-w:
		t.Fatalf("a silent port says %v", e)
	case <-time.After(60 * time.Millisecond): // three gaps
	}
}

func TestHostileBytesComeThroughUnchanged(t *testing.T) {
	s := scanner(t)
	w, _ := run(t, Config{Name: "scanner1", Device: s.Path()})
	w.until(t, "back")
	var all []byte
	for b := range 256 { // every control character of a cooked tty, among them
		all = append(all, byte(b), 0xff, byte(b))
	}
	all = bytes.Repeat(all, 20)
	go func() { _, _ = s.Write(all) }()
	want := (&marks{}).strip(kernelMarks(all))
	if got := w.bytes(t, len(want)); got != string(want) {
		t.Fatalf("got %d bytes, not the %d that were sent", len(got), len(want))
	}
}

// kernelMarks does to sound bytes what the kernel does under PARMRK.
func kernelMarks(p []byte) []byte { return bytes.ReplaceAll(p, []byte{0xff}, []byte{0xff, 0xff}) }

func TestUnplugAndReplug(t *testing.T) {
	s := scanner(t)
	w, _ := run(t, Config{Name: "scanner1", Device: s.Path()})
	for range 3 {
		w.until(t, "back")
		must(t, s.Scan("x"))
		if got := w.bytes(t, 2); got != "x\r" {
			t.Fatalf("fed %q", got)
		}
		must(t, s.Unplug())
		w.until(t, "gone")
		if _, e := w.until(t, "lost"); !strings.HasPrefix(e.text, "reader scanner1: ") || !strings.HasSuffix(e.text, ": the reader was unplugged: plug it in") {
			t.Fatal(e.text)
		}
		if _, e := w.until(t, "lost"); e.text != "reader scanner1: open "+s.Path()+": no such file or directory: plug the reader in or correct reader.device" {
			t.Fatal(e.text)
		}
		must(t, s.Plug())
	}
}

// TestNewDeviceBehindTheSameLink swaps the link while the old device still lives, as udev may.
func TestNewDeviceBehindTheSameLink(t *testing.T) {
	first, second := scanner(t), scanner(t)
	link := filepath.Join(t.TempDir(), "by-id")
	must(t, os.Symlink(first.Path(), link))
	w, _ := run(t, Config{Name: "scanner1", Device: link})
	w.until(t, "back")
	must(t, os.Remove(link))
	must(t, os.Symlink(second.Path(), link))
	must(t, first.Unplug())
	w.until(t, "gone")
	w.until(t, "back")
	must(t, second.Scan("y"))
	if got := w.bytes(t, 2); got != "y\r" {
		t.Fatalf("fed %q", got)
	}
}

// TestAReplacedDeviceIsNoticedWithoutAWord swaps the link, and takes it away, while the old device neither says nor ends anything.
func TestAReplacedDeviceIsNoticedWithoutAWord(t *testing.T) {
	first, second := scanner(t), scanner(t)
	link := filepath.Join(t.TempDir(), "by-id")
	must(t, os.Symlink(first.Path(), link))
	w, _ := run(t, Config{Name: "scanner1", Device: link, look: 10 * time.Millisecond})
	w.until(t, "back")
	must(t, first.Scan("x"))
	if got := w.bytes(t, 2); got != "x\r" {
		t.Fatalf("fed %q", got)
	}
	must(t, os.Remove(link))
	w.until(t, "gone")
	if _, e := w.until(t, "lost"); e.text != "reader scanner1: read "+link+": the path leads to another device now, or to none: the reader was unplugged: plug it in" {
		t.Fatal(e.text)
	}
	must(t, os.Symlink(first.Path(), link))
	w.until(t, "back")
	fresh := link + ".new"
	must(t, os.Symlink(second.Path(), fresh))
	must(t, os.Rename(fresh, link))
	w.until(t, "gone")
	w.until(t, "back")
	must(t, second.Scan("y"))
	if got := w.bytes(t, 2); got != "y\r" {
		t.Fatalf("fed %q", got)
	}
}

// TestAnotherNumberBehindTheSameLink plugs the scanner in while another one holds its old number.
func TestAnotherNumberBehindTheSameLink(t *testing.T) {
	s := scanner(t)
	w, _ := run(t, Config{Name: "scanner1", Device: s.Path()})
	w.until(t, "back")
	before, err := os.Readlink(s.Path())
	must(t, err)
	must(t, s.Unplug())
	w.until(t, "lost")
	var held []*stationtest.Scanner // until one of them got the old number
	for range 32 {
		other := scanner(t)
		held = append(held, other)
		if device, err := os.Readlink(other.Path()); err == nil && device == before {
			break
		}
	}
	must(t, s.Plug())
	if after, err := os.Readlink(s.Path()); err != nil || after == before {
		t.Fatalf("it came back as %q with %d others plugged in: %v", after, len(held), err)
	}
	w.until(t, "back")
	must(t, s.Scan("z"))
	if got := w.bytes(t, 2); got != "z\r" {
		t.Fatalf("fed %q", got)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	s := scanner(t)
	w, cancel := run(t, Config{Name: "scanner1", Device: s.Path()})
	w.until(t, "back")
	other, _ := run(t, Config{Name: "scanner2", Device: s.Path()})
	if _, e := other.until(t, "lost"); !strings.HasSuffix(e.text, ": another program holds the port: end it") {
		t.Fatal(e.text)
	}
	must(t, s.Scan("mine"))
	if got := w.bytes(t, 5); got != "mine\r" {
		t.Fatalf("fed %q", got)
	}
	cancel()
	w.until(t, "gone")
	other.until(t, "back")
}

func TestWhatIsNoPort(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for device, want := range map[string]string{
		filepath.Join(dir, "nothing"): "no such file or directory: plug the reader in or correct reader.device",
		file:                          "inappropriate ioctl for device: it is no serial port: correct reader.device",
		dir:                           "is a directory: it is no serial port: correct reader.device",
	} {
		w, cancel := run(t, Config{Name: "scanner1", Device: device})
		if _, e := w.until(t, "lost"); !strings.HasSuffix(e.text, want) {
			t.Errorf("%s: %s", device, e.text)
		}
		cancel()
	}
}

func TestConfigThatCanNeverWork(t *testing.T) {
	for _, c := range []Config{{Name: "s", Baud: 9601}, {Name: "s", Parity: "mark"}} {
		w := make(witness, 1)
		if err := Run(t.Context(), c, w, w); record.ClassOf(err) != record.StopHere || c.Check() == nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := (Config{}).Check(); err != nil {
		t.Error(err)
	}
}

func TestStopWhileSilent(t *testing.T) {
	s := scanner(t)
	w, cancel := run(t, Config{Name: "scanner1", Device: s.Path()})
	w.until(t, "back")
	cancel()
	w.until(t, "gone") // and the cleanup joins Run
}

func TestMarks(t *testing.T) {
	for in, want := range map[string]string{
		"abc":                     "abc",
		"a\xff\xffb":              "a\xffb",            // sound FF
		"a\xff\x00Xb":             "a\xffb",            // damaged X
		"a\xff\x00\x00b":          "a\xffb",            // break
		"\xff\x00\xff\xff\xff":    "\xff\xff",          // damaged FF, then a sound one
		"a\xffb":                  "a\xffb",            // the kernel never says this
		"\xff\x00\r\xff\x00\rab":  "\xff\xff" + "ab",   // damaged terminators end nothing
		"\x00\xff\xff\x00":        "\x00\xff" + "\x00", // sound
		strings.Repeat("\xff", 6): strings.Repeat("\xff", 3),
	} {
		for at := range len(in) + 1 {
			var m marks
			got := string(m.strip([]byte(in[:at]))) + string(m.strip([]byte(in[at:])))
			if got != want {
				t.Errorf("%q cut at %d: %q, want %q", in, at, got, want)
			}
		}
	}
}

func TestSpeedAndParityReachTheLine(t *testing.T) {
	const base = unix.CS8 | unix.CREAD | unix.CLOCAL
	for c, want := range map[Config]uint32{
		{}:                              unix.B9600 | base,
		{Baud: 115200, Parity: "none"}:  unix.B115200 | base,
		{Baud: 57600, Parity: "even"}:   unix.B57600 | base | unix.PARENB,
		{Baud: 921600, Parity: "odd"}:   unix.B921600 | base | unix.PARENB | unix.PARODD,
		{Baud: 1200, Idle: time.Second}: unix.B1200 | base,
	} {
		if got, err := c.withDefaults().cflag(); got != want || err != nil {
			t.Errorf("%+v: %#o %v, want %#o", c, got, err, want)
		}
	}
}

// asker is a witness that says something each time it is asked.
type asker struct {
	witness
	say  func() ([]byte, time.Duration, error)
	last string
}

func (a asker) Opened()                              { a.witness <- event{what: "opened"} }
func (a asker) Next() ([]byte, time.Duration, error) { return a.say() }
func (a asker) Last() []byte                         { return []byte(a.last) }

// TestAnAskerIsHeardAndAskedAgain: what it gives is written, its time ends a read, and its error gives the port up.
func TestAnAskerIsHeardAndAskedAgain(t *testing.T) {
	s := scanner(t)
	w := make(witness, 64)
	n := 0
	a := asker{w, func() ([]byte, time.Duration, error) {
		if n++; n == 4 {
			return nil, 0, errors.New("no answer: switch it on")
		}
		return []byte{byte('0' + n%10)}, 10 * time.Millisecond, nil
	}, "x"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Config{Name: "mat", Device: s.Path()}, a, w) }()
	w.until(t, "opened")
	if _, e := w.until(t, "lost"); e.text != "reader mat: no answer: switch it on" {
		t.Error(e.text)
	}
	w.until(t, "opened")
	cancel()
	must(t, <-done)
	var got []byte
	for late := time.Now().Add(patience); !bytes.HasSuffix(got, []byte("x")) && time.Now().Before(late); {
		buf := make([]byte, 64)
		n, err := s.Read(buf)
		must(t, err)
		got = append(got, buf[:n]...)
	}
	if !bytes.HasPrefix(got, []byte("123")) || !bytes.HasSuffix(got, []byte("x")) || bytes.Count(got, []byte("x")) != 1 {
		t.Errorf("written %q, want 123 and x at the end only", got)
	}
}

// TestAWriteCannotHang on a device that takes nothing.
func TestAWriteCannotHang(t *testing.T) {
	s := scanner(t)
	w := make(witness, 64)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Name: "mat", Device: s.Path()}, asker{w, func() ([]byte, time.Duration, error) {
			return make([]byte, 4096), time.Millisecond, nil
		}, ""}, w)
	}()
	if _, e := w.until(t, "lost"); !strings.HasPrefix(e.text, "reader mat: write ") || !strings.HasSuffix(e.text, "it takes no bytes: plug it out and in again") {
		t.Error(e.text)
	}
	cancel()
	must(t, <-done)
}

// TestAStuckReaderIsLetGo plays what a pseudo-terminal can't: bytes that were written and stay in the port.
func TestAStuckReaderIsLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // after which the reader has taken all
		want  bool          // the rest is dropped
	}{"all is out": {0, false}, "it takes a moment": {writeTime / 2, false}, "it is stuck": {time.Hour, true}} {
		synctest.Test(t, func(t *testing.T) {
			began, dropped := time.Now(), false
			letGo(func() bool { return time.Since(began) < c.takes }, func() { dropped = true })
			if dropped != c.want || time.Since(began) > 2*writeTime {
				t.Errorf("%s: dropped %t after %v", name, dropped, time.Since(began))
			}
		})
	}
}

func TestPausesBeginAnewBehindAPortThatWasGood(t *testing.T) {
	for _, c := range []struct {
		worked, told bool
		lasted       time.Duration
		want         bool
	}{
		{false, false, time.Hour, false}, {true, false, time.Second, true}, // unplugged
		{true, true, time.Second, false}, {true, true, time.Hour, true}, {false, true, time.Hour, false}, // given up
	} {
		if good(c.worked, c.told, c.lasted) != c.want {
			t.Errorf("%+v", c)
		}
	}
}
