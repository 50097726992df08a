package gpio

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

func TestNamesThatMeanAPin(t *testing.T) {
	for name, want := range map[string]place{
		"GPIO2": {kind: "header", number: 2}, "GPIO27": {kind: "header", number: 27},
		"pinctrl-rp1:17":   {kind: "line", chip: "pinctrl-rp1", number: 17},
		"9030000.pl061:0":  {kind: "line", chip: "9030000.pl061", number: 0},
		"gpio@1f:a:3":      {kind: "line", chip: "gpio@1f:a", number: 3},
		"led:bench-green":  {kind: "led", led: "bench-green"},
		"led:green:status": {kind: "led", led: "green:status"},
		"pwm:2":            {kind: "pwm", number: 2}, "pwm:fe20c000.pwm:0": {kind: "pwm", chip: "fe20c000.pwm"},
	} {
		if got, err := parse(name); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "17", "GPIO", "GPIO1", "GPIO28", "GPIO017", "GPIO-3", "GPIO+3", "led:", "led:..", "led:a/b", "pwm:", "pwm:x", "chip:", ":3", "chip:-1", "chip:99999"} {
		if p, err := parse(name); err == nil {
			t.Errorf("%q is taken as %+v", name, p)
		} else if !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%q: the error doesn't name it: %v", name, err)
		}
	}
}

func TestWhatANameIsGoodFor(t *testing.T) {
	for _, name := range []string{"led:a", "pwm:0"} {
		if CheckInput(name) == nil {
			t.Errorf("a button at %s is taken", name)
		}
		if CheckOutput(name, true) == nil || CheckOutput(name, false) != nil {
			t.Errorf("active_low at %s: %v, %v", name, CheckOutput(name, true), CheckOutput(name, false))
		}
	}
	if CheckInput("GPIO5") != nil || CheckOutput("GPIO5", true) != nil || CheckSound("GPIO5") || !CheckSound("pwm:0") {
		t.Error("a pin of the header is not good for a button, a lamp and no tone")
	}
	for name, warned := range map[string]bool{"gpiochip4:17": true, "pwm:pwmchip0:1": true, "GPIO17": false, "pinctrl-rp1:17": false, "gpiochips:1": false} {
		if (Warning(name) != "") != warned {
			t.Errorf("%s: %q", name, Warning(name))
		}
	}
}

// The number of the header's chip changed with the kernel (Pi 5: 4, then 0); the label didn't.
func TestAPinOfTheHeaderIsFoundByTheChipsLabel(t *testing.T) {
	other := chip{name: "gpiochip0", label: "gpio-brcmstb", pins: []pin{newLine(t, "GPIO17")}}
	for _, label := range headers() {
		lines, h := board(t, label)
		chips, _ := h.chips()
		h.chips = func() ([]chip, error) { return append([]chip{other}, chips...), nil }
		if got, err := h.line("GPIO17"); err != nil || got != pin(lines[17]) {
			t.Errorf("%s: %v, %v", label, got, err)
		}
	}
}

func TestElsewhereAPinIsFoundByTheLinesName(t *testing.T) {
	one, two := newLine(t, "GPIO17"), newLine(t, "gpiochip1-GPIO17")
	chips := []chip{{name: "gpiochip0", label: "9030000.pl061", pins: []pin{newLine(t, ""), one}}}
	h := Host{chips: func() ([]chip, error) { return chips, nil }}
	if got, err := h.line("GPIO17"); err != nil || got != pin(one) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := h.line("GPIO18"); err == nil || !strings.Contains(err.Error(), "GPIO18") {
		t.Errorf("a pin that is not there: %v", err)
	}
	chips = append(chips, chip{name: "gpiochip1", label: "other", pins: []pin{two}})
	if _, err := h.line("GPIO17"); err == nil {
		t.Error("one of two lines of that name was guessed")
	}
}

func TestALineIsFoundByLabelAndOffset(t *testing.T) {
	a, b := newLine(t, ""), newLine(t, "")
	chips := []chip{{"gpiochip0", "expander", []pin{a}}, {"gpiochip1", "pinctrl-x", []pin{newLine(t, ""), b}}}
	h := Host{chips: func() ([]chip, error) { return chips, nil }}
	for name, want := range map[string]pin{"expander:0": a, "pinctrl-x:1": b, "gpiochip1:1": b} {
		if got, err := h.line(name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"expander:1", "nothing:0"} {
		if _, err := h.line(name); err == nil {
			t.Errorf("%s was found", name)
		}
	}
	chips = append(chips, chip{"gpiochip2", "expander", []pin{newLine(t, "")}})
	if _, err := h.line("expander:0"); err == nil {
		t.Error("one of two chips of that label was guessed")
	}
}

func TestAnOutputShowsWhatWasSetAndIsNeverRead(t *testing.T) {
	for _, activeLow := range []bool{false, true} {
		lines, h := board(t, "pinctrl-rp1")
		l := lines[17]
		l.driven = gpio.Level(!activeLow) // left on by a killed agent
		o, err := h.Output("GPIO17", activeLow)
		if err != nil {
			t.Fatal(err)
		}
		if l.level() != gpio.Level(activeLow) {
			t.Error("it is on when it was opened")
		}
		for _, hertz := range []int{2700, 0, 1} {
			if err := o.Set(hertz); err != nil || l.level() != gpio.Level((hertz > 0) != activeLow) {
				t.Errorf("active low %v, set %d: %v, %v", activeLow, hertz, l.level(), err)
			}
		}
		writes := l.writes
		if err := o.Set(1); err != nil || l.writes != writes {
			t.Errorf("the same was written again: %d times, %v", l.writes-writes, err)
		}
		if err := o.Close(); err != nil || l.level() != gpio.Level(activeLow) || l.closed != 1 || l.asked {
			t.Errorf("after Close: on %v, given back %d times, %v", l.level(), l.closed, err)
		}
	}
}

func TestAnOutputThatFailedIsClosedAndTriedAgain(t *testing.T) {
	lines, h := board(t, "pinctrl-rp1")
	l := lines[17]
	l.breaks(unix.EBUSY, false)
	_, err := h.Output("GPIO17", false)
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "GPIO17") || !strings.Contains(err.Error(), "another program") {
		t.Fatalf("a pin in use: %v", err)
	}
	l.breaks(nil, false)
	o, err := h.Output("GPIO17", false)
	if err != nil {
		t.Fatal(err)
	}
	l.breaks(nil, true)
	if err := o.Set(1); err == nil {
		t.Error("a dead line was set")
	}
	l.breaks(nil, false)
	if err := o.Set(1); err != nil || l.level() != gpio.High {
		t.Errorf("after the line came back: %v, %v", l.level(), err)
	}
}

// Where two nodes show one chip, periph closes descriptor 0, and takes a line that gets it for one that it never asked for.
func TestDescriptorZeroIsNeverALine(t *testing.T) {
	kept, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Dup3(kept, 0, 0); err != nil {
			t.Error(err)
		}
		_ = unix.Close(kept)
	}()
	_ = unix.Close(0)
	keepStdin()
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != nil {
		t.Fatalf("descriptor 0 is free: %v", err)
	}
	var before, after unix.Stat_t
	if err := errors.Join(unix.Fstat(0, &before), func() error { keepStdin(); return unix.Fstat(0, &after) }()); err != nil || before.Rdev != after.Rdev {
		t.Errorf("what stood there was replaced: %v", err)
	}
}

func TestWithoutAChipTheErrorSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "gpiochip*")
	if err := noChips(pattern); !strings.Contains(err.Error(), "no GPIO chip") {
		t.Error(err)
	}
	file := filepath.Join(dir, "gpiochip0")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	want := "(gpio)"
	if os.Geteuid() == 0 { // whom no right keeps out
		want = "restart"
	}
	if err := noChips(pattern); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
}
