package binlog

import (
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// held are the transactions that wait until the layout of their rows is proven. Until the stream has come to the place where
// the layout was read, a change of the table may still show up that makes it wrong.
type held struct {
	txs  []capture.Tx
	rows int
}

// give gives a transaction out, or holds it back.
func (s *stream) give(tx capture.Tx) error {
	if s.layout.until == (place{}) {
		return s.sink(tx)
	}
	s.held.txs = append(s.held.txs, tx)
	if s.held.rows += len(tx.Rows) + len(tx.Found); s.held.rows > mostRows {
		return capture.Gap("the layout of more than %d rows would have to be guessed until the log is read to its end (as administrator, SET GLOBAL binlog_row_metadata = 'FULL', and the log itself says it)", mostRows)
	}
	return s.sink(capture.Tx{})
}

// stands is where the stream stands behind an event that ends no transaction, or one.
func (s *stream) stands(h *replication.EventHeader, event replication.Event) place {
	here := place{s.at.File, s.at.Pos}
	if beat, ok := event.(*replication.HeartbeatEvent); ok && beat.Filename != "" && beat.Filename != here.File {
		here = place{File: beat.Filename}
	}
	if h.Flags&replication.LOG_EVENT_ARTIFICIAL_F == 0 {
		here.Pos = max(here.Pos, uint64(h.LogPos))
	}
	return here
}

// passed gives out what was held back once the stream has come far enough.
func (s *stream) passed(h *replication.EventHeader, event replication.Event) error {
	if s.tx.id != "" {
		return nil
	}
	s.here = s.stands(h, event)
	if s.layout.until == (place{}) || s.here.before(s.layout.until) {
		return nil
	}
	s.layout.until = place{}
	txs := s.held.txs
	s.held = held{}
	for _, tx := range txs {
		if err := s.sink(tx); err != nil {
			return err
		}
	}
	return nil
}
