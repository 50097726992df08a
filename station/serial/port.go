package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// port is one opened tty. The runtime's poller serves it, so that reads have deadlines.
type port struct {
	file  *os.File
	raw   syscall.RawConn // reaches the descriptor without taking it from the poller
	marks marks
}

// open opens and claims the port, and sets it to raw bytes.
func open(c Config) (*port, error) {
	f, err := os.OpenFile(c.Device, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	p := &port{file: f}
	if p.raw, err = f.SyscallConn(); err == nil {
		err = p.claim(c)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// claim takes the lock before it touches anything, so that a port in use keeps its settings.
func (p *port) claim(c Config) error {
	cflag, err := c.cflag()
	if err != nil {
		return err
	}
	return p.control("claim", func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return err
		}
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			return err
		}
		t.Iflag = unix.INPCK | unix.PARMRK // see marks
		t.Oflag, t.Lflag, t.Cflag = 0, 0, cflag
		t.Ispeed, t.Ospeed = uint32(c.Baud), uint32(c.Baud)
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0 // with VMIN 0 silence would look like the end of the file
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

// read waits for bytes: n > 0, or 0 and nil after a gap without any, or an error.
func (p *port) read(ctx context.Context, buf []byte, gap time.Duration) (n int, err error) {
	if err := p.file.SetReadDeadline(time.Now().Add(gap)); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil { // ctx ends before wake is called: either this sees it or wake comes after the deadline
		return 0, err
	}
	n, err = p.file.Read(buf)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, p.name(err)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return p.look(buf)
}

// look reads what is there without waiting. Bytes that lay there while this program waited for a processor are no gap.
func (p *port) look(buf []byte) (n int, err error) {
	err = p.control("read", func(fd int) (err error) {
		n, err = unix.Read(fd, buf)
		return err
	})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, p.name(io.EOF)
	}
	return n, nil
}

// name adds the path to the end of a file, which comes without.
func (p *port) name(err error) error {
	if err == io.EOF {
		return p.error(err)
	}
	return err
}

func (p *port) error(err error) error {
	return &os.PathError{Op: "read", Path: p.file.Name(), Err: err}
}

var errAstray = errors.New("the path leads to another device now, or to none")

// astray tells whether the path leads elsewhere than to the opened device. A device that was plugged in again is another one,
// also under the same name.
func (p *port) astray() bool {
	opened, err := p.file.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(p.file.Name())
	return err != nil || !os.SameFile(opened, now)
}

// writeTime is for a command of some ten bytes, which the kernel just takes unless the device is stuck.
const writeTime = time.Second

// write writes all of b, or gives an error in time. What the kernel took goes out even if the port is closed at once.
func (p *port) write(b []byte) error {
	if err := p.file.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := p.file.Write(b)
	return err
}

// wake ends a read that waits.
func (p *port) wake() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) }

// close gives the port back. A pseudo-terminal that its maker holds open would stay exclusive without the ioctl.
func (p *port) close() {
	letGo(p.unsent, func() {
		_ = p.control("drop", func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) })
	})
	_ = p.control("release", func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
	_ = p.file.Close()
}

// letGo waits a moment for what was written, and drops what a stuck reader doesn't take: the kernel's close would wait 30 s for it.
func letGo(unsent func() bool, drop func()) {
	for end := time.Now().Add(writeTime); unsent(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			drop()
			return
		}
	}
}

// unsent tells whether something that was written hasn't left the port yet.
func (p *port) unsent() bool {
	var n int
	err := p.control("ask", func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		return err
	})
	return err == nil && n > 0
}

func (p *port) control(op string, f func(fd int) error) (err error) {
	if e := p.raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	if err != nil {
		return &os.PathError{Op: op, Path: p.file.Name(), Err: err}
	}
	return nil
}

// cflag is the control flags of termios: speed, 8 data bits, parity, 1 stop bit, no modem lines.
func (c Config) cflag() (uint32, error) {
	flags, ok := speed(c.Baud)
	if !ok {
		return 0, fmt.Errorf("baud %d is no standard rate: use one of 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600", c.Baud)
	}
	flags |= unix.CS8 | unix.CREAD | unix.CLOCAL
	switch c.Parity {
	case "", "none":
	case "even":
		flags |= unix.PARENB
	case "odd":
		flags |= unix.PARENB | unix.PARODD
	default:
		return 0, fmt.Errorf("parity %q is unknown: use none, even or odd", c.Parity)
	}
	return flags, nil
}

func speed(baud int) (flag uint32, ok bool) {
	for _, s := range []struct {
		baud int
		flag uint32
	}{
		{1200, unix.B1200}, {2400, unix.B2400}, {4800, unix.B4800}, {9600, unix.B9600}, {19200, unix.B19200},
		{38400, unix.B38400}, {57600, unix.B57600}, {115200, unix.B115200}, {230400, unix.B230400},
		{460800, unix.B460800}, {921600, unix.B921600},
	} {
		if s.baud == baud {
			return s.flag, true
		}
	}
	return 0, false
}
