package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Said is one message as the broker hands it over. Retained ones were said at some time before the subscription.
type Said struct {
	Topic    string
	Payload  []byte
	Retained bool
}

// link is one connection: a client of paho, and the conn it works on.
type link struct {
	conn   net.Conn
	client mqtt.Client
	over   sync.Once
	ended  chan struct{} // closed when why is set
	why    error         // the first reason
}

// newLink makes a client for conn, which reads packets shorter than most bytes. Each message goes to heard, in order and one
// at a time; a message that heard doesn't know ends the connection. heard must not wait for the broker.
func newLink(conn net.Conn, o *mqtt.ClientOptions, most int, heard func(Said) (known bool)) *link {
	l := &link{conn: newGuard(conn, most), ended: make(chan struct{})}
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.conn, nil })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.end(err) })
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		if heard == nil || !heard(Said{m.Topic(), m.Payload(), m.Retained()}) {
			l.end(errors.New("the broker sent a message that nobody asked for"))
		}
	})
	l.client = mqtt.NewClient(o)
	return l
}

// end notes why the connection ended, or has to.
func (l *link) end(err error) {
	l.over.Do(func() {
		l.why = err
		close(l.ended)
	})
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

// errUnheard is in the chain of the errors of a subscription that the broker refuses.
var errUnheard = errors.New("the broker doesn't let this account read it: allow it in the broker's ACL")

// subscribe asks for what is said on the filters with QoS 1, one after the other. It names those that the broker refuses;
// Mosquitto refuses none, but says nothing on them.
func (l *link) subscribe(ctx context.Context, filters ...string) error {
	var refused error
	for _, filter := range filters {
		token := l.client.Subscribe(filter, 1, nil)
		if err := l.await(ctx, token); err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
		if t, ok := token.(*mqtt.SubscribeToken); ok && t.Result()[filter] > 2 && refused == nil {
			refused = fmt.Errorf("subscribe to %s: %w", filter, errUnheard)
		}
	}
	return refused
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
	ctx, cancel := context.WithTimeoutCause(ctx, ackWithin, errUnanswered)
	defer cancel()
	select {
	case <-token.Done():
		return l.outcome(token)
	case <-l.ended:
		return l.reason()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errUnanswered = fmt.Errorf("no acknowledgement for %s", ackWithin)

// outcome is what became of a token that is done. Paho first fails the tokens and then says why the connection ended.
func (l *link) outcome(token mqtt.Token) error {
	if token.Error() == nil {
		return nil
	}
	select {
	case <-l.ended:
		return l.reason()
	case <-time.After(reasonWithin):
		return explain(token.Error())
	}
}

// reason is why the connection ended, once it has.
func (l *link) reason() error { return explain(l.why) }

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
		return errors.New("the broker ended the connection: see its log")
	}
	return err
}
