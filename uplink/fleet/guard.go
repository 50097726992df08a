package fleet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// guard sets the limits to a connection that paho doesn't: it would make room for a packet of 256 MB because the broker
// announces one, and wait for ever for a ping or a DISCONNECT to be written.
type guard struct {
	net.Conn
	in      *bufio.Reader
	rest    int // bytes of the current packet still to read
	writing sync.Mutex
}

func newGuard(conn net.Conn) *guard { return &guard{Conn: conn, in: bufio.NewReader(conn)} }

// Read reads from one packet, which is shorter than 16 KiB.
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
//	  1 byte         1 to 4 bytes, here 1 or 2
func (g *guard) next() (int, error) {
	head, err := g.in.Peek(2)
	if err == nil && head[1] >= 0x80 {
		head, err = g.in.Peek(3)
	}
	if err != nil {
		return 0, err
	}
	n, size := binary.Uvarint(head[1:])
	if size <= 0 {
		return 0, errors.New("the broker sent a packet of 16 KiB or more, which nobody asked for")
	}
	return 1 + size + int(n), nil
}

// Write writes within writeWithin. Paho writes pings beside everything else.
func (g *guard) Write(b []byte) (int, error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	if err := g.Conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return 0, err
	}
	defer g.Conn.SetWriteDeadline(time.Time{}) // for what TLS writes of its own
	return g.Conn.Write(b)
}

// SetWriteDeadline does nothing. Paho sets it beside a ping's write, which would lose its own by that.
func (*guard) SetWriteDeadline(time.Time) error { return nil }
