package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Access is the way to the broker, and who comes. Password, Proxy and the certificate of TLS (by its
// GetClientCertificate) are asked at each connect, so that a rotated one needs no restart.
type Access struct {
	Brokers  []string // tcp://host:port, ssl://, ws:// or wss://, tried in turn; the ports have the usual defaults
	User     string   // "" for none
	Password func() (string, error)
	TLS      *tls.Config // for ssl and wss; nil for the system's roots

	// Proxy gives the proxy before a broker, with its account: http://, https:// or socks5://; nil for none.
	Proxy func(broker *url.URL) (*url.URL, error)

	dialer func(ctx context.Context, broker string) (net.Conn, error) // of tests; nil for dial
}

// connect dials a broker and greets it.
func (a Access) connect(ctx context.Context, broker string, o *mqtt.ClientOptions, most int, heard func(Said) bool) (*link, error) {
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	dial := a.dial
	if a.dialer != nil {
		dial = a.dialer
	}
	conn, err := dial(dialing, broker)
	if err != nil {
		return nil, fmt.Errorf("%w: check the broker's address and the network", err)
	}
	l := newLink(conn, o, most, heard)
	if err := l.greet(ctx); err != nil {
		return nil, a.explainRefusal(err)
	}
	return l, nil
}

// options are paho's for one connection under a client id. It doesn't connect again by itself: keepTrying does, with the
// password of then, and only when the connection before is gone. Messages are handed over in order, one at a time: a
// flood waits at the broker, not in memory here.
func (a Access) options(clientID string) (*mqtt.ClientOptions, error) {
	o := mqtt.NewClientOptions().
		AddBroker("tcp://broker"). // there has to be one; newLink says what is behind it
		SetProtocolVersion(4).     // MQTT 3.1.1, without a second attempt with 3.1
		SetClientID(clientID).
		SetCleanSession(true).
		SetOrderMatters(true).
		SetAutoReconnect(false).
		SetConnectTimeout(dialWithin).
		SetWriteTimeout(writeWithin).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pongWithin)
	if a.User == "" {
		return o, nil
	}
	password, err := a.Password()
	if err != nil {
		return nil, fmt.Errorf("read password of %s: %w", a.User, err)
	}
	return o.SetUsername(a.User).SetPassword(password), nil
}

// explainRefusal puts what may go wrong between dialing and the broker's welcome into words.
func (a Access) explainRefusal(err error) error {
	alert, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("it refuses user %q: check user and password, and the broker's list of accounts", a.User)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it takes the connection and says nothing (%w): check the broker", err)
	case alert != nil && alert.Op == "remote error": // with TLS 1.3 it comes after our side of the handshake
		return fmt.Errorf("it ends the handshake (%w): if it asks for a client certificate, name one that it takes", err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("it drops the connection (%w): see its log; over TLS it may want another client certificate", err)
	default:
		return fmt.Errorf("greet: %w: see the broker's log, and check that its address speaks MQTT", err)
	}
}

// inTurn are the brokers; without one, dialing says that there is none.
func (a Access) inTurn() []string {
	if len(a.Brokers) == 0 {
		return []string{""}
	}
	return a.Brokers
}

// hostOf names a broker in errors.
func hostOf(broker string) string {
	if u, err := url.Parse(broker); err == nil {
		return u.Host
	}
	return "with a broken address"
}

// keepTrying calls try with one broker after the other until ctx ends, and tells failed why each try ended. A try is a
// whole connection, from dialing to its end. The pauses between them grow with each round, and differ: a fleet that lost
// its broker doesn't come back all at once.
func keepTrying(ctx context.Context, brokers []string, try func(broker string) error, failed func(error)) {
	wait := firstWait
	for n := 1; ; n++ {
		began := time.Now()
		err := try(brokers[(n-1)%len(brokers)])
		if ctx.Err() != nil {
			return
		}
		failed(err)
		if time.Since(began) > steadyAfter {
			wait = firstWait
		}
		if pause(ctx, wait/2+rand.N(wait)) != nil {
			return
		}
		if n%len(brokers) == 0 {
			wait = min(2*wait, longestWait)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
