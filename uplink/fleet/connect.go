package fleet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// connect dials the broker and introduces the station to it.
func (p *Publisher) connect(ctx context.Context) (*link, error) {
	hello, err := p.cfg.hello()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: check the broker's address and the network", err)
	}
	cut := context.AfterFunc(ctx, func() { conn.Close() })
	err = shakeHands(conn, hello)
	if !cut() {
		err = fmt.Errorf("it takes the connection and says nothing (%w): check the broker", ctx.Err())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return newLink(conn), nil
}

// hello is the packet that opens a connection.
//
// The client id is the station's own and always the same, because the broker allows one connection per id: a station
// that comes back while the broker still believes in its old connection makes the broker end that one, and its last will
// goes out before the new connection's first word. With an id per connection the will would follow some seconds after
// it, and a station at work would stand there as lost.
func (c Config) hello() (*packets.ConnectPacket, error) {
	h := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	h.ProtocolName, h.ProtocolVersion = "MQTT", 4
	h.ClientIdentifier = "station-agent-" + c.Station
	h.CleanSession = true
	h.Keepalive = uint16(keepAlive / time.Second)
	h.WillFlag, h.WillQos, h.WillRetain = true, 1, true
	h.WillTopic, h.WillMessage = c.topic("state"), c.state(Lost, time.Now())
	if c.User == "" {
		return h, nil
	}
	password, err := c.Password()
	if err != nil {
		return nil, fmt.Errorf("read password of %s: %w", c.User, err)
	}
	h.UsernameFlag, h.Username = true, c.User
	h.PasswordFlag, h.Password = true, []byte(password)
	return h, nil
}

// shakeHands sends hello and reads the broker's verdict.
func shakeHands(conn net.Conn, hello *packets.ConnectPacket) error {
	if err := hello.Write(conn); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	a, err := readAnswer(conn)
	if err != nil {
		return fmt.Errorf("read answer to greeting: %w", err)
	}
	verdict, ok := a.(*packets.ConnackPacket)
	if !ok {
		return errors.New("it doesn't speak MQTT 3.1.1: check the broker's address")
	}
	switch verdict.ReturnCode {
	case packets.Accepted:
		return nil
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return fmt.Errorf("it refuses user %q: check user and password, and the broker's list of accounts", hello.Username)
	default:
		return fmt.Errorf("it refuses client %q with code %d: see the broker's log", hello.ClientIdentifier, verdict.ReturnCode)
	}
}

// dial opens the connection below MQTT.
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
