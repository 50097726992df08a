package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// link is one connection: a client of paho, and the conn it works on.
type link struct {
	conn   net.Conn
	client mqtt.Client
	ended  chan error // the first reason
}

// newLink makes a client for conn. Without a handler it would keep what nobody asked for, if that has a QoS.
func newLink(conn net.Conn, o *mqtt.ClientOptions) *link {
	l := &link{conn: newGuard(conn), ended: make(chan error, 1)}
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.conn, nil })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.end(err) })
	o.SetDefaultPublishHandler(func(mqtt.Client, mqtt.Message) {
		l.end(errors.New("the broker sent a message that nobody asked for"))
	})
	l.client = mqtt.NewClient(o)
	return l
}

// end notes why the connection ended, or has to.
func (l *link) end(err error) {
	select {
	case l.ended <- err:
	default:
	}
}

// greet introduces the station. It ends at paho's deadline for that, or when the end of ctx closes conn. After an error
// paho has nothing left but a goroutine about to return, and a Disconnect would wait for nothing.
func (l *link) greet(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { l.conn.Close() })()
	err := mqtt.WaitTokenTimeout(l.client.Connect(), 2*dialWithin)
	if err != nil {
		l.conn.Close()
	}
	return err
}

// retain publishes with QoS 1, retained, and returns when the broker has it.
func (l *link) retain(ctx context.Context, topic string, payload []byte) error {
	return l.await(ctx, l.client.Publish(topic, 1, true, payload))
}

// publish publishes with QoS 0, not retained: it is written now or not at all.
func (l *link) publish(ctx context.Context, topic string, payload []byte) error {
	return l.await(ctx, l.client.Publish(topic, 0, false, payload))
}

// await waits for a token. It needs its other ends: a token stays open for ever if the connection is lost while paho
// takes it in.
func (l *link) await(ctx context.Context, token mqtt.Token) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ackWithin, fmt.Errorf("no acknowledgement for %s", ackWithin))
	defer cancel()
	select {
	case <-token.Done():
		if token.Error() == nil {
			return nil
		}
		return l.reason(token.Error())
	case err := <-l.ended:
		return explain(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reason is what lies behind the failure of a token: paho first fails the tokens and then says why.
func (l *link) reason(err error) error {
	select {
	case err = <-l.ended:
	case <-time.After(reasonWithin):
	}
	return explain(err)
}

// leave sends DISCONNECT, which tells the broker to forget the last will, and waits until paho's goroutines have returned.
// If the broker takes no DISCONNECT they do so some seconds after leaveWithin, at the end of their write.
func (l *link) leave() { l.client.Disconnect(uint(leaveWithin / time.Millisecond)) }

// cut ends the connection without DISCONNECT. Paho takes no notice of a conn closed here until it is told to leave, and
// then finds nothing to wait for.
func (l *link) cut() {
	l.conn.Close()
	l.leave()
}

// explain puts the usual end of a connection into words.
func explain(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the broker ended the connection: see its log; if this repeats, another agent may have this station's uuid")
	}
	return err
}
