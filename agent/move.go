package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"station-agent/store"
)

// A running agent hands its store out over one connection of the control socket, which lives as long as the command does:
//
//	command  POST /store/export, naming the file
//	agent    101, ends its parts, closes the store and keeps it locked; then the archive in chunks of HTTP, and a line
//	command  writes, flushes, reads again and renames the file, then says so
//	agent    marks the store as moved, says so and ends
//
// If the connection ends earlier, the store is as it was, and the agent ends with an error so that it is started again.
const (
	complete = "complete" // the archive is
	safe     = "safe"     // the file is, on disk
	moved    = "moved"    // the store is marked
)

// move is one person's wish to have the store elsewhere.
type move struct {
	to   string // for a person
	conn net.Conn
	in   *bufio.Reader
}

// moving takes the wish to the parts; there is one at a time.
type moving struct {
	busy atomic.Bool
	wish chan *move // of one place
}

func newMoving() *moving { return &moving{wish: make(chan *move, 1)} }

// export takes the connection over; parts.Run goes on with it.
func (m *moving) export(w http.ResponseWriter, r *http.Request) error {
	if !m.busy.CompareAndSwap(false, true) {
		return errors.New("export store: it is being exported already")
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		m.busy.Store(false)
		return fmt.Errorf("export store: %w", err)
	}
	_ = conn.SetDeadline(time.Time{}) // a unix socket can't refuse; and if it did, the export would end early
	m.wish <- &move{r.FormValue("to"), conn, rw.Reader}
	return nil
}

// out exports the folder and marks it as moved once the command says that the file is safe.
func (m *move) out(f *store.Folder) error {
	if _, err := io.WriteString(m.conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: station-agent-store\r\n\r\n"); err != nil {
		return err
	}
	chunks := httputil.NewChunkedWriter(m.conn)
	_, err := f.Export(chunks, time.Now())
	if err := errors.Join(err, chunks.Close(), m.say(complete, err)); err != nil {
		return err
	}
	if err := hear(m.in, safe); err != nil {
		return err
	}
	err = f.Moved(m.to, time.Now())
	if said := m.say(moved, err); err == nil && said != nil {
		return nil // the command has gone, but the file is safe and the mark is made
	}
	return err
}

// say sends a word, or the error that stands in its way.
func (m *move) say(word string, err error) error {
	if err != nil {
		word = oneLine(err.Error())
	}
	_, err = fmt.Fprintln(m.conn, word)
	return err
}

// hear reads a line and wants it to be word; anything else is the other side's error.
func hear(in *bufio.Reader, word string) error {
	line, err := in.ReadString('\n')
	switch line = strings.TrimSpace(line); {
	case err != nil:
		return fmt.Errorf("wait for %q: %w: the other side has ended", word, err)
	case line != word:
		return errors.New(line)
	}
	return nil
}

// moveOut ends the agent's life on this card, when its parts have ended. An error starts the agent again, with the store as
// it was.
func (p *parts) moveOut(ctx context.Context, m *move) error {
	defer m.conn.Close()
	defer context.AfterFunc(ctx, func() { m.conn.Close() })()
	folder, err := p.leave()
	if err != nil {
		p.log.Warn("closed the store with an error; it is exported as it is", "err", err)
	}
	defer folder.Close()
	if err := m.out(folder); err != nil && ctx.Err() != nil {
		return nil // told to end meanwhile
	} else if err != nil {
		return fmt.Errorf("export store: %w: the store is as it was", err)
	}
	p.log.Info("moved", "to", m.to)
	return nil
}
