package haul

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
)

// budget is no limit to speak of for the posts of a loop that makes them one after another, and some 200 verifications a second.
var budget = deliver.Budget{PerMinute: 60_000, Verify: 20}

// drain runs what lies between the outbox and Certyo as the agent wires it (agent/wire.go), until k.N records were accepted and
// noted as such, and then until k.Looks verifications were made.
func drain(ctx context.Context, k Task) error {
	worker.CollectLikeTheAgent()
	looking := 0.0
	began := time.Now()
	s, err := store.Open(store.Config{Dir: k.Dir, Now: stamp, Reserve: -1, FirstLook: k.FirstLook, Identity: identity,
		Probe: func(path string) error { return probed(path, &looking) }})
	if err != nil {
		return err
	}
	worker.Tell("opened", time.Since(began).Seconds())
	end, err := profile(k.Profile)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	defer end()
	m := worker.NewMeter()
	h := newHaul(k, s)
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, 2)
	for i, p := range []interface{ Run(context.Context) error }{s, h.courier} {
		all.Go(func() { errs[i] = p.Run(working) })
	}
	late := h.await(ctx, k.Work == First, func() { m.Tell(k.N) })
	worker.Tell("peak in all", worker.Memory("VmHWM"))
	worker.Tell("peak with child", looking)
	for _, name := range []string{"RssFile", "RssAnon"} {
		worker.Tell(name, worker.Memory(name))
	}
	cancel()
	all.Wait()
	return errors.Join(append(errs, late, s.Close())...)
}

// probed has a child look at a file, as the agent does, and notes the most that both had in memory.
func probed(path string, most *float64) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	a, err := worker.RunProgram(self, Task{Work: probe, Dir: path})
	if err == nil {
		*most = max(*most, worker.Memory("VmRSS")+a["peak"][0])
	}
	return err
}

// haul is a delivery that tells how far it is.
type haul struct {
	courier *deliver.Courier
	first   chan struct{} // closed with the first receipt that is noted
	empty   chan struct{} // closed with the last
	looked  chan struct{} // closed when so many verifications were noted
}

func newHaul(k Task, s *store.Store) *haul {
	h := &haul{nil, make(chan struct{}), make(chan struct{}), make(chan struct{})}
	client := certyo.New(certyo.Config{
		URL: k.Sink, Tenant: k.Tenant, Client: client, Key: func() (string, error) { return k.Key, nil }, UserAgent: userAgent,
	})
	if k.Looks == 0 {
		close(h.looked)
	}
	spread := time.Duration(0)
	if k.Work == First { // as agents start
		spread = 5 * time.Second
	}
	h.courier = deliver.New(deliver.Config{Linger: 2 * time.Second, Spread: spread, Budget: budget}, &outbox{DB: s.DB, left: k.N, haul: h},
		&ledger{DB: s.DB, left: k.Looks, haul: h}, client, deliver.Conditions{
			Delivery: condition("certyo"), Verification: condition("verification"), Anchoring: condition("anchoring"),
			Integrity: condition("integrity"), Presence: condition("missing records"),
		})
	return h
}

// await calls delivered when all is, or, if that is enough, when the first is.
func (h *haul) await(ctx context.Context, first bool, delivered func()) error {
	until := []chan struct{}{h.empty, h.looked}
	if first {
		until = []chan struct{}{h.first}
	}
	for i, c := range until {
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
		if i == 0 {
			delivered()
		}
	}
	return nil
}

// outbox is the store's, and tells when so many records were accepted.
type outbox struct {
	*store.DB
	left  int
	begun bool
	haul  *haul
}

// Settle implements deliver.Outbox.
func (o *outbox) Settle(list []record.Delivery) error {
	if err := o.DB.Settle(list); err != nil {
		return err
	}
	for i := range list {
		if list[i].Receipt == nil {
			continue
		}
		if !o.begun {
			o.begun = true
			close(o.haul.first)
		}
		if o.left--; o.left == 0 {
			close(o.haul.empty)
		}
	}
	return nil
}

// ledger is the store's with its own signal, as the agent has it, and tells when so many verifications were noted.
type ledger struct {
	*store.DB
	left int
	haul *haul
}

// Changed implements deliver.Ledger.
func (l *ledger) Changed() <-chan struct{} { return l.LedgerChanged() }

// Look implements deliver.Ledger.
func (l *ledger) Look(list []record.Look) error {
	if err := l.DB.Look(list); err != nil {
		return err
	}
	if l.left > 0 && l.left <= len(list) {
		close(l.haul.looked)
	}
	l.left -= len(list)
	return nil
}

// condition says what is lost, for a run that fails.
type condition string

// Lost implements deliver.Condition.
func (c condition) Lost(err error) { fmt.Printf("%s: %v\n", string(c), err) }

// Back implements deliver.Condition.
func (c condition) Back() {}
