package station

import (
	"context"
	"time"

	"station-agent/station/codec"
	"station-agent/station/evdev"
	"station-agent/station/gs1"
	"station-agent/store/record"
)

// Keypad is the kind of a Keyboard that a person types at: only a code with a check digit is taken from fingers.
const Keypad Kind = "keypad"

// fingers is how long a person may look for the next key.
const fingers = 10 * time.Second

// Keyboard is one device that types: a scanner or RFID reader that passes for a keyboard, or a keypad.
type Keyboard struct {
	Port   evdev.Config
	Prefix string // what it puts before every code
	Kind   Kind   // Barcode (if empty), RFID or Keypad

	// Saw is told of each tag before the bench is. It must not wait; nil for nobody.
	Saw func(record.Tag)

	Tape *Tape // hears what was typed; nil for nobody
}

// Run hands what is typed to reads, until ctx ends. While the bench can't keep up it stops reading. cond is told of what
// lasts, see Fault. The error is that of evdev.Run.
func (k Keyboard) Run(ctx context.Context, reads chan<- Read, cond evdev.Condition) error {
	if k.Kind == Keypad && k.Port.Gap == 0 {
		k.Port.Gap = fingers
	}
	fault := NewFault(k.Port.Name, cond)
	defer fault.End()
	k.Saw = valid(fault, k.Saw)
	t := k.typed(ctx, reads)
	return evdev.Run(ctx, k.Port, t, heeded{fault, &t.ear})
}

func (k Keyboard) typed(ctx context.Context, reads chan<- Read) *typed {
	line := &codec.Line{Config: codec.Config{Reader: k.Port.Name, Prefix: k.Prefix, Max: maxTyped}}
	saw := k.Saw
	if k.Tape != nil {
		saw = func(tag record.Tag) {
			k.Tape.hear(Heard{Read: []record.Tag{tag}}, TapedReader{Name: k.Port.Name, Kind: k.Kind, Prefix: k.Prefix})
			if k.Saw != nil {
				k.Saw(tag)
			}
		}
	}
	return &typed{ear{ctx: ctx, name: k.Port.Name, codec: line, reads: reads, kind: k.Kind, saw: saw}}
}

// maxTyped is in bytes what evdev bounds in characters.
const maxTyped = 4 * codec.DefaultMax

// typed is the evdev.Sink of one Keyboard. What was typed goes through the same codec as the lines of a serial port.
type typed struct{ ear }

// Typed takes one code.
func (t *typed) Typed(c evdev.Code) {
	if c.Bad != "" {
		t.send([]codec.Tag{{Tag: record.Tag{Reader: t.name, Raw: []byte(c.Text), Bad: c.Bad}}})
		return
	}
	tags := t.codec.Feed([]byte(c.Text + "\r"))
	for i := range tags {
		if tag := &tags[i]; t.kind == Keypad && tag.Bad == "" && !gs1.Typed(tag.Code) {
			tag.Code, tag.Bad = "", "typed, and its check digit is wrong: type all digits beneath the bars"
		}
	}
	t.send(tags)
}
