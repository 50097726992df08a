package certyo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// TestBytesAreFreeOnlyWhenNobodyReads: a reader that is still open keeps the bytes from being used again, also after the
// caller's part is over; after the last one no reader is given any more.
func TestBytesAreFreeOnlyWhenNobodyReads(t *testing.T) {
	var free spare
	b := newBody([]byte("first"), &free)
	one, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	b.let()
	one.Close()
	one.Close() // as net/http may
	if cap(free.take(0)) > 0 {
		t.Fatal("the bytes were let go while one reader was open")
	}
	if err := iotest.TestReader(two, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Fatalf("a closed reader reads: %v", err)
	}
	if _, err := b.open(); err != nil {
		t.Fatal(err)
	}
}

func TestNoReaderAfterTheEnd(t *testing.T) {
	b := newBody([]byte("first"), &spare{})
	b.let()
	if r, err := b.open(); err == nil {
		t.Fatalf("%v", r)
	}
}

// TestBuffersAreNeverSharedByTwoRequests: answers come before bodies are read, requests are cut and time out, keys are refused,
// connections that the server closed are replaced (GetBody), and all the time the buffers of earlier requests are written
// anew. Whatever the server could read to its end is one whole body. (Meant for the race detector, too.)
func TestBuffersAreNeverSharedByTwoRequests(t *testing.T) {
	var mu sync.Mutex
	whole, wrong, n := 0, []string{}, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		turn := n
		mu.Unlock()
		switch turn % 6 {
		case 0: // an answer at once; net/http still writes the body
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Connection", "close")
		}
		var read bytes.Buffer
		if turn%6 == 3 { // a pause amid the body
			_, _ = io.CopyN(&read, r.Body, 1000)
			<-time.After(time.Millisecond)
		}
		_, err := read.ReadFrom(r.Body)
		body := read.Bytes()
		if err != nil {
			return
		}
		if turn%12 == 5 { // no answer until the client gives up
			<-r.Context().Done()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		whole++
		mark := body[bytes.Index(body, []byte("mark-"))+5]
		if strings.Count(string(body), strings.Repeat(string(mark), 1000)) != 200 {
			wrong = append(wrong, fmt.Sprintf("a body of %c is mixed", mark))
		}
		if turn%6 == 4 {
			w.WriteHeader(http.StatusUnauthorized)
		} else {
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer s.Close()
	_, c := pair(t, func(cfg *Config) {
		cfg.URL, cfg.PostTimeout = s.URL, 300*time.Millisecond
		cfg.Next = func() (string, error) { return testKey + "_next", nil }
	})
	defer c.http.CloseIdleConnections()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			sent := rows(200)
			for round := range 40 {
				mark := string(rune('a' + (g+round)%26))
				for i := range sent {
					sent[i].Payload = []byte(`{"m":"mark-` + strings.Repeat(mark, 1000) + `"}`)
				}
				_, _ = c.Post(t.Context(), sent)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(wrong) > 0 || whole < 20 {
		t.Fatalf("%d whole bodies, wrong: %q", whole, wrong)
	}
}

// TestPostsUseOneBuffer holds that posting again does not take new memory for the body.
func TestPostsUseOneBuffer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	_, c := pair(t, func(cfg *Config) { cfg.URL = s.URL })
	defer c.http.CloseIdleConnections()
	sent := rows(1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const posts = 20
	for range posts {
		if _, err := c.Post(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each, size := (after.TotalAlloc-before.TotalAlloc)/posts, uint64(c.size(sent, 20)); each > size {
		t.Errorf("%d bytes are allocated a post, the body has about %d", each, size)
	}
}
