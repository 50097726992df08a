package uplinktest

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Tunnels is an HTTP proxy that knows CONNECT only, and one account at a time.
type Tunnels struct {
	server *httptest.Server

	mu      sync.Mutex
	account string
	opened  int
	open    map[net.Conn]bool
}

// NewTunnels starts a proxy for user:password, with a certificate if it is to be asked over TLS.
func NewTunnels(t testing.TB, account string, certificates ...tls.Certificate) *Tunnels {
	t.Helper()
	p := &Tunnels{account: account, open: map[net.Conn]bool{}}
	p.server = httptest.NewUnstartedServer(p)
	if p.server.TLS = (&tls.Config{Certificates: certificates}); len(certificates) > 0 {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	t.Cleanup(func() {
		p.SetAccount("")
		p.server.Close()
	})
	return p
}

// URL is the proxy as an agent's configuration names it.
func (p *Tunnels) URL() string { return p.server.URL }

// Opened is how many tunnels there have been.
func (p *Tunnels) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// SetAccount lets another account count from now on, and ends what the last one opened.
func (p *Tunnels) SetAccount(account string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.account = account
	for conn := range p.open {
		conn.Close()
	}
}

// admits tells whether the account of a request counts.
func (p *Tunnels) admits(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.Header.Get("Proxy-Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte(p.account))
}

func (p *Tunnels) enter(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	p.opened++
}

func (p *Tunnels) leave(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	conn.Close()
}

// ServeHTTP opens a tunnel to the host that CONNECT names: 405 for another method, 407 for another account, 502 if nobody is there.
func (p *Tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if !p.admits(r) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	up, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	p.enter(up)
	defer p.leave(up)
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(up, conn)
		up.Close()
	}()
	_, _ = io.Copy(conn, up)
}
