package benchpacking

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// slowness is a way to the database on which every answer takes a while once it is told to: the first bytes that come back
// after a question are held, the rest of the answer follows at once.
type slowness struct {
	listener net.Listener
	upstream string
	hold     atomic.Int64 // a time.Duration
	over     chan struct{}
	joined   sync.WaitGroup
}

func newSlowness(upstream string) (*slowness, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &slowness{listener: l, upstream: upstream, over: make(chan struct{})}
	s.joined.Go(s.accept)
	return s, nil
}

func (s *slowness) addr() string { return s.listener.Addr().String() }

// by makes every answer take so long.
func (s *slowness) by(d time.Duration) { s.hold.Store(int64(d)) }

func (s *slowness) close() {
	close(s.over)
	s.listener.Close()
	s.joined.Wait()
}

func (s *slowness) accept() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.joined.Go(func() { s.carry(client) })
	}
}

func (s *slowness) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", s.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var asked atomic.Bool
	ended := make(chan struct{}, 2)
	both := func(f func()) {
		s.joined.Go(func() {
			f()
			ended <- struct{}{}
		})
	}
	both(func() { flow(server, client, func() { asked.Store(true) }) })
	both(func() {
		flow(client, server, func() {
			if asked.Swap(false) {
				s.wait()
			}
		})
	})
	select { // an end on one side ends both
	case <-ended:
	case <-s.over:
	}
}

func (s *slowness) wait() {
	if d := time.Duration(s.hold.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-s.over:
		}
	}
}

// flow carries bytes one way and calls each before it hands them on.
func flow(to, from net.Conn, each func()) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			each()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
