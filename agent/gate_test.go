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
// although MySQL answers; never because both were away.
func TestGate(t *testing.T) {
	for name, c := range map[string]struct {
		armed     bool
		capture   int // failures, one a second
		mysqlBack int // after so many of them MySQL is back; 0: it was never away
		want      bool
	}{
		"armed":                                      {armed: true, want: true},
		"nothing known yet":                          {},
		"capture can't start":                        {capture: gateTries, want: true},
		"capture failed once":                        {capture: 1},
		"MySQL is away, so is capture":               {capture: 50, mysqlBack: 51},
		"MySQL is back, capture has not tried again": {capture: 50, mysqlBack: 50},
		"MySQL is back, capture still can't start":   {capture: 50 + gateTries, mysqlBack: 50, want: true},
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
				if c.mysqlBack > 0 {
					mysql.Lost(errors.New("away"))
				}
				for n := range c.capture {
					capture.Lost(errors.New("no grant"))
					time.Sleep(time.Second)
					if n+1 == c.mysqlBack {
						mysql.Back()
					}
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
