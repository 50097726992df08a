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
	free  *sync.Pool // of *[]byte; nil: the bytes are used once
}

// maxKept is the largest buffer that is kept: a single huge record must not stay in memory.
const maxKept = 8 << 20

func newBody(bytes []byte, free *sync.Pool) *body { return &body{bytes: bytes, users: 1, free: free} }

// buffer gives an empty one of at least size bytes.
func buffer(free *sync.Pool, size int) []byte {
	if b, ok := free.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
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
	if b.free != nil && cap(b.bytes) <= maxKept {
		bytes := b.bytes
		b.free.Put(&bytes)
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
