package main

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a screen and its keys, while a command has them for itself.
type terminal struct {
	in, out *os.File
	was     unix.Termios
}

// The control sequences of ECMA-48 and xterm that every terminal of today knows.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	inverse     = "\x1b[7m"
	inverseEnd  = "\x1b[0m"
)

// openTerminal gives the terminal on both sides of a command; nil if there is none.
func openTerminal(in io.Reader, out io.Writer) *terminal {
	t := &terminal{}
	var ok bool
	if t.in, ok = in.(*os.File); !ok {
		return nil
	}
	if t.out, ok = out.(*os.File); !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	was, err := unix.IoctlGetTermios(int(t.in.Fd()), unix.TCGETS)
	if err != nil {
		return nil
	}
	if _, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil
	}
	t.was = *was
	return t
}

// begin takes the screen and each key as it is pressed. A read ends after a tenth of a second without one.
func (t *terminal) begin() error {
	raw := t.was
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Iflag &^= unix.IXON | unix.ICRNL
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 1
	if err := unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &raw); err != nil {
		return err
	}
	_, err := io.WriteString(t.out, enterScreen)
	return err
}

// end gives everything back.
func (t *terminal) end() {
	_, _ = io.WriteString(t.out, leaveScreen) // there is nobody to tell
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &t.was)
}

// size is columns and lines; it may change at any time.
func (t *terminal) size() (width, height int) {
	w, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}

// keys reads what is typed until ctx ends or the terminal is gone, and then closes to.
func (t *terminal) keys(ctx context.Context, to chan<- rune) {
	defer close(to)
	var rest []byte
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		n, err := unix.Read(int(t.in.Fd()), buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return
		}
		var keys []rune
		keys, rest = readKeys(append(rest, buf[:n]...), n == 0)
		for _, k := range keys {
			select {
			case to <- k:
			case <-ctx.Done():
				return
			}
		}
	}
}
