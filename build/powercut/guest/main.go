// Command guest is all that runs in the virtual machine: its init. It mounts the card, does the work and says after each
// step that it is done. With "FLUSHES=none" on the kernel's command line its fsync does nothing.
//
//	/dev/vda    the card
//	/dev/ttyS0  the console, for people
//	/dev/ttyS1  one byte to the host for each step done, one byte back when the host has noted it
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"station-agent/build/powercut"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest:", err)
	} else {
		fmt.Println("guest: all done")
	}
	syscall.Sync()
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("guest: power off:", err)
	}
}

func run() error {
	if err := mount(); err != nil {
		return err
	}
	host, err := connect("/dev/ttyS1")
	if err != nil {
		return err
	}
	if os.Getenv("FLUSHES") == "none" {
		if err := ignoreFlushes(); err != nil {
			return fmt.Errorf("ignore flushes: %w", err)
		}
	}
	rounds, err := strconv.Atoi(os.Getenv("ROUNDS"))
	if err != nil {
		return fmt.Errorf("read ROUNDS: %w", err)
	}
	if err := say(host); err != nil { // the kernel has mounted the card
		return err
	}
	said := func() error { return say(host) }
	if err := powercut.Work("/card/station", powercut.Script(rounds), said); err != nil {
		return err
	}
	return syscall.Unmount("/card", 0)
}

// mount loads the modules and mounts what the work needs.
func mount() error {
	if err := errors.Join(
		syscall.Mount("dev", "/dev", "devtmpfs", 0, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""),
		syscall.Mount("sys", "/sys", "sysfs", 0, ""),
	); err != nil {
		return fmt.Errorf("mount the kernel's folders: %w", err)
	}
	modules, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, name := range modules {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(unix.FinitModule(int(f.Fd()), "", 0), f.Close()); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	if err := syscall.Mount("/dev/vda", "/card", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the card: %w", err)
	}
	return nil
}

// connect opens a serial line for bytes as they are.
func connect(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	line, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read settings of %s: %w", name, err)
	}
	line.Iflag, line.Oflag, line.Lflag = 0, 0, 0
	line.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	line.Cc[unix.VMIN], line.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, line); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return f, nil
}

// say tells the host that a step is done and waits until it is noted.
func say(host io.ReadWriter) error {
	b := []byte{'.'}
	if _, err := host.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(host, b)
	return err
}
