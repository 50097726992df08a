// Package gpio drives lamps and buzzers and reads buttons: at the pins of a Raspberry Pi, at any other GPIO chip of the
// kernel, as LEDs and PWM channels that the kernel made of pins.
//
//	GPIO17             the pin of that number on the Pi's header, 2 to 27
//	LABEL:OFFSET       a line of the chip with that label, such as pinctrl-rp1:17 (gpioinfo lists them)
//	gpiochip0:17       the same by the chip's number, which changes with kernel and board
//	led:NAME           an output below /sys/class/leds, made by dtoverlay=gpio-led
//	pwm:CHANNEL        an output below /sys/class/pwm that sounds at any pitch, made by dtoverlay=pwm or pwm-gpio;
//	pwm:CHIP:CHANNEL   if there are several: CHIP is pwmchip0, or the name of its device, which doesn't change
//
// It promises
//
//   - An output is never read. What it shows is what was set last, and is kept here.
//   - A button is what its level says, read anew after each edge and four times a second without one: edges tell only that
//     something happened. A press counts once the level stood still for a while, so a spark on a long wire is none.
//   - A button that was held down when it was opened is no press until it was let go.
//   - A dead line is a trouble of its own, told once and opened again; it is neither a press nor a busy loop.
//   - Closing an output leaves it dark.
//
// It needs no more rights than the group gpio, registers nothing and never touches a pin that the configuration doesn't name.
//
// # periph v3.8.5
//
// Of periph only gpioioctl is linked, the kernel's character devices: one way on all boards since Linux 5.10. periph's
// host package would add every other driver, among them bcm283x, which maps the registers of a Pi 4 into a Pi 5 when it runs as root.
// What gpioioctl does wrong, and what is done about it here, by the letters that the tests name, too:
//
//	a  WaitForEdge(0) waits for ever, and a negative time not at all   only times of 1 ms and more are passed
//	b  Init closes descriptor 0 when two nodes show one chip (Pi 5)     keepStdin
//	c  Read, Func and String make an input of an output                 an output is handed on as gpio.PinOut's Out alone
//	d  a first Out(High) is low for some microseconds                   wire lamps active-high; don't hang a latching relay there
//	e  no lock against Halt, Read and WaitForEdge at once               one goroutine has a pin, and stops by its time-out
//	f  Float is not passed to the kernel                                inputs are pulled up or down
//	g  the kind of an edge is dropped, 16 of them are queued            the level is read
//	h  no PWM                                                           the kernel's, by sysfs
//	i  registers bypassed the kernel (bcm283x)                          not linked
//	j  (a driver of periph's devices)                                   not linked
//	k  two drivers register one name (sysfs beside bcm283x)             not linked, and names are looked up here
//	l  after a failed Out or In the next one uses descriptor 0          a pin that failed is closed before it is used again
//	m  Read gives Low for an error, which is a button pressed           see Button.Run: a dead line is found by the wait before
package gpio

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Host is where pins, LEDs and PWM channels are looked for. The zero Host is this machine.
type Host struct {
	Sys string // where sysfs is mounted, "" means /sys

	chips func() ([]chip, error) // nil means periph's
}

// The pins of the header. 0 and 1 belong to the memory of an add-on board, those from 28 on to the board itself.
const (
	firstPin = 2
	lastPin  = 27
)

// place is a name taken apart.
type place struct {
	kind   string // "header", "line", "led" or "pwm"
	chip   string // a line's chip, or a PWM's, "" for the only one
	led    string
	number int // of the pin, the line or the channel
}

// parse reads a name.
func parse(name string) (place, error) {
	bad := func(text string) (place, error) { return place{}, fmt.Errorf("%q %s", name, text) }
	if n, ok := strings.CutPrefix(name, "GPIO"); ok && !strings.Contains(n, ":") {
		number, ok := natural(n)
		switch {
		case !ok:
			return bad("is no pin: write GPIO17, LABEL:OFFSET, led:NAME or pwm:CHANNEL")
		case number < firstPin || number > lastPin:
			return bad("is not on the header for all to use: GPIO2 to GPIO27 are (LABEL:OFFSET takes any line)")
		}
		return place{kind: "header", number: number}, nil
	}
	head, rest, ok := strings.Cut(name, ":")
	switch {
	case !ok || head == "" || rest == "":
		return bad("is no pin: write GPIO17, LABEL:OFFSET, led:NAME or pwm:CHANNEL")
	case head == "led" && (strings.ContainsAny(rest, "/\x00") || strings.Trim(rest, ".") == ""):
		return bad("is no name below /sys/class/leds")
	case head == "led":
		return place{kind: "led", led: rest}, nil
	}
	i := strings.LastIndex(name, ":")
	number, ok := natural(name[i+1:])
	if !ok {
		return bad("does not end in a number")
	}
	if head == "pwm" {
		return place{kind: "pwm", chip: strings.TrimPrefix(name[min(i, len("pwm:")):i], ":"), number: number}, nil
	}
	return place{kind: "line", chip: name[:i], number: number}, nil
}

// natural reads a number of at most four digits as people write it.
func natural(s string) (n int, ok bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) <= 4 && strconv.Itoa(n) == s && n >= 0
}

// CheckOutput tells what is wrong with the name of an output. Whether the machine has it turns out when it is opened.
func CheckOutput(name string, activeLow bool) error {
	p, err := parse(name)
	if err == nil && activeLow && (p.kind == "led" || p.kind == "pwm") {
		return errors.New("is not for led: and pwm:, where the overlay says which level is on")
	}
	return err
}

// CheckInput tells what is wrong with the name of a button.
func CheckInput(name string) error {
	p, err := parse(name)
	if err == nil && (p.kind == "led" || p.kind == "pwm") {
		return fmt.Errorf("%q is an output: a button is at GPIO17 or LABEL:OFFSET", name)
	}
	return err
}

// CheckSound tells whether an output of that name sounds at a given pitch.
func CheckSound(name string) bool {
	p, err := parse(name)
	return err == nil && p.kind == "pwm"
}

// Warning tells what may go wrong with a name that is right, "" if nothing.
func Warning(name string) string {
	if p, err := parse(name); err == nil && (p.kind == "line" || p.kind == "pwm") && chipNumber(p.chip) {
		return fmt.Sprintf("%q names a chip by its number, which another kernel changes: better its label (gpioinfo shows it)", name)
	}
	return ""
}

func chipNumber(chip string) bool {
	return numbered(chip, "gpiochip") || numbered(chip, "pwmchip")
}

func numbered(chip, prefix string) bool {
	n, ok := strings.CutPrefix(chip, prefix)
	_, number := natural(n)
	return ok && number
}
