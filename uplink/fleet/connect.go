package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"station-agent/uplink/fleet/message"
)

// connect dials the broker and introduces the station to it.
func (p *Publisher) connect(ctx context.Context) (*link, error) {
	o, err := p.cfg.options()
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	conn, err := p.dial(dialing)
	if err != nil {
		return nil, fmt.Errorf("%w: check the broker's address and the network", err)
	}
	l := newLink(conn, o)
	if err := l.greet(ctx); err != nil {
		return nil, p.cfg.explainRefusal(err)
	}
	return l, nil
}

// options are paho's for one connection. It doesn't connect again by itself: Run does, with the password of then, and
// only when the connection before is gone.
//
// The client id is the station's own and always the same, because the broker allows one connection per id: a station
// that comes back while the broker still believes in its old connection makes the broker end that one, and its last will
// goes out before the new connection's first word. With an id per connection the will would follow some seconds after
// it, and a station at work would stand there as lost.
func (c Config) options() (*mqtt.ClientOptions, error) {
	o := mqtt.NewClientOptions().
		AddBroker("tcp://broker"). // there has to be one; newLink says what is behind it
		SetProtocolVersion(4).     // MQTT 3.1.1, without a second attempt with 3.1
		SetClientID("station-agent-"+c.Station).
		SetCleanSession(true).
		SetOrderMatters(false).
		SetAutoReconnect(false).
		SetConnectTimeout(dialWithin).
		SetWriteTimeout(writeWithin).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pongWithin).
		SetBinaryWill(c.topic(message.StateLeaf), c.state(message.Lost, time.Now()), 1, true)
	if c.User == "" {
		return o, nil
	}
	password, err := c.Password()
	if err != nil {
		return nil, fmt.Errorf("read password of %s: %w", c.User, err)
	}
	return o.SetUsername(c.User).SetPassword(password), nil
}

// explainRefusal puts what may go wrong between dialing and the broker's welcome into words.
func (c Config) explainRefusal(err error) error {
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return fmt.Errorf("it refuses user %q: check user and password, and the broker's list of accounts", c.User)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it takes the connection and says nothing (%w): check the broker", err)
	default:
		return fmt.Errorf("greet: %w: see the broker's log, and check that its address speaks MQTT", err)
	}
}

// dial opens the connection below MQTT. Paho could, but not so that the end of ctx ends it.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(c.Broker)
	if err != nil {
		return nil, errors.New("the address can't be read") // err would repeat it, and somebody may have put a password in
	}
	var d net.Dialer
	switch u.Scheme {
	case "tcp":
		return d.DialContext(ctx, "tcp", hostPort(u, "1883"))
	case "ssl":
		return (&tls.Dialer{NetDialer: &d, Config: c.TLS}).DialContext(ctx, "tcp", hostPort(u, "8883"))
	case "ws", "wss":
		u.User = nil
		return mqtt.NewWebsocket(u.String(), c.TLS, webDialWithin, nil, nil)
	default:
		return nil, fmt.Errorf("%q is no scheme of a broker: tcp, ssl, ws and wss are", u.Scheme)
	}
}

func hostPort(u *url.URL, port string) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
}

// host names the broker in errors.
func (c Config) host() string {
	if u, err := url.Parse(c.Broker); err == nil {
		return u.Host
	}
	return "with a broken address"
}
