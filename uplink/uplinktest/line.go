package uplinktest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
)

// Line is a way to a stand-in without a network: it hands it requests directly. So client and service can live in a bubble of
// testing/synctest, where hours pass in no time: whoever waits for a socket there stops the clock. Several clients may share one.
type Line struct {
	service http.Handler
	cut     atomic.Bool
}

// NewLine makes a line that is up.
func NewLine(to *Certyo) *Line { return &Line{service: to.routes()} }

// Cut has every request refused at once, as by a machine on which nobody listens. What is on its way is still answered.
func (l *Line) Cut() { l.cut.Store(true) }

// Restore ends Cut.
func (l *Line) Restore() { l.cut.Store(false) }

// RoundTrip implements http.RoundTripper.
func (l *Line) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	var body []byte
	if r.Body != nil {
		defer r.Body.Close()
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if l.cut.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			if err = r.Context().Err(); err == nil {
				err = io.ErrUnexpectedEOF
			}
		} else if p != nil {
			panic(p)
		}
	}()
	in := r.Clone(r.Context())
	in.Body, in.RequestURI = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI()
	w := httptest.NewRecorder()
	l.service.ServeHTTP(w, in)
	resp = w.Result()
	resp.Request = r
	return resp, nil
}
