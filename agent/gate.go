package main

import (
	"context"
	"time"
)

// gate holds the settler's first write back until capture knows where it starts: a write before that place would change a
// row and never be anchored. Packing must not wait for capture for ever, though: if MySQL answers and capture still can't
// start (no grant, no binary log), that is said, and the gate opens. What is missed then is recorded later as a state.
type gate struct {
	armed <-chan struct{}
	board *board
	open  chan struct{}
	wait  time.Duration
}

const (
	gateWait = 5 * time.Second
	gateLook = 200 * time.Millisecond
)

func newGate(armed <-chan struct{}, b *board) *gate {
	return &gate{armed: armed, board: b, open: make(chan struct{}), wait: gateWait}
}

// Run opens the gate once and ends.
func (g *gate) Run(ctx context.Context) error {
	look := time.NewTicker(gateLook)
	defer look.Stop()
	for hopeless := time.Duration(0); hopeless < g.wait; {
		select {
		case <-ctx.Done():
			return nil
		case <-g.armed:
			hopeless = g.wait
		case <-look.C:
			if g.board.lost("capture") && !g.board.lost("mysql") {
				hopeless += gateLook
			}
		}
	}
	close(g.open)
	return nil
}
