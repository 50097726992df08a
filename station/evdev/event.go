package evdev

import (
	"encoding/binary"
	"strconv"
)

// Event is a struct input_event without its time: when it was typed doesn't matter, only in which order.
type Event struct {
	Type, Code uint16
	Value      int32
}

// timeSize is that of the two times. They are the kernel's unsigned long, which a 64-bit kernel gives a 32-bit program as 4
// bytes each; that program's own time_t doesn't matter.
const (
	timeSize  = 2 * strconv.IntSize / 8
	eventSize = timeSize + 8
)

// parser cuts bytes into events. The kernel gives whole ones, a pipe does not.
type parser struct {
	rest []byte
	time int // size of the times, 0 for this machine's
}

// feed gives the events that p completes. It keeps no reference to p.
func (r *parser) feed(p []byte) (list []Event) {
	if r.time == 0 {
		r.time = timeSize
	}
	r.rest = append(r.rest, p...)
	size := r.time + 8
	for ; len(r.rest) >= size; r.rest = r.rest[size:] {
		b := r.rest[r.time:]
		list = append(list, Event{binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:]), int32(binary.NativeEndian.Uint32(b[4:]))})
	}
	r.rest = append([]byte(nil), r.rest...) // less than one event
	return list
}
