package fleet

import (
	"context"
	"errors"
	"fmt"

	"station-agent/uplink/fleet/message"
)

// deskMost is the longest packet that the fleet's side reads: a message of any length that is allowed, and its topic.
const deskMost = message.Most + 64<<10

// Desk is the fleet's side of a connection: of one who watches stations or tells them what to do.
type Desk struct {
	link  *link
	ended chan error
}

// Dial connects to the first of the brokers that answers, under a client id that nobody else has, and subscribes to the
// filters with QoS 1. Every message goes to said, in order and one at a time; said must not call the Desk and should
// return soon, as nothing else is read meanwhile. After a subscription come the retained messages; a broker may hold back
// only so many for one client (Mosquitto: max_queued_messages, 1000) and drops the others.
//
// A Desk that isn't needed any more has to Leave.
func Dial(ctx context.Context, a Access, clientID string, filters []string, said func(Said)) (*Desk, error) {
	var failed []error
	for _, broker := range a.inTurn() {
		d, err := a.sit(ctx, broker, clientID, filters, said)
		if err == nil {
			return d, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// sit is Dial with one broker.
func (a Access) sit(ctx context.Context, broker, clientID string, filters []string, said func(Said)) (*Desk, error) {
	o, err := a.options(clientID)
	if err != nil {
		return nil, err
	}
	l, err := a.connect(ctx, broker, o, deskMost, func(s Said) bool { said(s); return true })
	if err != nil {
		return nil, fmt.Errorf("connect to broker %s: %w", hostOf(broker), err)
	}
	if err := l.subscribe(ctx, filters...); err != nil {
		l.cut()
		return nil, fmt.Errorf("connect to broker %s: %w", hostOf(broker), err)
	}
	d := &Desk{link: l, ended: make(chan error, 1)}
	go func() {
		<-l.ended
		if l.why != nil {
			d.ended <- fmt.Errorf("lost broker %s: %w", hostOf(broker), l.reason())
		}
		close(d.ended)
	}()
	return d, nil
}

// Say publishes, and returns when the broker has the message (QoS 1) or it is written (QoS 0). An empty payload that is
// retained clears the topic. Mosquitto acknowledges what its ACL forbids, too.
func (d *Desk) Say(ctx context.Context, topic string, payload []byte, qos byte, retained bool) error {
	if err := d.link.await(ctx, d.link.client.Publish(topic, qos, retained, payload)); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// Ended gives the reason once the connection is lost, and is closed then, or after Leave.
func (d *Desk) Ended() <-chan error { return d.ended }

// Leave ends the connection and returns when nothing of it is left, also of one that was lost.
func (d *Desk) Leave() {
	select {
	case <-d.link.ended:
		d.link.cut()
	default:
		d.link.leave()
		d.link.end(nil)
	}
}

// Follow keeps a Desk until ctx ends, with a new connection whenever one is lost, to the next of the brokers and after a
// pause that differs from watcher to watcher. It calls up with each Desk and down with the reason of each failure, one at
// a time and never after it returned nil. What was said while there was no connection is lost, but for what is retained.
func Follow(ctx context.Context, a Access, clientID string, filters []string, said func(Said), up func(*Desk), down func(error)) error {
	keepTrying(ctx, a.inTurn(), func(broker string) error {
		d, err := a.sit(ctx, broker, clientID, filters, said)
		if err != nil {
			return err
		}
		defer d.Leave()
		up(d)
		select {
		case err := <-d.Ended():
			return err
		case <-ctx.Done():
			return nil
		}
	}, down)
	return nil
}
