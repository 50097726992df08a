// Package stationtest stands in for the hardware of the bench, for tests and the demo: a barcode scanner at a
// pseudo-terminal, and a reader of tags that must be asked (Module).
//
// It promises to work without any privilege, and that the agent meets what it would meet at a real port: bytes as they
// were sent, no echo, an error when the scanner is unplugged, a new device behind the same link when it is plugged in.
//
// Two things are kinder than a real port. What is sent while nobody has the port open waits for the next one who opens
// it (up to 4 kB). And a port whose user was killed is free again: a real port is freed with its last file, while a
// pseudo-terminal would stay exclusive (TIOCEXCL) as long as this package holds it.
package stationtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Scanner is a scanner with a carriage return as suffix. Its methods may be called from several goroutines.
type Scanner struct {
	path string

	mu      sync.Mutex
	far     *os.File // the scanner's side; nil while it is unplugged
	near    int      // a second file on the agent's side, which keeps the bytes and frees the port
	stop    chan struct{}
	stopped chan struct{}
}

// NewScanner plugs a scanner in. Its device is a link in the folder dir.
func NewScanner(dir string) (*Scanner, error) {
	s := &Scanner{path: filepath.Join(dir, "scanner")}
	return s, s.Plug()
}

// Path is the stable path of the device.
func (s *Scanner) Path() string { return s.path }

// Scan sends code and a carriage return.
func (s *Scanner) Scan(code string) error {
	_, err := s.Write([]byte(code + "\r"))
	return err
}

// Write sends bytes as they are. It gives up after 5 s if nobody reads.
func (s *Scanner) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.far == nil {
		return 0, errors.New("write to the scanner: it is unplugged")
	}
	if err := s.far.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, err
	}
	return s.far.Write(p)
}

// Read takes what was written to it. It waits until something comes, or for 20 ms: then it gives nothing.
func (s *Scanner) Read(p []byte) (int, error) {
	s.mu.Lock()
	far := s.far
	s.mu.Unlock()
	if far == nil {
		return 0, errors.New("read at the scanner: it is unplugged")
	}
	if err := far.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		return 0, err
	}
	n, err := far.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}

// Play lets m answer at the scanner's port until stop is closed or the scanner unplugged.
func (s *Scanner) Play(m *Module, stop <-chan struct{}) {
	buf := make([]byte, 256)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, err := s.Read(buf)
		if n > 0 {
			m.Tell(buf[:n])
		}
		if says := m.Says(); err == nil && len(says) > 0 {
			_, err = s.Write(says)
		}
		if err != nil {
			return
		}
	}
}

// Plug plugs the scanner in: a new device behind the same path. A scanner that is plugged in stays so.
func (s *Scanner) Plug() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.far != nil {
		return nil
	}
	if err := s.plug(); err != nil {
		return errors.Join(fmt.Errorf("plug scanner in: %w", err), s.unplug())
	}
	return nil
}

// Unplug pulls the plug: the device is gone, and so is its path.
func (s *Scanner) Unplug() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unplug()
}

// Close ends the scanner.
func (s *Scanner) Close() error { return s.Unplug() }

func (s *Scanner) plug() (err error) {
	if s.far, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err != nil {
		return err
	}
	conn, err := s.far.SyscallConn()
	if err != nil {
		return err
	}
	var device string
	if e := conn.Control(func(fd uintptr) { device, err = unlock(int(fd)) }); e != nil || err != nil {
		return errors.Join(e, err)
	}
	near, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: device, Err: err}
	}
	s.near, s.stop, s.stopped = near, make(chan struct{}), make(chan struct{})
	go free(near, s.stop, s.stopped)
	return s.link(device)
}

// unlock makes the other side ready: raw, without echo, before anybody can open it.
func unlock(fd int) (device string, err error) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return "", err
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/dev/pts/%d", n), unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
}

// link points the path at device in one step, so that nobody sees half of it.
func (s *Scanner) link(device string) error {
	fresh := s.path + ".new"
	_ = os.Remove(fresh)
	if err := os.Symlink(device, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, s.path)
}

func (s *Scanner) unplug() error {
	if s.far == nil {
		return nil
	}
	err := s.far.Close() // hangs up every file on the other side
	s.far = nil
	if s.stop != nil {
		close(s.stop)
		<-s.stopped
		err = errors.Join(err, unix.Close(s.near))
		s.stop = nil
	}
	if e := os.Remove(s.path); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// free lifts TIOCEXCL again and again: flock keeps a second user out all the same, and ends with its process.
func free(fd int, stop, stopped chan struct{}) {
	defer close(stopped)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
		case <-stop:
			return
		}
	}
}
