package station

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"station-agent/station/codec"
	"station-agent/station/gs1"
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

// ISO is the Symbology of a tag that says that it holds no EPC: its bits name no product, though they may look so.
const ISO = "iso"

// Reader is one device at a serial port.
type Reader struct {
	Port     serial.Config
	Protocol string // how it speaks: the name of a codec.Protocol; "line" if empty
	Prefix   string // what it puts before every code; of lines only
	Kind     Kind   // Barcode if empty

	// Settings are what it is told before it is told to read. nil: it reads on its own, and nothing is ever written to it.
	Settings *codec.Settings

	// Saw is told of each tag before the bench is, also of those that mean nothing to it. It must not wait; nil for nobody.
	Saw func(record.Tag)

	// Damaged is told how many frames came damaged since Run was called, whenever there are more. It must not wait; nil for nobody.
	Damaged func(total uint64)

	// Silent is told how often it stopped answering since Run was called and was set up again, likewise.
	Silent func(total uint64)

	Tape *Tape // hears what the reader says; nil for nobody
}

// Run hands what the scanner reads to reads, until ctx ends. While the bench can't keep up it stops reading the port. cond is
// told of what lasts, see Fault. The error is that of serial.Run.
func (r Reader) Run(ctx context.Context, reads chan<- Read, cond serial.Condition) error {
	p, err := codec.Find(cmp.Or(r.Protocol, "line"))
	if err != nil {
		return record.Stop(fmt.Errorf("reader %s: protocol %w", r.Port.Name, err))
	}
	fault := NewFault(r.Port.Name, cond)
	defer fault.End()
	e := &ear{ctx: ctx, name: r.Port.Name, reads: reads, kind: r.Kind, saw: valid(fault, r.Saw), damaged: r.Damaged}
	var sink serial.Sink = e
	if r.Tape != nil {
		t := &tap{to: e, tape: r.Tape, reader: TapedReader{Name: r.Port.Name, Kind: r.Kind, Prefix: r.Prefix, Codec: r.Protocol}}
		saw := e.saw
		e.saw = func(tag record.Tag) {
			t.saw(tag)
			saw(tag)
		}
		sink = t
	}
	c := codec.Config{Reader: r.Port.Name, Prefix: r.Prefix}
	if r.Settings == nil {
		e.codec = p.New(c)
		return serial.Run(ctx, r.Port, sink, heeded{fault, e})
	}
	a := &driven{Sink: sink, ear: e, fault: fault, told: r.Silent, began: time.Now()}
	if a.driver, err = codec.NewDriver(p, *r.Settings); err != nil {
		return record.Stop(fmt.Errorf("reader %s: %w", r.Port.Name, err))
	}
	c.Heard = func(answer codec.Answer) { a.driver.Heard(answer, a.now()) }
	e.codec = p.New(c)
	return serial.Run(ctx, r.Port, a, opened{fault})
}

// valid tells fault of each valid code, and then who wants to know of all.
func valid(fault *Fault, saw func(record.Tag)) func(record.Tag) {
	return func(tag record.Tag) {
		if tag.Bad == "" {
			fault.Heard()
		}
		if saw != nil {
			saw(tag)
		}
	}
}

// heeded is the Condition of a port whose ear must know when it is open again.
type heeded struct {
	serial.Condition
	e *ear
}

func (h heeded) Back() {
	h.Condition.Back()
	h.e.back()
}

// ear is the serial.Sink of one Reader.
type ear struct {
	ctx     context.Context
	name    string
	codec   codec.Codec
	reads   chan<- Read
	kind    Kind
	saw     func(record.Tag)
	damaged func(uint64)
	bad     uint64 // frames, as told last
	tags    int    // that came, ever
}

func (e *ear) Feed(p []byte) { e.send(e.codec.Feed(p)) }
func (e *ear) Idle()         { e.send(e.codec.Idle()) }

// Gone also tells that a reader of tags sees nothing any more: what lay there still does.
func (e *ear) Gone() {
	e.send(e.codec.Gone())
	e.tell(Read{Lost: true})
}

// back tells that it may see again: what doesn't show soon has left.
func (e *ear) back() { e.tell(Read{Back: true}) }

// tell says something of a reader of tags.
func (e *ear) tell(r Read) {
	if e.kind == RFID {
		r.Tag = record.Tag{Reader: e.name, Radio: true}
		if r.At.IsZero() {
			r.At = time.Now()
		}
		e.hand(r)
	}
}

func (e *ear) send(tags []codec.Tag) {
	now := time.Now()
	if n := e.codec.Bad(); n != e.bad {
		if e.bad = n; e.damaged != nil {
			e.damaged(n)
		}
	}
	e.tags += len(tags)
	for _, t := range tags {
		tag := e.kind.tag(t)
		if e.saw != nil {
			e.saw(tag)
		}
		e.hand(Read{Tag: tag, At: now, Antenna: t.Antenna, RSSI: t.RSSI})
	}
}

// tag is what a tag means that a reader of this kind read.
func (k Kind) tag(t codec.Tag) record.Tag {
	tag := t.Tag
	tag.Radio = k == RFID
	if why := gs1.Misread(tag.Symbology, tag.Code); why != "" && tag.Bad == "" {
		tag.Code, tag.Bad = "", why
	}
	switch {
	case k == Buttons:
		tag.Symbology = Button
	case gs1.PC(t.PC).ISO():
		tag.Symbology = ISO
	}
	return tag
}

func (e *ear) hand(r Read) {
	select {
	case e.reads <- r:
	case <-e.ctx.Done():
	}
}
