package stationtest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestScannerFreesThePortOfAKilledUser needs an ordinary user to fail: root may open an exclusive port.
func TestScannerFreesThePortOfAKilledUser(t *testing.T) {
	s, err := NewScanner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Scan("4006381333931"); err != nil {
			t.Fatal(err)
		}
		fd := open(t, s.Path())
		buf := make([]byte, 100)
		if n, err := unix.Read(fd, buf); err != nil || string(buf[:n]) != "4006381333931\r" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd) // as the kernel does for a killed process
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path is still there: %v", err)
	}
	if err := s.Scan("x"); err == nil {
		t.Error("an unplugged scanner scans")
	}
}

// open opens the port once it is free.
func open(t *testing.T, path string) int {
	t.Helper()
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0)
		if err == nil {
			return fd
		}
		if !errors.Is(err, unix.EBUSY) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
