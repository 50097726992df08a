package evdev

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

// witness is the sink and the condition of a device.
type witness struct {
	mu    sync.Mutex
	codes []Code
	gone  int
	cond  string
	backs int
}

func (w *witness) Typed(c Code)   { w.note(func() { w.codes = append(w.codes, c) }) }
func (w *witness) Gone()          { w.note(func() { w.gone++ }) }
func (w *witness) Lost(err error) { w.note(func() { w.cond = err.Error() }) }
func (w *witness) Back()          { w.note(func() { w.cond, w.backs = "back", w.backs+1 }) }
func (w *witness) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// until waits for a condition.
func (w *witness) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		ok := f()
		w.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s; codes %+v, condition %q", what, w.codes, w.cond)
		}
	}
}

// device is a pipe that plays an input device; it can be plugged in behind a link.
type device struct {
	t    *testing.T
	link string
	file *os.File
}

func newDevice(t *testing.T) *device {
	d := &device{t: t, link: filepath.Join(t.TempDir(), "scanner-event-kbd")}
	d.plug("event3")
	return d
}

// plug makes the device appear under a name of the kernel's.
func (d *device) plug(node string) {
	d.t.Helper()
	path := filepath.Join(filepath.Dir(d.link), node)
	_ = os.Remove(d.link)
	err := unix.Mkfifo(path, 0o600)
	if err == nil {
		d.file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err == nil { // once it is open: who opens a pipe that nobody writes reads its end
		err = os.Symlink(path, d.link)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.file.Close() })
}

// unplug makes it go away: reads end.
func (d *device) unplug() {
	_ = os.Remove(d.link)
	_ = d.file.Close()
}

func (d *device) types(text string, enter bool) {
	d.t.Helper()
	ty := typist{layout: "us"}
	ty.text(text)
	if enter {
		ty.key(keyEnter, 1, 0)
	}
	var b []byte
	for _, e := range ty.events {
		b = append(b, raw(e, timeSize)...)
	}
	for len(b) > 0 { // in pieces that cut events
		n := min(len(b), 37)
		if _, err := d.file.Write(b[:n]); err != nil {
			d.t.Fatal(err)
		}
		b = b[n:]
	}
}

// listen runs the reader of a device.
func listen(t *testing.T, c Config, claim func(*os.File) error) (w *witness, stop func()) {
	t.Helper()
	w = &witness{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, w, w, claim) }()
	return w, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func free(*os.File) error { return nil }

func TestCodesAreReadThroughEveryUnplugging(t *testing.T) {
	d := newDevice(t)
	w, stop := listen(t, Config{Name: "scanner", Device: d.link, Gap: time.Minute}, free)
	d.types("PKG-1", true)
	w.until(t, "the first code", func() bool { return len(w.codes) == 1 && w.codes[0] == Code{Text: "PKG-1"} })
	d.types("400", false)
	d.unplug()
	w.until(t, "half a code is bad", func() bool { return len(w.codes) == 2 && strings.Contains(w.codes[1].Bad, "unplugged") })
	w.until(t, "reader fault", func() bool { return strings.Contains(w.cond, "reader scanner") })
	d.plug("event7") // the kernel chose another number
	w.until(t, "it is back", func() bool { return w.backs == 2 })
	d.types("401", true)
	w.until(t, "the code after it", func() bool { return len(w.codes) == 3 && w.codes[2] == Code{Text: "401"} })
	stop()
	if w.gone < 2 {
		t.Errorf("gone %d times", w.gone)
	}
}

func TestACodeWithoutAnEndIsBadAfterTheGap(t *testing.T) {
	d := newDevice(t)
	w, stop := listen(t, Config{Name: "scanner", Device: d.link, Gap: 20 * time.Millisecond}, free)
	defer stop()
	d.types("400", false)
	w.until(t, "cut off", func() bool {
		return len(w.codes) == 1 && w.codes[0].Text == "400" && strings.Contains(w.codes[0].Bad, "no Enter or Tab")
	})
}

func TestADeviceThatCannotBeHadSaysWhatToDo(t *testing.T) {
	d := newDevice(t)
	for want, c := range map[string]struct {
		device string
		claim  func(*os.File) error
	}{
		"another program has grabbed it": {d.link, func(*os.File) error { return unix.EBUSY }},
		"it is no input device":          {d.link, grab}, // a pipe is none
		"plug the reader in":             {d.link + "-away", free},
	} {
		w, stop := listen(t, Config{Name: "scanner", Device: c.device}, c.claim)
		w.until(t, want, func() bool { return strings.Contains(w.cond, want) && strings.Contains(w.cond, "reader scanner") })
		stop()
		if w.backs != 0 {
			t.Errorf("%s: it was said to be back", want)
		}
	}
}

func TestALayoutThatIsNotThereStopsTheAgent(t *testing.T) {
	err := Run(t.Context(), Config{Name: "scanner", Layout: "dvorak"}, &witness{}, &witness{})
	if record.ClassOf(err) != record.StopHere || !strings.Contains(err.Error(), `"dvorak"`) || !strings.Contains(err.Error(), "cz de fr gb us") {
		t.Error(err)
	}
}

// TestKeysThatLieThereAreNoGap: this program may have waited for a processor for longer than the gap.
func TestKeysThatLieThereAreNoGap(t *testing.T) {
	d := newDevice(t)
	code := strings.Repeat("0123456789", 12)
	d.types(code, true)
	w, stop := listen(t, Config{Name: "wedge", Device: d.link, Gap: 1}, func(*os.File) error { return nil })
	w.until(t, "a code", func() bool { return len(w.codes) > 0 })
	stop()
	if c := w.codes[0]; c.Text != code || c.Bad != "" {
		t.Errorf("%+v", w.codes)
	}
}
