package station

import (
	"context"
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
	"station-agent/store/record"
)

// Reader is one barcode scanner at a serial port, or an RFID reader that writes a line for each tag it sees.
type Reader struct {
	Port   serial.Config
	Prefix string // what the scanner puts before every code
	Radio  bool   // it reads what lies on its antenna, again and again, without anybody asking
}

// Run hands what the scanner reads to reads, until ctx ends. While the bench can't keep up it stops reading the port. The
// error is that of serial.Run.
func (r Reader) Run(ctx context.Context, reads chan<- Read, cond serial.Condition) error {
	return serial.Run(ctx, r.Port, &ear{ctx, codec.Line{Reader: r.Port.Name, Prefix: r.Prefix}, reads, r.Radio}, cond)
}

// ear is the serial.Sink of one Reader.
type ear struct {
	ctx   context.Context
	line  codec.Line
	reads chan<- Read
	radio bool
}

func (e *ear) Feed(p []byte) { e.send(e.line.Feed(p)) }
func (e *ear) Idle()         { e.send(e.line.Idle()) }

// Gone also tells that a reader of tags sees nothing any more: what lay there still does.
func (e *ear) Gone() {
	e.send(e.line.Gone())
	if e.radio {
		e.hand(Read{Tag: record.Tag{Reader: e.line.Reader, Radio: true}, At: time.Now(), Lost: true})
	}
}

func (e *ear) send(tags []record.Tag) {
	now := time.Now()
	for _, tag := range tags {
		tag.Radio = e.radio
		e.hand(Read{Tag: tag, At: now})
	}
}

func (e *ear) hand(r Read) {
	select {
	case e.reads <- r:
	case <-e.ctx.Done():
	}
}
