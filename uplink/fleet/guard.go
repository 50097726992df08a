package fleet

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// skipMost is the longest packet that is left out; a longer one ends the connection.
const skipMost = deskMost

// pieceBytes is written at a time. A long message over a thin line may take longer than writeWithin, a piece of it not.
const pieceBytes = 16 << 10

// guard sets the limits to a connection that paho doesn't: it would make room for a packet of 256 MB because the broker
// announces one, and wait for ever for a ping or a DISCONNECT to be written.
type guard struct {
	net.Conn
	in      *bufio.Reader
	most    int // a packet's content is shorter
	rest    int // bytes of the current packet still to read
	skipped int // packets
	writing sync.Mutex
}

func newGuard(conn net.Conn, most int) *guard {
	return &guard{Conn: conn, in: bufio.NewReader(conn), most: most}
}

// Read reads from one packet.
func (g *guard) Read(b []byte) (int, error) {
	if g.rest == 0 {
		var err error
		if g.rest, err = g.next(); err != nil {
			return 0, err
		}
	}
	n, err := g.in.Read(b[:min(len(b), g.rest)])
	g.rest -= n
	return n, err
}

// next looks ahead at the head of the next packet and returns the length of the whole.
//
//	┌──────────────┬────────────────────┬────────────────┐
//	│ type, flags  │ n, base 128 varint │ n bytes        │
//	└──────────────┴────────────────────┴────────────────┘
//	  1 byte         1 to 4 bytes
func (g *guard) next() (int, error) {
	for size := 1; ; size++ {
		head, err := g.in.Peek(1 + size)
		if err != nil {
			return 0, err
		}
		if head[size] >= 0x80 && size < 4 {
			continue
		}
		n, read := binary.Uvarint(head[1:])
		switch {
		case read > 0 && n < uint64(g.most):
			return 1 + size + int(n), nil
		case read <= 0 || n > skipMost || head[0]>>4 != packets.Publish:
			return 0, fmt.Errorf("the broker sent a packet of %d KiB or more, which nobody asked for", g.most>>10)
		}
		if err := g.skip(head[0], 1+size, int(n)); err != nil {
			return 0, err
		}
		size = 0 // on to the next one
	}
}

// skip leaves out a message that is too long for us and allowed elsewhere, so that nobody ends a station's connection by a
// slip. It has to be acknowledged, or the broker would soon hand over nothing more.
//
//	┌──────┬─────────┬────────────┬─────────────────────┬─────────┐
//	│ head │ t, 2 B  │ topic, t B │ id, 2 B; with QoS 1 │ payload │
//	└──────┴─────────┴────────────┴─────────────────────┴─────────┘
func (g *guard) skip(first byte, head, n int) error {
	g.skipped++
	start, err := g.in.Peek(head + 2)
	if err != nil {
		return err
	}
	topic := int(binary.BigEndian.Uint16(start[head:]))
	if first&0x06 != 1<<1 || topic+4 > n {
		_, err = g.in.Discard(head + n)
		return err
	}
	if _, err := g.in.Discard(head + 2 + topic); err != nil {
		return err
	}
	id, err := g.in.Peek(2)
	if err != nil {
		return err
	}
	ack := []byte{packets.Puback << 4, 2, id[0], id[1]}
	if _, err := g.in.Discard(n - 2 - topic); err != nil {
		return err
	}
	_, err = g.Write(ack)
	return err
}

// Write writes each piece within writeWithin. Paho writes pings beside everything else.
func (g *guard) Write(b []byte) (written int, err error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	defer g.Conn.SetWriteDeadline(time.Time{}) // for what TLS writes of its own
	for written < len(b) {
		if err := g.Conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return written, err
		}
		n, err := g.Conn.Write(b[written:min(len(b), written+pieceBytes)])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// SetWriteDeadline does nothing. Paho sets it beside a ping's write, which would lose its own by that.
func (*guard) SetWriteDeadline(time.Time) error { return nil }
