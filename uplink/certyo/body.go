package certyo

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// body is what one request sends. Its bytes serve a later request again once nobody reads them: net/http may go on reading
// after it has given an answer or an error, until it closes its reader, and may ask for another reader (GetBody). So readers
// are counted, and so is the caller, whose part ends with let.
//
//	newBody ── users 1 ──open── 2 ──Close── 1 ──let── 0: the bytes are free, no reader can be opened any more
type body struct {
	mu    sync.Mutex
	bytes []byte
	users int
	free  *spare // nil: the bytes are used once
}

// spare keeps the buffers of the last bulk bodies for the next ones, as many as requests are under way at once. (A sync.Pool is emptied by the collector, which runs many times
// from one body to the next.)
type spare struct {
	mu    sync.Mutex
	bytes [2][]byte
}

// maxKept is the largest buffer that is kept: a huge request must not stay in memory.
const maxKept = 1 << 20

func newBody(bytes []byte, free *spare) *body { return &body{bytes: bytes, users: 1, free: free} }

// take gives an empty buffer of at least size bytes, which is the caller's alone.
func (s *spare) take(size int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bytes[0]
	s.bytes[0], s.bytes[1] = s.bytes[1], nil
	if cap(b) < size {
		b = make([]byte, 0, size+size/8) // the next one may be a little larger
	}
	return b[:0]
}

// give takes a buffer back that nobody uses any more.
func (s *spare) give(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(b) > maxKept {
		return
	}
	at := 0
	if cap(s.bytes[0]) > cap(s.bytes[1]) { // the smaller one goes
		at = 1
	}
	if cap(b) > cap(s.bytes[at]) {
		s.bytes[at] = b
	}
}

// open gives a reader from the beginning. net/http closes each one that it gets.
func (b *body) open() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users == 0 {
		return nil, errors.New("the request is over")
	}
	b.users++
	return &bodyReader{of: b}, nil
}

// let ends the part of one user. It may be called for no body.
func (b *body) let() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users--; b.users > 0 {
		return
	}
	if b.free != nil {
		b.free.give(b.bytes)
	}
	b.bytes = nil
}

// bodyReader reads a body until it is closed, and not a byte after.
type bodyReader struct {
	mu sync.Mutex
	of *body // nil once closed
	at int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.of == nil:
		return 0, http.ErrBodyReadAfterClose
	case r.at == len(r.of.bytes):
		return 0, io.EOF
	}
	n := copy(p, r.of.bytes[r.at:])
	r.at += n
	return n, nil
}

func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of != nil {
		r.of.let()
		r.of = nil
	}
	return nil
}
