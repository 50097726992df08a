package main

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// network gives the addresses that QEMU's network expects; the host is a neighbour, at 10.0.2.2, and there is nothing else.
func network() error {
	for name, address := range map[string]net.IP{"lo": net.IPv4(127, 0, 0, 1), "eth0": net.IPv4(10, 0, 2, 15)} {
		if _, err := net.InterfaceByName(name); err != nil && name != "lo" {
			say("no network: %v", err)
			continue
		}
		if err := raise(name, address); err != nil {
			return fmt.Errorf("set up %s: %w", name, err)
		}
	}
	return nil
}

func raise(name string, address net.IP) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := request.SetInet4Addr(address.To4()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, request); err != nil {
		return err
	}
	if err := request.SetInet4Addr(address.DefaultMask()); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCSIFNETMASK, request); err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}
