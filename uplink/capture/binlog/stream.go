package binlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"golang.org/x/sync/errgroup"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// stream is one connection's worth of the log. The library calls HandleEvent from its one reading goroutine.
type stream struct {
	ctx    context.Context
	keep   func(*capture.RowChange) bool
	sink   func(capture.Tx) error
	layout layouts
	see    func(context.Context, *capture.Spec, []string) ([]capture.State, error)
	warn   func(error)

	from      record.Position // where the stream was asked to begin
	at        record.Position // behind the last whole transaction
	here      place           // behind the last event; the log ends with some that are no transactions
	read      gtids           // nil if read by file
	tx        open
	spare     []capture.RowChange // memory for the rows of the next one
	held      held
	now       capture.RowChange // the one that keep looks at
	parser    *replication.BinlogParser
	maps      map[uint64]*tableMap // by the log's number of the table
	waiting   []undecoded          // row events that the parser has read
	mariaGTID replication.MariadbGTIDEvent
	there     [2][]byte
	images    [2]image        // of the row that is read
	pair      [2][]any        // what they hold
	skipped   [2][]int        // and don't
	twoXA     map[string]bool // two-phase transactions that were prepared and have no row of ours
	failed    error           // why the stream ends, if it is our doing
	sweep     *sweeper        // nil: no table has to be read as a whole
	watch     watch
}

// Run implements capture.Source.
func (s *Source) Run(ctx context.Context, from record.Position, keep func(*capture.RowChange) bool, sink func(capture.Tx) error) error {
	sv, err := s.ask(ctx)
	if err != nil {
		return s.about(err)
	}
	byGTID, err := s.resume(ctx, sv, from)
	if err != nil {
		return s.about(err)
	}
	if err := s.recallReplica(); err != nil {
		return s.about(err)
	}
	login := s.login()
	password, err := login.Password()
	if err != nil {
		s.refused.Add(1) // the other one may be there
		return s.about(err)
	}
	st := &stream{
		ctx: ctx, keep: keep, sink: s.heard(sink), from: from, at: from, twoXA: make(map[string]bool), see: s.see, warn: s.warn,
		maps: make(map[uint64]*tableMap),
	}
	st.parser = newParser(sv.flavor, st.decode)
	if st.layout, err = s.layouts(ctx, sv, from); err != nil {
		return s.about(err)
	}
	st.at.Server, st.at.GTID = sv.id, ""
	if byGTID {
		if st.read, err = parseGTIDs(sv.flavor, from.GTID); err != nil {
			return capture.Gap("the stored position is unreadable: %v", err)
		}
		st.at.GTID = from.GTID
	}
	if st.sweep, err = s.sweeper(st, sv.flavor, from.Sweep); err != nil {
		return err
	}
	return s.about(s.beside(ctx, st, func(ctx context.Context) error {
		return s.follow(ctx, st, sv, login.User, password)
	}))
}

// beside follows the log and sweeps beside it; the first that fails ends both.
func (s *Source) beside(ctx context.Context, st *stream, follow func(context.Context) error) error {
	if st.sweep == nil {
		return follow(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return follow(ctx) })
	g.Go(func() error { return st.sweep.run(ctx) })
	return g.Wait()
}

// layouts recalls what is known of the tables and reads what isn't.
func (s *Source) layouts(ctx context.Context, sv *server, from record.Position) (l layouts, err error) {
	l = layouts{specs: s.cfg.Tables, ask: s.table, keep: s.saveHistory, past: make(map[*capture.Spec]*history), mapped: make(map[uint64]mapped)}
	for _, spec := range s.cfg.Tables {
		if l.past[spec], err = s.history(spec, sv.id, from); err != nil {
			return l, err
		}
	}
	return l, l.prepare(ctx)
}

// follow connects and reads until something fails or ctx ends.
func (s *Source) follow(ctx context.Context, st *stream, sv *server, user, password string) error {
	s.endStale(ctx, sv)
	ctx, cancel := context.WithCancel(ctx)
	syncer := s.syncer(user, password, sv, dialer(ctx, s.cfg.TLS == nil), st)
	defer syncer.Close() // joins its goroutine
	defer cancel()       // first: closes the connection
	var events *replication.BinlogStreamer
	var err error
	if st.read != nil {
		set, parseErr := mysql.ParseGTIDSet(sv.flavor, st.from.GTID)
		if parseErr != nil {
			return capture.Gap("the stored position is unreadable: %v", parseErr)
		}
		events, err = syncer.StartSyncGTID(set)
	} else {
		events, err = syncer.StartSync(mysql.Position{Name: st.from.File, Pos: uint32(st.from.Pos)})
	}
	if err != nil {
		return s.classify(err)
	}
	s.noteDump(ctx, sv, syncer.LastConnectionID())
	return s.await(ctx, st, sv, events)
}

// await waits until the stream ends, and ends it when it is stuck.
func (s *Source) await(ctx context.Context, st *stream, sv *server, events *replication.BinlogStreamer) error {
	ctx, stop := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop(nil)
	watching.Go(func() {
		if err := st.watch.run(ctx, s.look, s.ends); err != nil {
			err = s.wentBack(ctx, sv, err)
			s.stuck.Store(!errors.Is(err, capture.ErrGap))
			stop(err)
		}
	})
	_, err := events.GetEvent(ctx) // HandleEvent has the events: this is how they end
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case st.failed != nil:
		return st.failed
	}
	return s.classify(err)
}

var errOver = errors.New("the stream is over")

// HandleEvent implements replication.EventHandler.
func (s *stream) HandleEvent(e *replication.BinlogEvent) error {
	if s.sweep != nil {
		s.sweep.mu.Lock()
		defer s.sweep.mu.Unlock()
	}
	s.watch.inside.Store(true)
	defer s.watch.inside.Store(false)
	s.watch.note(e.Header)
	event, err := s.take(e)
	if err == nil {
		err = s.passed(e.Header, event)
	}
	if err != nil {
		s.failed = err
		return errOver
	}
	return nil
}

func (s *stream) handle(h *replication.EventHeader, event replication.Event) error {
	switch e := event.(type) {
	case *replication.RowsEvent:
		rows, err := s.parsedRows(h, e)
		if err != nil {
			return err
		}
		return s.rows(h, rows)
	case *replication.XIDEvent:
		return s.commit(h)
	case *replication.GTIDEvent:
		s.beginGTID(h, e)
	case *replication.GtidTaggedLogEvent:
		s.beginGTID(h, &e.GTIDEvent)
	case *replication.MariadbGTIDEvent:
		s.beginMaria(h, e)
	case *replication.QueryEvent:
		return s.query(h, e)
	case *replication.TransactionPayloadEvent:
		for _, inner := range e.Events {
			if err := s.handle(inner.Header, inner.Event); err != nil {
				return err
			}
		}
	case *replication.RotateEvent:
		return s.rotate(h, e)
	case *replication.FormatDescriptionEvent:
		s.renumber()
		if err := s.begun(h); err != nil {
			return err
		}
		return s.sink(capture.Tx{}) // connected
	case *replication.HeartbeatEvent:
		s.watch.beat(s.stands(h, e))
		return s.sink(capture.Tx{Idle: s.tx.id == ""})
	case *replication.GenericEvent:
		return s.generic(h, e)
	}
	return nil
}

// renumber forgets the log's numbers of tables: another file may be another run of the server.
func (s *stream) renumber() {
	clear(s.maps)
	s.layout.renumber()
}

// rotate goes on to the next file. The server invents such an event at the start of a stream to tell its file.
func (s *stream) rotate(h *replication.EventHeader, e *replication.RotateEvent) error {
	s.renumber()
	s.at.File, s.at.Pos, s.at.Begun = string(e.NextLogName), e.Position, 0
	if invented := h.Flags&replication.LOG_EVENT_ARTIFICIAL_F != 0 || h.LogPos == 0; invented || s.tx.id != "" {
		return nil
	}
	return s.give(capture.Tx{Position: s.at})
}

// begun notes when the file was begun: the event at its head says so, also to a stream that begins behind it. A file that was read
// before and was begun at another time is one of another history, however long.
func (s *stream) begun(h *replication.EventHeader) error {
	was := s.from.Begun
	if s.at.Begun = int64(h.Timestamp); s.at.File != s.from.File || s.at.Server != s.from.Server || was == 0 || s.at.Begun == was {
		return nil
	}
	at := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
	return capture.Gap("the server has another history: %s was begun at %s, and the one that was read at %s", s.at.File, at(s.at.Begun), at(was))
}

// generic handles what the library leaves undecoded.
func (s *stream) generic(h *replication.EventHeader, e *replication.GenericEvent) error {
	switch h.EventType {
	case replication.XA_PREPARE_LOG_EVENT:
		return s.prepared(h, e.Data)
	case replication.INCIDENT_EVENT:
		return capture.Gap("the server itself says that its binary log is incomplete (incident event)")
	}
	return nil
}
