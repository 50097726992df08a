package main

import (
	"context"
	"time"
)

// gate holds the settler's first write back until capture knows where it starts: a write before that place would change a
// row and never be anchored. Packing must not wait for capture for ever, though: if capture failed again and again while
// MySQL answered (no grant, no binary log), that is said, and the gate opens. What is missed then is recorded later as a
// state.
type gate struct {
	armed <-chan struct{}
	board *board
	open  chan struct{}
}

const (
	gateTries = 3 // failures of capture, all while MySQL answered
	gateLook  = 200 * time.Millisecond
)

func newGate(armed <-chan struct{}, b *board) *gate {
	return &gate{armed: armed, board: b, open: make(chan struct{})}
}

// Run opens the gate once and ends.
func (g *gate) Run(ctx context.Context) error {
	look := time.NewTicker(gateLook)
	defer look.Stop()
	for away := uint64(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-g.armed:
			close(g.open)
			return nil
		case <-look.C:
		}
		failed := g.board.failures("capture")
		if g.board.failures("mysql") > 0 || failed < away {
			away = failed // these may have been for want of MySQL
		} else if failed >= away+gateTries {
			close(g.open)
			return nil
		}
	}
}
