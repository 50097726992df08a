package fleet

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/proxy"
)

// longestAnswer is the longest head of an answer that is taken from a proxy.
const longestAnswer = 16 << 10

// dial opens the connection below MQTT. Paho could, but not so that the end of ctx ends it.
func (a Access) dial(ctx context.Context, broker string) (net.Conn, error) {
	u, err := url.Parse(broker)
	if err != nil {
		return nil, errors.New("the address can't be read") // err would repeat it, and somebody may have put a password in
	}
	switch u.Scheme {
	case "tcp":
		return a.reach(ctx, u, hostPort(u, "1883"))
	case "ssl":
		conn, err := a.reach(ctx, u, hostPort(u, "8883"))
		if err != nil {
			return nil, err
		}
		return secure(ctx, conn, a.TLS, u.Hostname())
	case "ws", "wss":
		return a.web(ctx, u)
	default:
		return nil, fmt.Errorf("%q is no scheme of a broker: tcp, ssl, ws and wss are", u.Scheme)
	}
}

func hostPort(u *url.URL, port string) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
}

// secure shakes hands for TLS with the host of that name, and closes conn if that fails.
func secure(ctx context.Context, conn net.Conn, cfg *tls.Config, host string) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	c := tls.Client(conn, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// reach connects to addr, through the proxy if there is one for this broker.
func (a Access) reach(ctx context.Context, broker *url.URL, addr string) (net.Conn, error) {
	var d net.Dialer
	if a.Proxy == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	through, err := a.Proxy(broker)
	if err != nil {
		return nil, fmt.Errorf("find the proxy: %w", err)
	}
	if through == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	conn, err := a.tunnel(ctx, through, addr)
	if err != nil {
		return nil, fmt.Errorf("go through proxy %s: %w", through.Host, err)
	}
	return conn, nil
}

// tunnel connects to addr through a proxy.
func (a Access) tunnel(ctx context.Context, through *url.URL, addr string) (net.Conn, error) {
	var d net.Dialer
	switch through.Scheme {
	case "socks5":
		return socks(ctx, through, addr)
	case "http", "https":
	default:
		return nil, fmt.Errorf("%q is no scheme of a proxy: http, https and socks5 are", through.Scheme)
	}
	conn, err := d.DialContext(ctx, "tcp", hostPort(through, map[string]string{"http": "80", "https": "443"}[through.Scheme]))
	if err == nil && through.Scheme == "https" {
		conn, err = secure(ctx, conn, a.TLS, through.Hostname())
	}
	if err != nil {
		return nil, err
	}
	if err := ask(ctx, conn, through.User, addr); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func socks(ctx context.Context, through *url.URL, addr string) (net.Conn, error) {
	var account *proxy.Auth
	if through.User != nil {
		password, _ := through.User.Password()
		account = &proxy.Auth{User: through.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", hostPort(through, "1080"), account, &net.Dialer{})
	if err != nil {
		return nil, err
	}
	return d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
}

// ask asks an HTTP proxy on conn for a tunnel to addr (CONNECT, RFC 9110).
func ask(ctx context.Context, conn net.Conn, account *url.Userinfo, addr string) error {
	hurry := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer hurry()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if account != nil {
		password, _ := account.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(account.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, longestAnswer))
	resp, err := http.ReadResponse(in, req)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("no answer: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("read its answer: %w: is it an HTTP proxy?", err)
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return errors.New("it refuses the account: check the proxy's user and password")
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %d %s: it has to let %s through", resp.StatusCode, http.StatusText(resp.StatusCode), addr)
	case in.Buffered() > 0: // the broker never speaks first
		return errors.New("it says more than that the way is open: is it an HTTP proxy?")
	case !hurry():
		return ctx.Err()
	}
	return nil
}

// web opens a websocket.
func (a Access) web(ctx context.Context, u *url.URL) (net.Conn, error) {
	plain := *u
	plain.User = nil
	settled := func() bool { return false }
	d := websocket.Dialer{
		TLSClientConfig: a.TLS,
		Subprotocols:    []string{"mqtt"},
		NetDialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			conn, err := a.reach(ctx, u, addr)
			if err == nil { // the dialer looks at the deadline of ctx only
				settled = context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		},
	}
	ws, resp, err := d.DialContext(ctx, plain.String(), nil)
	settled()
	if errors.Is(err, websocket.ErrBadHandshake) && resp != nil {
		return nil, fmt.Errorf("the web server answers %d %s in place of a websocket: check the path of the address", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if err != nil {
		return nil, err
	}
	return &webConn{Conn: ws}, nil
}

// webConn is a websocket as a stream of bytes: MQTT's packets don't have to agree with its messages.
type webConn struct {
	*websocket.Conn
	message io.Reader // the rest of the one that is being read; nil between two
}

func (c *webConn) Read(b []byte) (n int, err error) {
	for {
		if c.message == nil {
			if _, c.message, err = c.NextReader(); err != nil {
				return 0, err
			}
		}
		n, err = c.message.Read(b)
		if err == io.EOF {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *webConn) Write(b []byte) (int, error) {
	if err := c.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *webConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
