// Command guest is the init of a virtual machine that plays a packing station: all that runs there besides the agent.
//
// It does what udev, the network and systemd do on a real one: the links below /dev/serial/by-id and /dev/input/by-id, the
// groups of the devices, an address, and the agent as a user who is in those groups and nothing else. Everything that the
// agent says goes to the console line by line, between lines that begin with "guest:". The host writes what it wants there:
//
//	start              run the agent (it runs from the beginning)
//	stop               ask it to end, as systemd does
//	kill               kill it, and do what ExecStopPost= does
//	grab PATH          try to take an input device, and say what came of it
//	lamp-test          ask it for a lamp test
//	status             ask the agent how it is
//	dmesg              write out the kernel's messages
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		say("%v", err)
	}
	say("the end")
	syscall.Sync()
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		say("power off: %v", err)
	}
	select {} // a Raspberry Pi in QEMU can't: an init that ends is a panic of the kernel
}

var console sync.Mutex // one line at a time

// say writes a line of the guest's own.
func say(format string, args ...any) { write("guest: " + fmt.Sprintf(format, args...)) }

func write(line string) {
	console.Lock()
	defer console.Unlock()
	fmt.Println(line)
}

func run() error {
	if err := prepare(); err != nil {
		return err
	}
	if err := network(); err != nil {
		return err
	}
	events, err := listenToKernel()
	if err != nil {
		return err
	}
	go events.follow()
	a := &agent{}
	a.start()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		obey(a, strings.Fields(in.Text()))
	}
	return errors.Join(in.Err(), errors.New("the console has ended"))
}

func obey(a *agent, words []string) {
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "start":
		a.start()
	case "stop":
		a.end(syscall.SIGTERM)
	case "kill":
		a.end(syscall.SIGKILL)
		a.lampsOff()
	case "grab":
		say("grab %s: %v", words[1], grab(words[1]))
	case "lamp-test":
		out, err := asUser("lamp-test").CombinedOutput()
		say("lamp-test: %v %s", err, out)
	case "status":
		a.status()
	case "dmesg":
		dmesg()
	default:
		say("no such command: %q", words)
	}
}

// prepare mounts what the kernel has, loads the modules and takes over the console.
func prepare() error {
	if err := errors.Join(
		syscall.Mount("dev", "/dev", "devtmpfs", 0, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""),
		syscall.Mount("sys", "/sys", "sysfs", 0, ""),
	); err != nil {
		return fmt.Errorf("mount the kernel's folders: %w", err)
	}
	line, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read settings of the console: %w", err)
	}
	line.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(0, unix.TCSETS, line); err != nil {
		return fmt.Errorf("set up the console: %w", err)
	}
	modules, err := filepath.Glob("/modules/*")
	if err != nil {
		return err
	}
	for _, name := range modules {
		if err := load(name); err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
	}
	say("up after %v, clock %v", time.Since(booted()).Round(time.Millisecond), time.Now().UTC().Format(time.DateTime))
	// From here on the kernel says on the console only that it dies: its messages would stand amid the agent's lines.
	return errors.Join(os.WriteFile("/proc/sys/kernel/printk", []byte("1"), 0o644), own("/station"))
}

func load(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// booted is when the kernel began.
func booted() time.Time {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Now().Add(-time.Duration(ts.Nano()))
}

func dmesg() {
	buf := make([]byte, 1<<18)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		say("read the kernel's messages: %v", err)
		return
	}
	for line := range strings.Lines(string(buf[:n])) {
		say("kernel %s", strings.TrimSpace(line))
	}
	say("no more messages")
}
