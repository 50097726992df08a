package gpio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// pin is one line of a chip: a pin of periph that can be given back.
type pin interface {
	gpio.PinIO
	Close()
}

// chip is one GPIO chip of the kernel.
type chip struct {
	name, label string
	pins        []pin // by offset
}

// headers are the labels of the chips that a Pi's header is wired to, pin n to line n: Pi 5, Pi 4, and all before.
func headers() []string { return []string{"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"} }

// line finds the pin of a name. That it is there says nothing about whether it can be had.
func (h Host) line(name string) (pin, error) {
	p, err := parse(name)
	if err != nil {
		return nil, err
	}
	find := h.chips
	if find == nil {
		find = periphChips
	}
	chips, err := find()
	if err != nil {
		return nil, err
	}
	if p.kind == "header" {
		return headerPin(chips, p.number)
	}
	return chipLine(chips, p)
}

// headerPin goes by the label of the chip, as its number changes from kernel to kernel and the names of the lines do, too.
// Where there is no Pi's chip, a line may be named like the pin.
func headerPin(chips []chip, number int) (pin, error) {
	for _, c := range chips {
		if slices.Contains(headers(), c.label) && number < len(c.pins) {
			return c.pins[number], nil
		}
	}
	want := fmt.Sprintf("GPIO%d", number)
	var found []pin
	for _, c := range chips {
		for _, p := range c.pins {
			if p.Name() == want || p.Name() == c.name+"-"+want { // periph's name for the second one
				found = append(found, p)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no chip here is a Pi's and no line is named %s: name it LABEL:OFFSET (gpioinfo lists them)", want)
	case 1:
		return found[0], nil
	default:
		return nil, fmt.Errorf("%d lines are named %s: name one LABEL:OFFSET (gpioinfo lists them)", len(found), want)
	}
}

func chipLine(chips []chip, p place) (pin, error) {
	var found []chip
	for _, c := range chips {
		if c.label == p.chip || c.name == p.chip {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("no GPIO chip is labelled %q (gpioinfo lists them)", p.chip)
	case len(found) > 1:
		return nil, fmt.Errorf("%d GPIO chips are labelled %q: name the chip by its number, such as %s", len(found), p.chip, found[0].name)
	case p.number >= len(found[0].pins):
		return nil, fmt.Errorf("chip %q has %d lines, and none at offset %d", p.chip, len(found[0].pins), p.number)
	}
	return found[0].pins[p.number], nil
}

// periphChips gives the chips that could be opened when it was called first; periph looks once in the life of a program.
func periphChips() ([]chip, error) {
	if _, err := driverreg.Init(); err != nil { // a driver that found nothing is no error
		return nil, fmt.Errorf("start periph: %w", err)
	}
	keepStdin()
	var list []chip
	for _, c := range gpioioctl.Chips {
		one := chip{name: c.Name(), label: c.Label()}
		for _, l := range c.Lines() {
			one.pins = append(one.pins, l)
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, noChips("/dev/gpiochip*")
	}
	return list, nil
}

// lineAdvice tells a person what to do about an error of a line. One whose chip went stays with that chip, which periph doesn't look for again.
func lineAdvice(err error) string {
	if errors.Is(err, unix.ENODEV) {
		return "its chip is gone: plug it in again, then restart the agent"
	}
	return advice(err)
}

// noChips says why no chip could be opened.
func noChips(pattern string) error {
	nodes, _ := filepath.Glob(pattern)
	for _, node := range nodes {
		f, err := os.Open(node)
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%w: put the agent's user into the group that owns it (gpio), then restart the agent", err)
		}
		if err == nil {
			_ = f.Close()
		}
	}
	if len(nodes) > 0 {
		return fmt.Errorf("%s could not be opened when the agent started: restart it", strings.Join(nodes, ", "))
	}
	return fmt.Errorf("this machine has no GPIO chip (%s)", pattern)
}

// keepStdin gives descriptor 0 back to nobody (defect b): a line that got it would pass for one that was never asked for.
func keepStdin() {
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		return
	}
	_, _ = unix.Open("/dev/null", unix.O_RDWR, 0) // the lowest free number, which is 0; it stays open on purpose
}
