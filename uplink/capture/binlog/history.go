package binlog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// place is where a transaction begins in one server's log.
type place struct {
	File string `json:"file,omitempty"`
	Pos  uint64 `json:"pos,omitempty"`
}

func (p place) before(q place) bool {
	if p.File == q.File {
		return p.Pos < q.Pos
	}
	return fileNumber(p.File) < fileNumber(q.File)
}

// fileNumber is the number at the end of a file's name, 0 if there is none.
func fileNumber(file string) uint64 {
	n, _ := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 64)
	return n
}

// history is what is known of one table's layouts along a log that doesn't name the columns. It is cut into stretches by the
// statements that may have changed the table:
//
//	----------- D1 ------------------- D2 ------- E     D: such a statement; E: where the log ended when a layout was read
//	 stretch 0  |      stretch 1       |  stretch 2
//
// A layout that was read belongs to the stretch that has E in it. So it is right for the rows of a stretch if no further D
// lies between them and E. Whether one does shows only as the stream goes on: until it has come to E the transactions are
// held back (layouts.until), and if a D is met before E they can't be known.
type history struct {
	Server    string    `json:"server"`    // whose log
	Stretches []stretch `json:"stretches"` // in order, never none

	Taken *record.Position `json:"taken,omitempty"` // where the last snapshot was taken
	First stretch          `json:"first"`           // the layout that was read behind it
}

// stretch is a part of the log in which the table has one layout.
type stretch struct {
	Since   place            `json:"since"`
	Columns []capture.Column `json:"columns,omitempty"` // none: not read
	Read    place            `json:"read"`              // E

	table *capture.Table // made of the columns
	held  bool           // rows of it were mapped before the stream came to E
}

const mostStretches = 32

// unknown is a history of which only the server is known.
func unknown(server string) *history { return &history{Server: server, Stretches: make([]stretch, 1)} }

// begins tells whether the stream from a position begins at the snapshot that the history knows of: then nothing of what was
// met before counts, for the statements in between were not met.
func (h *history) begins(from record.Position) bool {
	t := h.Taken
	return t != nil && t.GTID == from.GTID && t.File == from.File && t.Pos == from.Pos && t.At.Equal(from.At)
}

// find gives the stretch that has the place in it.
func (h *history) find(at place) *stretch { return &h.Stretches[h.index(at)] }

func (h *history) index(at place) int {
	for i := len(h.Stretches) - 1; i > 0; i-- {
		if !at.before(h.Stretches[i].Since) {
			return i
		}
	}
	if at.before(h.Stretches[0].Since) { // older than what is remembered
		h.Stretches = slices.Insert(h.Stretches, 0, stretch{})
	}
	return 0
}

// last gives the stretch that the log's end is in, as far as it was read.
func (h *history) last() *stretch { return &h.Stretches[len(h.Stretches)-1] }

// next is where the stretch ends, as far as is known.
func (h *history) next(s *stretch) (end place, known bool) {
	for i := range h.Stretches[:len(h.Stretches)-1] {
		if &h.Stretches[i] == s {
			return h.Stretches[i+1].Since, true
		}
	}
	return place{}, false
}

// cut ends a stretch: a statement at a place may have changed the table. It tells whether that is new, and whether rows were
// mapped under a layout that may have come later; then it changes nothing.
func (h *history) cut(at place) (fresh, doubt bool) {
	i := h.index(at)
	s := &h.Stretches[i]
	if s.Since == at {
		return false, false
	}
	if len(s.Columns) > 0 && at.before(s.Read) {
		if s.held {
			return false, true
		}
		*s = stretch{Since: s.Since}
	}
	h.insert(i+1, stretch{Since: at})
	return true, false
}

func (h *history) insert(i int, s stretch) {
	h.Stretches = slices.Insert(h.Stretches, i, s)
	if more := len(h.Stretches) - mostStretches; more > 0 {
		h.Stretches = slices.Delete(h.Stretches, 0, more)
	}
}

// fill gives a stretch the layout that was read when the log ended at end.
func (s *stretch) fill(t *capture.Table, end place) {
	s.table, s.Columns, s.Read, s.held = t, t.Columns, end, false
}

// layout is the table of a stretch that has columns.
func (s *stretch) layout(spec *capture.Spec) (*capture.Table, error) {
	if s.table == nil {
		t, err := capture.NewTable(spec, s.Columns)
		if err != nil {
			return nil, capture.Gap("the layout of %s at that time doesn't suit the configuration: %v", spec, err)
		}
		s.table = t
	}
	return s.table, nil
}

func layoutNote(spec *capture.Spec) string { return "layout/" + spec.String() }

// history recalls what is known of a table for a stream from a position.
func (s *Source) history(spec *capture.Spec, server string, from record.Position) (*history, error) {
	h := &history{}
	found, err := recall(s.cfg.Memory, layoutNote(spec), h)
	switch {
	case err != nil:
		return nil, fmt.Errorf("recall layout of %s: %w", spec, err)
	case found && h.begins(from):
		h.Server, h.Stretches = server, []stretch{h.First}
		return h, s.saveHistory(spec, h)
	case !found || len(h.Stretches) == 0 || h.Server != server:
		return unknown(server), nil
	}
	return h, nil
}

func (s *Source) saveHistory(spec *capture.Spec, h *history) error {
	if err := remember(s.cfg.Memory, layoutNote(spec), h); err != nil {
		return fmt.Errorf("keep layout of %s: %w", spec, err)
	}
	return nil
}

// taken notes that there is a snapshot: if capture goes on from it, the histories begin anew there, with the layouts as they
// are now.
func (s *Source) taken(ctx context.Context, server string, want []capture.Want, at record.Position) error {
	for _, w := range want {
		h := &history{}
		found, err := recall(s.cfg.Memory, layoutNote(w.Table), h)
		if err != nil {
			return fmt.Errorf("recall layout of %s: %w", w.Table, err)
		}
		if !found || len(h.Stretches) == 0 {
			h = unknown(server)
		}
		t, end, err := s.table(ctx, w.Table)
		if err != nil {
			return err
		}
		h.Taken, h.First = &at, stretch{}
		h.First.fill(t, end)
		if err := s.saveHistory(w.Table, h); err != nil {
			return err
		}
	}
	return nil
}

// table reads a layout as it is now, and then where the log ends: every statement that it shows lies before that.
func (s *Source) table(ctx context.Context, spec *capture.Spec) (t *capture.Table, end place, err error) {
	t, err = capture.ReadTable(ctx, s.cfg.DB, spec)
	if err != nil {
		return nil, end, s.explain(err)
	}
	end, err = s.logEnd(ctx)
	return t, end, err
}

// logEnd is where the log ends now.
func (s *Source) logEnd(ctx context.Context) (p place, err error) {
	p.File, p.Pos, err = s.end(ctx, s.cfg.DB)
	return p, err
}
