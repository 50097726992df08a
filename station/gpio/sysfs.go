package gpio

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (h Host) sys() string { return cmp.Or(h.Sys, "/sys") }

// put writes one value into a file of sysfs, which never makes one.
func put(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// led is an LED of the kernel, see Documentation/leds/leds-class.rst of Linux.
type led struct{ folder, on string }

func openLED(sys, name string) (*led, error) {
	folder := filepath.Join(sys, "class/leds", name)
	most, err := os.ReadFile(filepath.Join(folder, "max_brightness"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: is the overlay gpio-led loaded, with label=%s?", err, name)
	} else if err != nil {
		return nil, err
	}
	if err := put(filepath.Join(folder, "trigger"), "none"); err != nil && !errors.Is(err, fs.ErrNotExist) { // the kernel would blink along
		return nil, fmt.Errorf("%w: %s", err, advice(err))
	}
	return &led{folder, strings.TrimSpace(string(most))}, nil
}

func (l *led) set(hertz int) error {
	value := "0"
	if hertz > 0 {
		value = l.on
	}
	if err := put(filepath.Join(l.folder, "brightness"), value); err != nil {
		return fmt.Errorf("%w: %s", err, advice(err))
	}
	return nil
}

func (l *led) close() error { return nil }

// pwm is a channel of the kernel's PWM, see Documentation/driver-api/pwm.rst of Linux.
type pwm struct{ folder string }

func openPWM(sys string, p place) (*pwm, error) {
	chip, err := pwmChip(filepath.Join(sys, "class/pwm"), p.chip)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(chip, "pwm"+strconv.Itoa(p.number))
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		err := put(filepath.Join(chip, "export"), strconv.Itoa(p.number))
		if err != nil && !errors.Is(err, unix.EBUSY) { // made by somebody else meanwhile
			return nil, fmt.Errorf("%w: %s", err, advice(err))
		}
	}
	if _, err := os.Stat(folder); err != nil {
		return nil, err
	}
	return &pwm{folder}, nil // its files may still be root's for a moment, until udev has seen them: the first set tells
}

// pwmChip finds the folder of a chip by its number, by the name of its device, or as the only one.
func pwmChip(class, name string) (string, error) {
	chips, err := filepath.Glob(filepath.Join(class, "pwmchip*"))
	if err != nil {
		return "", err
	}
	var names []string
	for _, c := range chips {
		device, _ := os.Readlink(filepath.Join(c, "device"))
		if name == filepath.Base(c) || name != "" && name == filepath.Base(device) || name == "" && len(chips) == 1 {
			return c, nil
		}
		names = append(names, fmt.Sprintf("%s (%s)", filepath.Base(c), filepath.Base(device)))
	}
	switch {
	case len(chips) == 0:
		return "", errors.New("the kernel has no PWM: is the overlay pwm or pwm-gpio loaded?")
	case name == "":
		return "", fmt.Errorf("there are several PWM chips, name one as pwm:CHIP:CHANNEL: %s", strings.Join(names, ", "))
	default:
		return "", fmt.Errorf("no PWM chip is called %q; there are %s", name, strings.Join(names, ", "))
	}
}

// set is silent before the period changes: a period shorter than the duty cycle is refused.
func (p *pwm) set(hertz int) error {
	steps := [][2]string{{"duty_cycle", "0"}, {"enable", "0"}}
	if hertz > 0 {
		period := 1_000_000_000 / hertz // ns
		steps = [][2]string{{"duty_cycle", "0"}, {"period", strconv.Itoa(period)}, {"duty_cycle", strconv.Itoa(period / 2)}, {"enable", "1"}}
	}
	for _, s := range steps {
		err := put(filepath.Join(p.folder, s[0]), s[1])
		if errors.Is(err, unix.EINVAL) && hertz == 0 { // no period was ever set, so it does not sound either
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, advice(err))
		}
	}
	return nil
}

func (p *pwm) close() error { return nil }

// advice tells a person what to do about err.
func advice(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "the agent's user needs the right to write there: the group gpio, or a udev rule for leds and pwm"
	case errors.Is(err, unix.EBUSY):
		return "another program or a device tree overlay has it: end that, or take another pin (gpioinfo shows who)"
	case errors.Is(err, unix.ENODEV), errors.Is(err, fs.ErrNotExist):
		return "it is gone: plug it in again"
	default:
		return "look at the wiring and at dmesg"
	}
}
