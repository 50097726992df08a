package station

import (
	"context"
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
	"station-agent/store/record"
)

// Kind is what a reader reads.
type Kind string

// The kinds of readers.
const (
	Barcode Kind = "barcode" // a person holds a code before it
	RFID    Kind = "rfid"    // it writes a line for each tag on its antenna, again and again, without anybody asking
	Buttons Kind = "buttons" // it writes the name of a command for each button pressed
)

// Button is the Symbology of a tag whose Code is the name of a Command. No scanner gives it: theirs begin with "]".
const Button = "button"

// Reader is one device at a serial port that writes lines.
type Reader struct {
	Port   serial.Config
	Prefix string // what it puts before every code
	Kind   Kind   // Barcode if empty

	// Saw is told of each tag before the bench is, also of those that mean nothing to it. It must not wait; nil for nobody.
	Saw func(record.Tag)

	Tape *Tape // hears what the reader says; nil for nobody
}

// Run hands what the scanner reads to reads, until ctx ends. While the bench can't keep up it stops reading the port. cond is
// told of what lasts, see Fault. The error is that of serial.Run.
func (r Reader) Run(ctx context.Context, reads chan<- Read, cond serial.Condition) error {
	fault := NewFault(r.Port.Name, cond)
	defer fault.End()
	saw := func(tag record.Tag) {
		if tag.Bad == "" {
			fault.Heard()
		}
		if r.Saw != nil {
			r.Saw(tag)
		}
	}
	e := &ear{ctx, codec.Line{Reader: r.Port.Name, Prefix: r.Prefix}, reads, r.Kind, saw}
	if r.Tape == nil {
		return serial.Run(ctx, r.Port, e, fault)
	}
	t := &tap{to: e, tape: r.Tape, reader: TapedReader{Name: r.Port.Name, Kind: r.Kind, Prefix: r.Prefix}}
	e.saw = func(tag record.Tag) {
		t.saw(tag)
		saw(tag)
	}
	return serial.Run(ctx, r.Port, t, fault)
}

// ear is the serial.Sink of one Reader.
type ear struct {
	ctx   context.Context
	line  codec.Line
	reads chan<- Read
	kind  Kind
	saw   func(record.Tag)
}

func (e *ear) Feed(p []byte) { e.send(e.line.Feed(p)) }
func (e *ear) Idle()         { e.send(e.line.Idle()) }

// Gone also tells that a reader of tags sees nothing any more: what lay there still does.
func (e *ear) Gone() {
	e.send(e.line.Gone())
	if e.kind == RFID {
		e.hand(Read{Tag: record.Tag{Reader: e.line.Reader, Radio: true}, At: time.Now(), Lost: true})
	}
}

func (e *ear) send(tags []record.Tag) {
	now := time.Now()
	for _, tag := range tags {
		tag.Radio = e.kind == RFID
		if e.kind == Buttons {
			tag.Symbology = Button
		}
		if e.saw != nil {
			e.saw(tag)
		}
		e.hand(Read{Tag: tag, At: now})
	}
}

func (e *ear) hand(r Read) {
	select {
	case e.reads <- r:
	case <-e.ctx.Done():
	}
}
