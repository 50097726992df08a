package binlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// A table without stations may have any number of rows: it is read in chunks beside the stream. What a chunk shows must not
// be older than what the stream gave before, nor newer than what it has still to give:
//
//	stream   ──a────b────c──▲──d──          a to c are in the chunk or were touched meanwhile
//	chunk        [ read ]   └ given out once the stream is where the server's log ended after the read
//
// Rows that the stream touched since shortly before the read are left out of the chunk: the stream has told of them. Shortly
// before, as a server gives a transaction to its replicas before its own SELECTs show it.
const (
	sweepChunk = 1000
	sweepRest  = 200 * time.Millisecond // between chunks, for the server
	sweepLook  = 50 * time.Millisecond  // whether the stream has come so far
)

// sweeper reads whole tables beside a stream.
type sweeper struct {
	source *Source
	st     *stream
	flavor string
	todo   capture.Sweeps
	swept  map[*capture.Spec]bool

	mu      sync.Mutex // held while the stream handles an event, and while a chunk is given out
	touched touched
	began   time.Time // of the chunk under way, zero if there is none
}

func (s *Source) sweeper(st *stream, flavor, text string) (*sweeper, error) {
	todo, err := capture.ParseSweeps(text)
	if err != nil || len(todo) == 0 {
		return nil, err
	}
	w := &sweeper{source: s, st: st, flavor: flavor, todo: todo, swept: make(map[*capture.Spec]bool)}
	for _, spec := range s.cfg.Tables {
		_, w.swept[spec] = todo[spec.Collection()]
	}
	return w, nil
}

// touch notes that the stream has a row in hand. Called with mu held, by the stream.
func (w *sweeper) touch(table *capture.Table, images ...[]any) {
	if w == nil || !w.swept[table.Spec] {
		return
	}
	now := time.Now()
	needed := now
	if !w.began.IsZero() {
		needed = w.began
	}
	for _, image := range images {
		if image != nil {
			w.touched.note(table.Spec, table.ID(image), now, needed.Add(-touchedSpan))
		}
	}
}

// run sweeps every table that is due, one after another.
func (w *sweeper) run(ctx context.Context) error {
	for _, spec := range w.source.cfg.Tables {
		for w.swept[spec] {
			done, err := w.chunk(ctx, spec)
			if err != nil {
				return fmt.Errorf("sweep %s: %w", spec, err)
			}
			if done {
				break
			}
			if !pause(ctx, sweepRest) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// begin begins a chunk, once all rows are known that the stream touched shortly before.
func (w *sweeper) begin(ctx context.Context) (time.Time, error) {
	for {
		now := time.Now()
		w.mu.Lock()
		if w.touched.knows(now.Add(-touchedSpan)) {
			w.began = now
		}
		begun := !w.began.IsZero()
		w.mu.Unlock()
		if begun {
			return now, nil
		}
		if !pause(ctx, sweepRest) {
			return now, ctx.Err()
		}
	}
}

func (w *sweeper) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Time{}
}

// chunk reads one chunk and gives it out when its time has come. One that can't be given out any more is left to be read again.
func (w *sweeper) chunk(ctx context.Context, spec *capture.Spec) (done bool, err error) {
	read := capture.Snapshot{DB: w.source.cfg.DB, Table: spec, Station: w.source.cfg.Station, Explain: w.source.cfg.Explain}
	table, err := read.Layout(ctx)
	if err != nil {
		return false, err
	}
	began, err := w.begin(ctx)
	if err != nil {
		return false, err
	}
	defer w.ended()
	sweep := capture.Sweep{Read: read, Known: w.source.cfg.Known, Chunk: sweepChunk}
	progress := w.todo[spec.Collection()]
	found, missing, next, done, err := sweep.Next(ctx, table, progress)
	if err != nil {
		return false, err
	}
	end, err := w.end(ctx)
	if err != nil {
		return false, err
	}
	for {
		given, err := w.give(spec, end, began, progress, found, missing, next, done)
		if err == errForgotten {
			return false, nil
		}
		if err != nil || given {
			return done, err
		}
		if !pause(ctx, sweepLook) {
			return false, ctx.Err()
		}
	}
}

var errForgotten = errors.New("more rows were touched than can be remembered")

// give gives a chunk out if the stream has come to the end, but for what the stream touched since the chunk was begun.
func (w *sweeper) give(spec *capture.Spec, end record.Position, began time.Time, progress capture.Progress,
	found []capture.State, missing []string, next capture.Progress, done bool) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := began.Add(-touchedSpan)
	if !w.touched.knows(since) {
		return false, errForgotten
	}
	if w.st.tx.id != "" || !w.st.past(end) {
		return false, nil
	}
	w.touched.prune(since)
	found = slices.DeleteFunc(found, func(s capture.State) bool { return w.touched.has(spec, s.ID) })
	missing = slices.DeleteFunc(missing, func(id string) bool { return w.touched.has(spec, id) })
	w.todo = maps.Clone(w.todo)
	if w.todo[spec.Collection()] = next; done {
		delete(w.todo, spec.Collection())
	}
	w.st.at.Sweep = w.todo.String()
	tx := capture.Tx{Position: w.st.at, ID: "sweep", At: end.At, Tick: end.At.UnixMicro(), Found: found, Run: progress.Run, Quiet: progress.Quiet, All: progress.All}
	for _, id := range missing {
		tx.Missing = append(tx.Missing, capture.Absence{Table: spec, ID: id, To: end.At})
	}
	return true, w.st.give(tx)
}

// end is where the server's log ends now, and its time.
func (w *sweeper) end(ctx context.Context) (p record.Position, err error) {
	s := w.source
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return p, s.explain(err)
	}
	defer conn.Close()
	if p.At, err = s.clock(ctx, conn); err != nil {
		return p, err
	}
	variable := "gtid_executed"
	if w.flavor == mysql.MariaDBFlavor {
		variable = "gtid_binlog_pos"
	}
	var last string
	if w.st.read != nil || w.flavor == mysql.MariaDBFlavor {
		if err = s.explain(conn.QueryRowContext(ctx, "SELECT @@GLOBAL."+variable).Scan(&last)); err != nil {
			return p, err
		}
	}
	p.At = likeTheLog(p.At, w.flavor, last)
	if w.st.read == nil {
		p.File, p.Pos, err = s.end(ctx, conn)
		return p, err
	}
	p.GTID = strings.ReplaceAll(last, "\n", "")
	return p, nil
}

// past tells whether everything before a position was read.
func (s *stream) past(p record.Position) bool {
	if s.read == nil {
		return !s.here.before(place{p.File, p.Pos})
	}
	switch read := s.read.(type) {
	case maria:
		want, err := parseMaria(p.GTID)
		if err != nil {
			return false
		}
		for domain, g := range want {
			if read[domain].SequenceNumber < g.SequenceNumber {
				return false
			}
		}
		return true
	case *executed:
		want, err := parseExecuted(p.GTID)
		return err == nil && read.covers(want)
	}
	return false
}

// covers tells whether all of the numbers of another set are in e.
func (e *executed) covers(other *executed) bool {
	for _, by := range other.sources {
		i, ok := e.find(by.source)
		for _, s := range by.spans {
			if !ok || !slices.ContainsFunc(e.sources[i].spans, func(h span) bool { return h.first <= s.first && s.last <= h.last }) {
				return false
			}
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
