package uplinktest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestProxy(t *testing.T) {
	one, two := echo(t, "1"), echo(t, "2")
	p, err := NewProxy(one)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)

	c := dial(t, p)
	if got := c.ask(t, "a"); got != "1a" {
		t.Fatalf("through the open proxy: %q", got)
	}

	p.Cut()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("cut, but a connection at rest says %v", err)
	}
	if got, err := c.try("b"); err == nil {
		t.Fatalf("cut, but the connection answers %q", got)
	}
	if fresh, err := net.Dial("tcp", p.Addr()); err == nil { // the reset may come while it is dialled, or after
		t.Cleanup(func() { fresh.Close() })
		if got, err := (line{fresh, bufio.NewReader(fresh)}).try("c"); err == nil {
			t.Fatalf("cut, but a new connection answers %q", got)
		}
	}
	p.Restore()
	c = dial(t, p)
	c.ask(t, "d")

	p.BlackHole()
	late := dial(t, p)
	for name, conn := range map[string]line{"old": c, "new": late} {
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // only reads: the line must be on the way
		if got, err := conn.try("e"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("black hole: the %s connection gives %q, %v", name, got, err)
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	}
	p.Restore()
	for _, conn := range []line{c, late} {
		if got, err := conn.r.ReadString('\n'); got != "1e\n" {
			t.Fatalf("what was on the way came as %q, %v", got, err)
		}
	}

	p.SetUpstream(two)
	if got := dial(t, p).ask(t, "f"); got != "2f" {
		t.Fatalf("new upstream: %q", got)
	}
	if got := c.ask(t, "g"); got != "1g" {
		t.Fatalf("the old connection stays: %q", got)
	}

	p.BlackHole()
	p.Close() // joins everything, also what waits
	if _, err := c.try("h"); err == nil {
		t.Fatal("closed, but the connection answers")
	}
}

type line struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *Proxy) line {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return line{c, bufio.NewReader(c)}
}

func (l line) try(s string) (string, error) {
	if _, err := io.WriteString(l, s+"\n"); err != nil {
		return "", err
	}
	return l.r.ReadString('\n')
}

func (l line) ask(t *testing.T, s string) string {
	t.Helper()
	got, err := l.try(s)
	if err != nil {
		t.Fatal(err)
	}
	return got[:len(got)-1]
}

// echo serves each line back behind its name.
func echo(t *testing.T, name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					s, err := r.ReadString('\n')
					if err != nil {
						return
					}
					io.WriteString(c, name+s)
				}
			}()
		}
	}()
	return l.Addr().String()
}
