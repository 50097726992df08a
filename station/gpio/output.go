package gpio

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"
)

// Output is one lamp or buzzer. It belongs to one goroutine.
type Output struct {
	name  string
	to    sink
	shown int  // what was set last
	known bool // and whether that worked
}

// sink is one kind of output.
type sink interface {
	set(hertz int) error // 0 is dark and still
	close() error
}

// Output opens an output and makes it dark. activeLow says that a low level is on, for pins only. The error names the output.
func (h Host) Output(name string, activeLow bool) (*Output, error) {
	to, err := h.sink(name, activeLow)
	if err != nil {
		return nil, fmt.Errorf("open output %s: %w", name, err)
	}
	o := &Output{name: name, to: to}
	if err := o.Set(0); err != nil {
		return nil, errors.Join(err, to.close())
	}
	return o, nil
}

func (h Host) sink(name string, activeLow bool) (sink, error) {
	if err := CheckOutput(name, activeLow); err != nil {
		return nil, err
	}
	p, err := parse(name)
	switch {
	case err != nil:
		return nil, err
	case p.kind == "led":
		return openLED(h.sys(), p.led)
	case p.kind == "pwm":
		return openPWM(h.sys(), p)
	}
	line, err := h.line(name)
	if err != nil {
		return nil, err
	}
	return pinSink{line, line.Close, gpio.Level(activeLow)}, nil
}

// Set switches the output on, or off with 0. hertz is the pitch of a passive buzzer (pwm:); for all else only that it is not 0
// matters. Setting what is shown already costs nothing.
func (o *Output) Set(hertz int) error {
	if o.known && hertz == o.shown {
		return nil
	}
	o.shown, o.known = hertz, false
	if err := o.to.set(hertz); err != nil {
		return fmt.Errorf("set output %s: %w", o.name, err)
	}
	o.known = true
	return nil
}

// Close makes the output dark and gives it back. What a pin does that nobody holds is up to board and kernel; most keep it.
func (o *Output) Close() error {
	o.known = false
	return errors.Join(o.Set(0), o.to.close())
}

// pinSink is a pin of a chip. It has the pin as something to write only (defect c).
type pinSink struct {
	pin  gpio.PinOut
	back func()
	off  gpio.Level
}

func (p pinSink) set(hertz int) error {
	level := p.off
	if hertz > 0 {
		level = !level
	}
	err := p.pin.Out(level)
	if err != nil {
		p.back() // defect l
		return fmt.Errorf("%w: %s", err, lineAdvice(err))
	}
	return nil
}

func (p pinSink) close() error {
	p.back()
	return nil
}
