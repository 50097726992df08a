package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// link is one connection after the handshake. One goroutine writes, its own reads. The first error ends it.
type link struct {
	conn  net.Conn
	id    uint16        // of the last QoS 1 publish
	torn  error         // of the first write that failed: half a packet may be out
	acks  chan uint16   // ids as they are acknowledged
	stop  chan struct{} // closed by close
	ended chan struct{} // closed by the reader when it is done
	err   error         // why, after ended
}

func newLink(conn net.Conn) *link {
	l := &link{conn: conn, acks: make(chan uint16), stop: make(chan struct{}), ended: make(chan struct{})}
	go l.read()
	return l
}

// close cuts the connection and waits for the reader.
func (l *link) close() {
	close(l.stop)
	l.conn.Close()
	<-l.ended
}

// read takes in what the broker says. A ping goes out every keepAlive, so silence means that nobody is there.
func (l *link) read() {
	defer close(l.ended)
	for {
		if l.err = l.conn.SetReadDeadline(time.Now().Add(keepAlive + pongWithin)); l.err != nil {
			return
		}
		a, err := readAnswer(l.conn)
		if l.err = explain(err); err != nil {
			return
		}
		if ack, ok := a.(*packets.PubackPacket); ok {
			select {
			case l.acks <- ack.MessageID:
			case <-l.stop:
				return
			}
		}
	}
}

// explain puts the two usual ends of a connection into words.
func explain(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the broker ended the connection: see its log; if this repeats, another agent may have this station's uuid")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the broker hasn't answered a ping for %s: check the network", pongWithin)
	default:
		return err
	}
}

// readAnswer reads one packet. To one who never subscribes a broker has three things to say, none longer than four
// bytes; anything else ends the connection before it is read.
func readAnswer(r io.Reader) (packets.ControlPacket, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	var length byte
	switch head[0] >> 4 {
	case packets.Connack, packets.Puback:
		length = 2
	case packets.Pingresp:
	default:
		return nil, fmt.Errorf("broker sent a packet of type %d, which nobody asked for", head[0]>>4)
	}
	if head[1] != length {
		return nil, fmt.Errorf("broker sent a packet of type %d with a wrong length", head[0]>>4)
	}
	return packets.ReadPacket(io.MultiReader(bytes.NewReader(head[:]), r))
}

// retain publishes with QoS 1, retained, and returns when the broker has it.
func (l *link) retain(ctx context.Context, topic string, payload []byte) error {
	l.id = max(1, l.id+1) // 0 is no id
	p := newPublish(topic, payload)
	p.Qos, p.Retain, p.MessageID = 1, true, l.id
	if err := l.write(p); err != nil {
		return err
	}
	timer := time.NewTimer(ackWithin)
	defer timer.Stop()
	for {
		select {
		case id := <-l.acks:
			if id == l.id {
				return nil
			}
		case <-l.ended:
			return l.err
		case <-timer.C:
			return fmt.Errorf("no acknowledgement for %s", ackWithin)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish publishes with QoS 0, not retained: it is written now or not at all.
func (l *link) publish(topic string, payload []byte) error {
	return l.write(newPublish(topic, payload))
}

func (l *link) ping() error { return l.write(packets.NewControlPacket(packets.Pingreq)) }

// disconnect tells the broker to forget the last will.
func (l *link) disconnect() error { return l.write(packets.NewControlPacket(packets.Disconnect)) }

func (l *link) write(p packets.ControlPacket) error {
	if l.torn == nil {
		l.torn = l.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	}
	if l.torn == nil {
		l.torn = p.Write(l.conn)
	}
	return l.torn
}

func newPublish(topic string, payload []byte) *packets.PublishPacket {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Payload = topic, payload
	return p
}
