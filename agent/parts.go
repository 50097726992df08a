package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"station-agent/station"
	"station-agent/station/feedback"
	"station-agent/station/gpio"
	"station-agent/store"
	"station-agent/uplink/deliver"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

// runner is a part that blocks until ctx ends and has joined its goroutines when it returns.
type runner interface {
	Run(ctx context.Context) error
}

// runFunc makes a runner of a function.
type runFunc func(ctx context.Context) error

// Run calls f.
func (f runFunc) Run(ctx context.Context) error { return f(ctx) }

// parts is the agent, put together.
type parts struct {
	cfg       *config
	log       *slog.Logger
	clock     *clock
	board     *board
	store     *store.Store
	picture   *station.Picture
	bench     *station.Bench
	inquiries *inquiries
	shared    *shared
	reads     *reads
	damage    damage
	alarms    *alarms
	vitals    *vitals
	panel     station.Panel    // what tells the operator
	player    *feedback.Player // lamps and buzzer; nil if there are none
	host      gpio.Host
	tape      *station.Tape // nil if nothing is kept
	lag       func() (time.Duration, bool)
	ways      func() []message.Way
	key       func() string // place of Certyo's key in use; nil if there is one only
	choose    func(table, way string) error
	snapshot  func(table string) error
	resync    func(table string) error
	courier   *deliver.Courier
	look      *http.ServeMux // what the sockets answer
	control   *http.ServeMux
	orders    *orders
	trials    *trials
	sealed    *sealed
	pause     *pausing
	blink     *blinking
	level     *levels
	scrub     *scrub
	last      *lastLines
	events    func() []message.Event // the last of them
	again     chan string            // why the agent is to start again
	dbs       []*sql.DB
	fleet     *fleet.Publisher // nil without a broker
	moving    *moving
	running   []runner
}

func (p *parts) add(r runner) { p.running = append(p.running, r) }

// Run runs every part until ctx ends or a person moves the store away; the first error ends them all.
func (p *parts) Run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var wish *move
	var again bool
	p.add(runFunc(func(ctx context.Context) error {
		select {
		case wish = <-p.moving.wish:
			p.log.Info("stopping: the store is moved away", "to", wish.to)
			stop()
		case why := <-p.again:
			p.log.Info("stopping: the agent starts again", "why", why)
			again = true
			stop()
		case <-ctx.Done():
		}
		return nil
	}))
	err := p.work(working)
	switch {
	case again && ctx.Err() == nil && (err == nil || errors.Is(err, errLeftBehind)): // who was left behind ends with this program
		if err == nil {
			err = p.close()
		}
		return errors.Join(errAgain, err)
	case errors.Is(err, errLeftBehind):
		return err // it may still use the store
	case wish != nil && ctx.Err() == nil: // also from a card that failed while stopping: that is what it is for
		return p.moveOut(ctx, wish)
	}
	return cmp.Or(err, p.close())
}

// restart lets the agent stop and start again.
func (p *parts) restart(why string) {
	select {
	case p.again <- why:
	default: // it does already
	}
}

var errLeftBehind = errors.New("stop: a part of the agent did not end in time and was left behind; nothing is lost")

// work runs every part side by side until ctx ends. A part that hangs then is left behind after stopTime.
func (p *parts) work(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range p.running {
		g.Go(func() error { return r.Run(ctx) })
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopTime):
		return errLeftBehind
	}
}

func (p *parts) close() error {
	folder, err := p.leave()
	return errors.Join(err, folder.Close())
}

// leave closes everything and keeps the store locked.
func (p *parts) leave() (*store.Folder, error) {
	for _, db := range p.dbs {
		_ = db.Close() // nothing waits for it
	}
	return p.store.Leave()
}
