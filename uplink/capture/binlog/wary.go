package binlog

import (
	"bytes"
	"errors"
	"net"
)

// wary is a plain connection that ends when the server asks for the password in clear text: at its greeting or later the
// library would send it. Only what comes before the log is looked at.
type wary struct {
	net.Conn
	seen []byte
	done bool
}

// greeting is how many bytes are looked at; the handshake takes a few hundred.
const greeting = 4096

var errClearText = errors.New("the server asks for the password in clear text: set up TLS, or check that this is the right server")

// Read implements net.Conn.
func (w *wary) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.done {
		return n, err
	}
	w.seen = append(w.seen, p[:n]...)
	if bytes.Contains(w.seen, []byte("mysql_clear_password")) {
		w.Close()
		return 0, errClearText
	}
	if len(w.seen) > greeting {
		w.seen, w.done = nil, true
	}
	return n, err
}
