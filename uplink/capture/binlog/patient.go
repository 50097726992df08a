package binlog

import (
	"net"
	"time"
)

// patient is a connection that ends when the server is silent for too long. The library would set a deadline for each packet,
// of which there are several for each row; a read of the socket brings many of them. And it would count the time in which
// nobody reads, because the store takes nothing.
type patient struct{ net.Conn }

// Read implements net.Conn.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}
