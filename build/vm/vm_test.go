package vm

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/qemu"
)

// lifetime is the longest that a machine may run, and patience how long anything in it may take. Both are for a busy host.
const (
	lifetime = 4 * time.Minute
	patience = 40 * time.Second
)

// full tells whether all machines are to run, else one.
func full() bool { return os.Getenv("VM") == "full" }

// rig is a machine that runs, with the test's complaints.
type rig struct {
	*Machine
	t      *testing.T
	ctx    context.Context
	lamps  *Watch
	reader net.Conn
}

// boot starts the machine of that name with the agent's files.
func boot(t *testing.T, name string, files map[string]string) *rig {
	t.Helper()
	model := Models()[slices.IndexFunc(Models(), func(m Model) bool { return m.Name == name })]
	p := Parts{
		Tools:  qemu.Get(t, "qemu-arm", "bookworm", "qemu-system-arm", "device-tree-compiler", "xz-utils"),
		Kernel: qemu.Get(t, "kernel-"+filepath.Base(model.Suite), model.Suite, model.Package),
		Files:  files,
		Dir:    short(t),
	}
	p.Agent, p.Guest = build(t, model)
	ctx, cancel := context.WithTimeout(t.Context(), lifetime)
	t.Cleanup(cancel)
	m, err := Boot(ctx, model, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	r := &rig{Machine: m, t: t, ctx: ctx, lamps: WatchLamps(ctx, m.Pins)}
	r.said(0, "the guest to come up", func(l bed.Line) bool { return from(l, "up") })
	return r
}

// from tells whether a line is the guest's own and begins with text. What a UART says while it is set up may stand before it.
func from(l bed.Line, text string) bool { return strings.Contains(l.Msg, "guest: "+text) }

// short is a folder whose name leaves room for those of sockets.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "vm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// build makes the programs for a model: the agent as it is made for the device.
func build(t *testing.T, m Model) (agent, guest string) {
	t.Helper()
	dir := t.TempDir()
	guest = filepath.Join(dir, "guest")
	own := exec.CommandContext(t.Context(), "go", "build", "-o", guest, "./guest")
	own.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+m.Goarch, "GOARM="+m.Goarm)
	device := exec.CommandContext(t.Context(), "build/build.sh", "-s -w -X main.version=vm", m.Target)
	device.Dir, device.Env = "../..", append(os.Environ(), "OUT="+dir)
	for _, cmd := range []*exec.Cmd{own, device} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build for %s: %v\n%s", m.Name, err, out)
		}
	}
	return filepath.Join(dir, "station-agent-"+m.Target), guest
}

// fail ends the test with what was waited for, the end of the console and of the kernel's messages.
func (r *rig) fail(what string, why any) {
	r.t.Helper()
	mark := r.Log.Mark()
	console := tail(r.Log.Lines(nil), 60)
	if r.Tell("dmesg") == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_, _ = r.Machine.Wait(ctx, mark, func(l bed.Line) bool { return from(l, "no more messages") })
		cancel()
	}
	r.t.Fatalf("%s: waited for %s: %v\nits console:\n%sits kernel:\n%s", r.Name, what, why, console, tail(r.Log.Lines(nil)[mark:], 20))
}

// said waits for a line.
func (r *rig) said(mark int, what string, f func(bed.Line) bool) bed.Line {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	l, err := r.Machine.Wait(ctx, mark, f)
	if err != nil {
		r.fail(what, err)
	}
	return l
}

// is waits until something outside is known to be up, recovered or lost.
func (r *rig) is(mark int, what string, how ...string) {
	r.t.Helper()
	r.said(mark, fmt.Sprintf("%s to be %v", what, how), func(l bed.Line) bool { return l.What == what && slices.Contains(how, l.Msg) })
}

// until waits for something that is no line.
func (r *rig) until(what string, done func() (bool, any)) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(end) || r.ctx.Err() != nil {
			r.fail(what, state)
		}
	}
}

// told asks the guest for something and waits for its answer.
func (r *rig) told(command, answer string) bed.Line {
	r.t.Helper()
	mark := r.Log.Mark()
	if err := r.Tell(command); err != nil {
		r.fail("command "+command, err)
	}
	return r.said(mark, command, func(l bed.Line) bool { return from(l, answer) })
}

// plug connects the reader.
func (r *rig) plug() {
	r.t.Helper()
	r.reader = r.socket("reader")
}

func (r *rig) socket(name string) net.Conn {
	r.t.Helper()
	conn, err := r.Plug(r.ctx, name)
	if err != nil {
		r.fail("plugging in "+name, err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// scan holds a code before the reader and wants a step, or a verdict that is not green.
func (r *rig) scan(code, want string) bed.Line {
	r.t.Helper()
	mark := r.Log.Mark()
	if _, err := r.reader.Write([]byte(code + "\r")); err != nil {
		r.fail("scan "+code, err)
	}
	return r.verdict(mark, code, want)
}

// verdict waits for what becomes of a code.
func (r *rig) verdict(mark int, code, want string) bed.Line {
	r.t.Helper()
	l := r.said(mark, "a verdict on "+code, func(l bed.Line) bool { return l.Msg == "verdict" && l.Code == code && !l.Looking() })
	if l.Verdict != want && l.Step != want {
		r.fail("verdict or step "+want+" on "+code, l.Raw)
	}
	return l
}

// press holds the button down until what it does is done.
func (r *rig) press(want string) {
	r.t.Helper()
	mark := r.Log.Mark()
	r.level(true)
	r.verdict(mark, "close", want)
	r.letGo()
}

// letGo waits until that must have been seen: longer than the button needs to look by itself.
func (r *rig) letGo() {
	r.t.Helper()
	r.level(false)
	time.Sleep(600 * time.Millisecond)
}

func (r *rig) level(pressed bool) {
	r.t.Helper()
	if err := r.Pins.Press(pressed); err != nil {
		r.fail("the button's pin", err)
	}
}

// show waits until the lamps have shown something since mark.
func (r *rig) show(mark int, what string, f func(Showing) bool) {
	r.t.Helper()
	r.until("the lamps to show "+what, func() (bool, any) {
		s, err := r.lamps.Seen(mark)
		if err != nil {
			return false, err
		}
		return f(s), s
	})
}

const colours = Red | Yellow | Green | Blue

// flashes tells whether within a moment the lamps flash as in words, "green 2, blue 1", and the buzzer sounds. A host that lets the guest
// wait may swallow a gap, so that it is no failure yet.
func (r *rig) flashes(mark int, want string) bool {
	r.t.Helper()
	var s Showing
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s, _ = r.lamps.Seen(mark)
		if s.Flashes(colours) == want && s.Flashes(Buzzer) != "" {
			return true
		}
	}
	r.t.Logf("%s: not %q but %q: %v", r.Name, want, s.Flashes(colours), s)
	return false
}

// alive waits for two signs of life.
func (r *rig) alive() {
	r.t.Helper()
	r.show(r.lamps.Mark(), "two signs of life", func(s Showing) bool {
		n := 0
		for i := 1; i < len(s); i++ {
			if s[i-1]&(White|Red|Yellow) == 0 && s[i]&(White|Red|Yellow) == White {
				n++
			}
		}
		return n >= 2
	})
}

// tested waits until the lamp test has lit one lamp after the other, from the top: that of the start, or another one where a
// busy host let the guest miss a flash.
func (r *rig) tested() {
	r.t.Helper()
	r.is(0, "output buzzer at GPIO18", "up")
	var s Showing
	for mark, try := 1, 1; try <= 3; try++ {
		for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if s, _ = r.lamps.Seen(mark); s.inTurn() {
				return
			}
		}
		mark = r.lamps.Mark()
		r.told("lamp-test", "lamp-test: <nil>")
	}
	r.fail("the lamp test, one lamp after the other", s)
}

// dark waits until all is dark and still.
func (r *rig) dark() {
	r.t.Helper()
	r.until("all lamps to be dark", func() (bool, any) {
		lit, err := r.Pins.Lamps()
		return err == nil && lit == 0, fmt.Sprint(lit, err)
	})
}

// refused leaves the red lamp on.
func (r *rig) refused() {
	r.t.Helper()
	mark := r.lamps.Mark()
	r.press("no package open")
	r.show(mark, "red, and no end of it", func(s Showing) bool { return len(s) > 3 && s.Now()&colours == Red })
}

// stopped holds that lamps are dark after the agent's end, and after its death by what the unit does then.
func (r *rig) stopped() {
	r.t.Helper()
	r.refused()
	if l := r.told("stop", "the agent ended"); !strings.Contains(l.Msg, "exit status 0") {
		r.fail("a clean end", l.Msg)
	}
	r.dark()
	mark := r.Log.Mark()
	r.told("start", "the agent runs")
	r.is(mark, "button close at GPIO5", "up")
	r.letGo() // one that is held down when it is opened is no press
	r.refused()
	r.told("kill", "lamps-off: <nil>")
	r.dark()
}

// misled wiggles the button and holds that what it is in the end is believed, and nothing else.
func (r *rig) misled() {
	r.t.Helper()
	closes := func(l bed.Line) bool { return l.Msg == "verdict" && l.Reader == "button close" }
	for _, last := range []bool{false, true} {
		mark := r.Log.Mark()
		for n := range 40 {
			r.level((n%2 == 0) != last)
		}
		if last {
			r.said(mark, "the button to be seen held down after a burst of edges", closes)
		}
		r.letGo()
		before := len(r.Log.Lines(closes))
		for range 2 {
			mark := r.Log.Mark()
			r.level(true)
			r.said(mark, "a press after a burst of edges", closes)
			r.letGo()
		}
		if n := len(r.Log.Lines(closes)) - before; n != 2 {
			r.fail("two presses", fmt.Sprint(n, " were seen"))
		}
	}
}
