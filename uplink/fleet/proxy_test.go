package fleet_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

// odd is the URL of a proxy that says something else, and goes on for ever after a status line.
func odd(t *testing.T, answer string) string {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	serve := func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, err := io.WriteString(conn, answer)
		for err == nil && strings.HasSuffix(answer, "OK\r\n") {
			_, err = io.WriteString(conn, "A: "+strings.Repeat("x", 1000)+"\r\n")
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return "http://" + l.Addr().String()
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
	a := uplinktest.NewIssuer(t)
	certificate, _, _ := a.Issue("broker")
	mqtts := newRelay(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), m.Addr)
	webs := newRelay(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate}}), m.WebAddr)
	plain, safe := uplinktest.NewTunnels(t, "me:s3cret"), uplinktest.NewTunnels(t, "me:s3cret", certificate)
	for _, broker := range []string{"tcp://" + m.Addr, "ssl://" + mqtts.Addr().String(), "ws://" + m.WebAddr, "wss://" + webs.Addr().String() + "/mqtt"} {
		for _, p := range []*uplinktest.Tunnels{plain, safe} {
			before := p.Opened()
			cfg := config(broker)
			cfg.TLS, cfg.Proxy = &tls.Config{RootCAs: a.Pool}, through(p.URL(), url.UserPassword("me", "s3cret"))
			messages := watch(t, m)
			stop := start(t, cfg, healthy, newCondition())
			awaitState(t, messages, message.Ready)
			stop()
			awaitState(t, messages, message.Disconnected)
			if p.Opened() != before+1 {
				t.Errorf("%s: %d connections through %s", broker, p.Opened()-before, p.URL())
			}
		}
	}
}

func TestProxyThatRefusesIsNamedAndItsPasswordIsNot(t *testing.T) {
	m := servers.Broker(t)
	p := uplinktest.NewTunnels(t, "me:s3cret")
	closed := uplinktest.Refusing(t)
	for name, c := range map[string]struct {
		broker string
		proxy  func(*url.URL) (*url.URL, error)
		want   string
	}{
		"wrong password":    {"tcp://" + m.Addr, through(p.URL(), url.UserPassword("me", "wr0ng-s3cret")), "refuses the account"},
		"no account":        {"wss://" + m.WebAddr, through(p.URL(), nil), "refuses the account"},
		"broker behind it":  {"tcp://" + closed, through(p.URL(), url.UserPassword("me", "s3cret")), "502"},
		"proxy away":        {"ssl://" + m.Addr, through("http://"+closed, url.UserPassword("me", "s3cret")), "refused"},
		"other scheme":      {"tcp://" + m.Addr, through(strings.Replace(p.URL(), "http", "ftp", 1), nil), "no scheme of a proxy"},
		"no HTTP":           {"tcp://" + m.Addr, through(odd(t, "220 ready\r\n\r\n"), nil), "is it an HTTP proxy"},
		"endless":           {"tcp://" + m.Addr, through(odd(t, "HTTP/1.1 200 OK\r\n"), nil), "is it an HTTP proxy"},
		"says too much":     {"tcp://" + m.Addr, through(odd(t, "HTTP/1.1 200 OK\r\n\r\nhello"), nil), "says more"},
		"can't be found":    {"tcp://" + m.Addr, func(*url.URL) (*url.URL, error) { return nil, errors.New("read secret /x: no such file") }, "no such file"},
		"websocket refused": {strings.Replace(p.URL(), "http", "ws", 1), nil, "in place of a websocket"},
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
