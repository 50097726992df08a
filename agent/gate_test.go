package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate holds when the first write may go out: once capture is armed, or once it is plain that capture can't start
// although MySQL answers; never while both are away.
func TestGate(t *testing.T) {
	for name, c := range map[string]struct {
		armed, captureLost, mysqlLost bool
		want                          bool
	}{
		"armed":                        {armed: true, want: true},
		"nothing known yet":            {},
		"capture can't start":          {captureLost: true, want: true},
		"MySQL is away, so is capture": {captureLost: true, mysqlLost: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(slog.New(slog.DiscardHandler))
				capture, mysql := b.condition("capture"), b.condition("mysql")
				armed := make(chan struct{})
				g := newGate(armed, b)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- g.Run(ctx) }()
				if c.armed {
					close(armed)
				}
				if c.captureLost {
					capture.Lost(errors.New("no grant"))
				}
				if c.mysqlLost {
					mysql.Lost(errors.New("away"))
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				select {
				case <-g.open:
					if !c.want {
						t.Error("open")
					}
					<-done
				default:
					if c.want {
						t.Error("still closed")
					}
					cancel()
					<-done
				}
				cancel()
			})
		})
	}
}
