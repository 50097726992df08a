package uplinktest

import (
	"fmt"
	"net"
	"sync"
)

// Proxy stands between a client and a TCP service and plays a network with faults. Its address never changes.
//
//	open        bytes go through
//	cut         connections are reset, new ones at once (the port stays ours, so it can't be lost to another program)
//	black hole  connections stay, new ones are taken, nothing goes through; Restore delivers what was on the way
type Proxy struct {
	listener net.Listener
	joined   sync.WaitGroup

	mu       sync.Mutex
	upstream string
	way      way
	changed  chan struct{} // closed and replaced when way changes
	conns    map[net.Conn]bool
}

type way int

const (
	opened way = iota
	cut
	blackHole
	closed
)

// NewProxy listens on a free port of 127.0.0.1 for connections to upstream.
func NewProxy(upstream string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: l, upstream: upstream, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.joined.Go(p.accept)
	return p, nil
}

// Addr is host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut breaks all connections and each new one.
func (p *Proxy) Cut() { p.set(cut) }

// BlackHole lets nothing through and breaks nothing.
func (p *Proxy) BlackHole() { p.set(blackHole) }

// Restore lets everything through again.
func (p *Proxy) Restore() { p.set(opened) }

// SetUpstream sends new connections elsewhere.
func (p *Proxy) SetUpstream(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = addr
}

// Close ends the proxy and everything that goes through it.
func (p *Proxy) Close() {
	p.set(closed)
	p.listener.Close()
	p.joined.Wait()
}

func (p *Proxy) set(w way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.way == closed {
		return
	}
	p.way = w
	close(p.changed)
	p.changed = make(chan struct{})
	if w == cut || w == closed {
		for c := range p.conns {
			reset(c)
		}
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // the other end sees a reset, not an end
	}
	c.Close()
}

// pass waits until the way is open; false if it is cut.
func (p *Proxy) pass() bool {
	for {
		p.mu.Lock()
		w, changed := p.way, p.changed
		p.mu.Unlock()
		if w != blackHole {
			return w == opened
		}
		<-changed
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.hold(c) {
			continue
		}
		p.joined.Go(func() { p.carry(c) })
	}
}

// hold puts c under the control of Cut; false if it was broken at once.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.way == cut || p.way == closed {
		reset(c)
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) carry(c net.Conn) {
	defer p.drop(c)
	if !p.pass() {
		return
	}
	p.mu.Lock()
	to := p.upstream
	p.mu.Unlock()
	up, err := net.Dial("tcp", to)
	if err != nil {
		reset(c)
		return
	}
	if !p.hold(up) {
		return
	}
	defer p.drop(up)
	var both sync.WaitGroup
	both.Go(func() { p.copy(up, c) })
	both.Go(func() { p.copy(c, up) })
	both.Wait()
}

// copy carries bytes one way, as long as the way is open.
func (p *Proxy) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass() {
			break
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	// Half-open connections are of no use to what is tested here: an end on one side ends both.
	to.Close()
	from.Close()
}
