package fleet_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

// tunnels is an HTTP proxy that knows CONNECT only, and one account.
type tunnels struct {
	net.Listener
	opened  atomic.Int32
	account string // user:password; "" for none
	answer  string // in place of what it would say
	endless bool
}

func newTunnels(t *testing.T, l net.Listener, account string) *tunnels {
	t.Helper()
	p := &tunnels{Listener: l, account: account}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *tunnels) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.account))
	switch {
	case p.answer != "":
		io.WriteString(conn, p.answer)
		for p.endless {
			if _, err := io.WriteString(conn, "A: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				break
			}
		}
		return
	case req.Method != http.MethodConnect:
		io.WriteString(conn, "HTTP/1.1 405 Method Not Allowed\r\n\r\n")
		return
	case p.account != "" && req.Header.Get("Proxy-Authorization") != want:
		io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return
	}
	up, err := net.Dial("tcp", req.Host)
	if err != nil {
		io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer up.Close()
	p.opened.Add(1)
	io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(conn, up)
		conn.Close()
	}()
	io.Copy(up, in)
}

// through sends every broker through a proxy.
func through(address string, account *url.Userinfo) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) {
		u, err := url.Parse(address)
		if err == nil {
			u.User = account
		}
		return u, err
	}
}

func TestEveryWayLeadsThroughTheProxy(t *testing.T) {
	m := servers.Broker(t)
	certificate, roots := newCertificate(t)
	mqtts := newRelay(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), m.Addr)
	webs := newRelay(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), m.WebAddr)
	plain := newTunnels(t, listen(t), "me:s3cret")
	safe := newTunnels(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), "me:s3cret")
	for _, broker := range []string{"tcp://" + m.Addr, "ssl://" + mqtts.Addr().String(), "ws://" + m.WebAddr, "wss://" + webs.Addr().String() + "/mqtt"} {
		for address, p := range map[string]*tunnels{"http://" + plain.Addr().String(): plain, "https://" + safe.Addr().String(): safe} {
			before := p.opened.Load()
			cfg := config(broker)
			cfg.TLS, cfg.Proxy = &tls.Config{RootCAs: roots}, through(address, url.UserPassword("me", "s3cret"))
			messages := watch(t, m)
			stop := start(t, cfg, healthy, newCondition())
			awaitState(t, messages, message.Ready)
			stop()
			awaitState(t, messages, message.Disconnected)
			if p.opened.Load() != before+1 {
				t.Errorf("%s: %d connections through %s", broker, p.opened.Load()-before, address)
			}
		}
	}
}

func TestProxyThatRefusesIsNamedAndItsPasswordIsNot(t *testing.T) {
	m := servers.Broker(t)
	p := newTunnels(t, listen(t), "me:s3cret")
	odd := func(answer string) string {
		q := newTunnels(t, listen(t), "")
		q.answer, q.endless = answer, strings.HasSuffix(answer, "OK\r\n")
		return "http://" + q.Addr().String()
	}
	closed := listen(t)
	closed.Close()
	for name, c := range map[string]struct {
		broker string
		proxy  func(*url.URL) (*url.URL, error)
		want   string
	}{
		"wrong password":    {"tcp://" + m.Addr, through("http://"+p.Addr().String(), url.UserPassword("me", "wr0ng-s3cret")), "refuses the account"},
		"no account":        {"wss://" + m.WebAddr, through("http://"+p.Addr().String(), nil), "refuses the account"},
		"broker behind it":  {"tcp://" + closed.Addr().String(), through("http://"+p.Addr().String(), url.UserPassword("me", "s3cret")), "502"},
		"proxy away":        {"ssl://" + m.Addr, through("http://"+closed.Addr().String(), url.UserPassword("me", "s3cret")), "refused"},
		"other scheme":      {"tcp://" + m.Addr, through("ftp://"+p.Addr().String(), nil), "no scheme of a proxy"},
		"no HTTP":           {"tcp://" + m.Addr, through(odd("220 ready\r\n\r\n"), nil), "is it an HTTP proxy"},
		"endless":           {"tcp://" + m.Addr, through(odd("HTTP/1.1 200 OK\r\n"), nil), "is it an HTTP proxy"},
		"says too much":     {"tcp://" + m.Addr, through(odd("HTTP/1.1 200 OK\r\n\r\nhello"), nil), "says more"},
		"can't be found":    {"tcp://" + m.Addr, func(*url.URL) (*url.URL, error) { return nil, errors.New("read secret /x: no such file") }, "no such file"},
		"websocket refused": {"ws://" + p.Addr().String(), nil, "in place of a websocket"},
	} {
		t.Run(name, func(t *testing.T) {
			a := access(c.broker)
			a.Proxy = c.proxy
			if _, err := fleet.Dial(t.Context(), a, "x", nil, nil); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, want one with %s", err, c.want)
			}
		})
	}
}
