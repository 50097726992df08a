package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/watch"
)

// pseudo opens both ends of a pseudo-terminal of a size.
func pseudo(t *testing.T, columns, lines uint16) (far, near *os.File) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("skipped: no pseudo-terminal: ", err)
	}
	t.Cleanup(func() { far.Close() })
	fd := int(far.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: lines})
	}
	if err == nil {
		near, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return far, near
}

func TestTheLiveTableTakesKeysAndGivesTheTerminalBack(t *testing.T) {
	far, near := pseudo(t, 70, 12)
	before, err := unix.IoctlGetTermios(int(near.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	f := fleetOf(t, &watch.Book{}, []message.Mode{message.Alert, message.Ready}, map[int][]message.Problem{0: {troubled("mysql_away", "the server is away")}})
	w := &follower{cfg: &fleetFile{Environment: "test"}, fleet: f, book: &watch.Book{}, dirty: make(chan struct{}, 1)}
	term := openTerminal(near, near)
	if term == nil {
		t.Fatal("no terminal")
	}
	ran := make(chan error, 1)
	go func() { ran <- newScreen(w, term, "", nil).run(t.Context()) }()
	seen := make(chan string, 1000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			seen <- string(buf[:n])
		}
	}()
	text := ""
	until := func(want string) {
		t.Helper()
		for end := time.After(20 * time.Second); !strings.Contains(text, want); {
			select {
			case s := <-seen:
				text += s
			case <-end:
				t.Fatalf("waited in vain for %q: %q", want, text)
			}
		}
		_, text, _ = strings.Cut(text, want)
	}
	until(enterScreen)
	until("[+1] silent: its state")
	if _, err := far.WriteString("/none\r"); err != nil {
		t.Fatal(err)
	}
	until("no station that fits the filter")
	if _, err := far.WriteString("\x1b[Bq"); err != nil { // a key that is more than one byte, and the end
		t.Fatal(err)
	}
	until(leaveScreen)
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if after, err := unix.IoctlGetTermios(int(near.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("the terminal is left in another mode: %+v %v", after, err)
	}
}

func TestNoTerminalIsNone(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if openTerminal(f, f) != nil || openTerminal(strings.NewReader(""), &strings.Builder{}) != nil {
		t.Error("/dev/null is a terminal")
	}
}
