package binlog

import (
	"context"
	"errors"
	"time"

	"station-agent/uplink/capture"
)

const probeTime = 20 * time.Second

var errLives = errors.New("the log can be read")

// Probe tells whether the tables and the log can be read: it asks all that a start asks, connects, and waits for the first word.
func (s *Source) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	if err := s.Readable(ctx); err != nil {
		return err
	}
	p, _, err := s.Snapshot(ctx, nil, "")
	if err != nil {
		return err
	}
	err = s.Run(ctx, p, func(*capture.RowChange) bool { return false }, func(capture.Tx) error { return errLives })
	if errors.Is(err, errLives) {
		return nil
	}
	return err
}

// Readable tells whether the tables can be read, of which it needs no log.
func (s *Source) Readable(ctx context.Context) error {
	for _, spec := range s.cfg.Tables {
		read := capture.Snapshot{DB: s.cfg.DB, Table: spec, Explain: s.cfg.Explain}
		table, err := read.Layout(ctx)
		if err != nil {
			return err
		}
		if _, err := read.Absent(ctx, table, []string{""}); err != nil {
			return err
		}
	}
	return nil
}
