package vm

import "fmt"

// Lamps are the outputs of the station as bits, from the top of its post.
type Lamps uint8

// Each lamp.
const (
	Red Lamps = 1 << iota
	Yellow
	Green
	Blue
	White
	Buzzer
)

// Pins are the GPIO chip of a machine as its surroundings meet it.
type Pins interface {
	Lamps() (Lamps, error)    // which of them have a high level
	Press(pressed bool) error // of the button, which connects its pin to ground
}

// virtPins are QEMU's PL061 (Arm DDI 0190B), whose lines lineNames names.
type virtPins struct {
	*probe
	chip string
}

const (
	pl061Data   = 0x09030000 + 0x3fc // GPIODATA with a mask for all lines
	pl061Button = 7
)

// Lamps reads the data register.
func (p virtPins) Lamps() (Lamps, error) {
	data, err := p.read(pl061Data)
	return at(data, 0, 1, 2, 4, 5, 6), err
}

// Press drives the line from outside.
func (p virtPins) Press(pressed bool) error {
	level := 1
	if pressed {
		level = 0
	}
	_, err := p.do("set_irq_in %s unnamed-gpio-in %d %d", p.chip, pl061Button, level)
	return err
}

// piPins are those of a BCM2835 (BCM2835 ARM Peripherals, chapter 6), 54 of them in two words. QEMU has no way to drive one
// from outside; but an input's level follows what is written into the registers for outputs.
type piPins struct{ *probe }

const (
	bcmSet    = 0x20200000 + 0x1c // GPSET0
	bcmClear  = 0x20200000 + 0x28 // GPCLR0
	bcmLevels = 0x20200000 + 0x34 // GPLEV0
	bcmButton = 5
)

// Lamps reads the levels.
func (p piPins) Lamps() (Lamps, error) {
	levels, err := p.read(bcmLevels)
	return at(levels, 17, 27, 22, 23, 24, 18), err
}

// Press sets the level.
func (p piPins) Press(pressed bool) error {
	register := bcmSet
	if pressed {
		register = bcmClear
	}
	_, err := p.do("writel %#x %#x", register, 1<<bcmButton)
	return err
}

// at collects bits of a word, the first one for the top lamp.
func at(word uint32, bits ...int) (l Lamps) {
	for n, bit := range bits {
		l |= Lamps(word>>bit&1) << n
	}
	return l
}

// String names those that are lit.
func (l Lamps) String() string {
	text := ""
	for n, name := range []string{"red", "yellow", "green", "blue", "white", "buzzer"} {
		if l&(1<<n) != 0 {
			text += " " + name
		}
	}
	if text == "" {
		return "dark"
	}
	return text[1:]
}

// settings is what the configuration says of outputs and button.
func settings() (text string) {
	for _, o := range [][2]string{{"red", "GPIO17"}, {"yellow", "GPIO27"}, {"green", "GPIO22"}, {"blue", "GPIO23"}, {"white", "GPIO24"}, {"buzzer", "GPIO18"}} {
		text += fmt.Sprintf("[[output]]\nlamp = %q\npin = %q\n", o[0], o[1])
	}
	return text + "[[button]]\ndoes = \"close\"\npin = \"GPIO5\"\n"
}
