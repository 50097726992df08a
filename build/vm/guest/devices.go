package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelEvents tells that a device came or went.
type kernelEvents struct{ socket int }

func listenToKernel() (kernelEvents, error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		err = unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		err = fmt.Errorf("listen to the kernel: %w", err)
	}
	return kernelEvents{socket}, err
}

// follow keeps groups and links as udev would.
func (k kernelEvents) follow() {
	buf := make([]byte, 1<<16)
	for {
		settle()
		if _, err := unix.Read(k.socket, buf); err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			say("listen to the kernel: %v", err)
			return
		}
	}
}

func settle() {
	for pattern, group := range map[string]int{"/dev/gpiochip*": gpio, "/dev/ttyUSB*": dialout, "/dev/ttyAMA*": dialout, "/dev/input/event*": input} {
		nodes, _ := filepath.Glob(pattern)
		for _, node := range nodes {
			if err := errors.Join(os.Chown(node, 0, group), os.Chmod(node, 0o660)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				say("hand out %s: %v", node, err)
			}
		}
	}
	want, have := wantedLinks(), currentLinks()
	for link := range have {
		if want[link] != have[link] {
			say("gone: %s", link)
			_ = os.Remove(link)
		}
	}
	for _, link := range slices.Sorted(maps.Keys(want)) {
		if want[link] != have[link] {
			_ = os.MkdirAll(filepath.Dir(link), 0o755)
			say("there is %s: %s: %v", link, want[link], os.Symlink(want[link], link))
		}
	}
}

// currentLinks gives the links there are, and where they lead.
func currentLinks() map[string]string {
	links := map[string]string{}
	found, _ := filepath.Glob("/dev/*/by-id/*")
	for _, link := range found {
		links[link], _ = os.Readlink(link)
	}
	return links
}

// wantedLinks gives those that udev's rules 60-serial and 60-persistent-input make for devices on USB.
func wantedLinks() map[string]string {
	links := map[string]string{}
	ttys, _ := filepath.Glob("/sys/class/tty/ttyUSB*")
	for _, tty := range ttys {
		if device, part := usb(tty); device != "" {
			port := attribute(filepath.Join(tty, "device"), "port_number")
			links[fmt.Sprintf("/dev/serial/by-id/%s-if%s-port%s", device, part, port)] = "../../" + filepath.Base(tty)
		}
	}
	keyboards, _ := filepath.Glob("/sys/class/input/event*") // all that is on USB here
	for _, event := range keyboards {
		if device, _ := usb(event); device != "" {
			links["/dev/input/by-id/"+device+"-event-kbd"] = "../" + filepath.Base(event)
		}
	}
	return links
}

// usb gives the name by which udev knows the USB device of something in sysfs, "" if it has none, and its interface.
func usb(class string) (name, part string) {
	dir, err := filepath.EvalSymlinks(class)
	for ; err == nil && dir != "/sys"; dir = filepath.Dir(dir) {
		if n := attribute(dir, "bInterfaceNumber"); n != "" {
			part = n
		}
		if attribute(dir, "idVendor") == "" {
			continue
		}
		name = "usb-" + attribute(dir, "manufacturer") + "_" + attribute(dir, "product")
		if serial := attribute(dir, "serial"); serial != "" {
			name += "_" + serial
		}
		return strings.ReplaceAll(name, " ", "_"), part
	}
	return "", ""
}

func attribute(dir, name string) string {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(text))
}

// grab tries to take an input device as another program would.
func grab(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const eviocgrab = 0x40044590
	return unix.IoctlSetInt(int(f.Fd()), eviocgrab, 1)
}
