// Package vm boots stock Debian kernels in QEMU and runs the agent's real binary in them, as a user with the groups that the
// README names, with devices that this host plays: make vm.
//
//	  this host                                │ QEMU: a Debian kernel, the guest (its init), the agent
//	                                           │
//	  Pins ──── levels of lamps, of a button ──┼─► GPIO chip ──► /dev/gpiochip0
//	  a scanner on a socket, plugged and not ──┼─► usb-serial ─► /dev/ttyUSBn ◄─ /dev/serial/by-id/...
//	  keys ────────────────────────────────────┼─► usb-kbd ────► /dev/input/eventn
//	  MariaDB, Certyo's stand-in, broker ──────┼─► 10.0.2.2
//	  bed.Log ◄── lines of the agent ──────────┼── console
//
//	machine  kernel            agent     pins                                 besides
//	arm64    Debian 13, arm64  arm64     PL061, its lines named like a Pi's   USB, network
//	armv7    Debian 13, armhf  GOARM=7   the same                             the same
//	raspi0   Debian 12, armel  GOARM=6   the BCM2835 of a Pi Zero             reader at the header's UART; no network, no clock
//
// What is seen from outside must follow: the lamps what is scanned, the rows and the records what the lamps promised. What it
// can't show: real levels, pull-ups and sparks, the boot of a Pi, edges on its own GPIO (QEMU makes none there, so that the
// button of raspi0 is only polled), and how fast anything is.
//
// It needs no root. QEMU and the kernels are Debian packages in the cache (see build/qemu).
package vm
