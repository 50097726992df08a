package race

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
	"station-agent/uplink/mysql"
)

// catchUp runs what lies between the database and Certyo as the agent wires it (agent/wire.go), until k.N records were accepted
// and noted as such. In an empty store those are the rows as they are found.
func catchUp(ctx context.Context, k Task) error {
	worker.CollectLikeTheAgent()
	m := worker.NewMeter()
	s, err := store.Open(store.Config{
		Dir: k.Dir, Now: stamp, Reserve: -1, FirstLook: time.Hour, PackageOf: packageOf,
		Identity: store.Identity{Environment: "test", Station: k.Station, Database: k.Database + "/external"},
	})
	if err != nil {
		return err
	}
	source, err := newCapture(k, s)
	if err != nil {
		return err
	}
	out := &outbox{DB: s.DB, left: k.N, empty: make(chan struct{})}
	parts := []interface{ Run(context.Context) error }{s, source, newDelivery(k, out)}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, p := range parts {
		all.Go(func() { errs[i] = p.Run(working) })
	}
	var late error
	select {
	case <-out.empty:
	case <-ctx.Done():
		late = ctx.Err()
	}
	m.Tell(k.N)
	cancel()
	all.Wait()
	return errors.Join(append(errs, late, s.Close())...)
}

// packageOf reads the package of a row, as the agent does (agent/wire.go).
func packageOf(r record.Record) (pkg record.Value, ok bool) {
	var row struct {
		Package record.Value `json:"external_package_id"`
	}
	err := json.Unmarshal(r.Payload, &row)
	return row.Package, err == nil
}

func newCapture(k Task, s *store.Store) (*capture.Runner, error) {
	password := func() (string, error) { return k.Password, nil }
	db, err := mysql.Open(mysql.Config{
		Address: k.Database, Schema: "external", User: k.User, Password: password, Program: "station-agent",
		Station: k.Station, MaxConns: 1,
	})
	if err != nil {
		return nil, err
	}
	spec := capture.Buylo("external")
	source, err := binlog.New(binlog.Config{
		Address: k.Database, User: k.User, Password: password, DB: db, Explain: mysql.Explain,
		Tables: []*capture.Spec{spec}, Station: k.Station, Memory: s.DB,
	})
	if err != nil {
		return nil, err
	}
	return capture.New(capture.Config{Tables: []*capture.Spec{spec}, Scope: capture.Scope{Station: k.Station}}, source, s.DB, condition("capture"))
}

func newDelivery(k Task, out *outbox) *deliver.Courier {
	client := certyo.New(certyo.Config{
		URL: k.Sink, Tenant: k.Tenant, Client: "bench-1", Key: func() (string, error) { return k.Key, nil },
		UserAgent: "station-agent/bench",
	})
	const unbounded = 1 << 20 // requests a minute: what is measured is the work, not the share of a budget that a guest keeps to
	return deliver.New(deliver.Config{Linger: Linger, Budget: deliver.Budget{PerMinute: unbounded}}, out, ledger{out.DB}, client, deliver.Conditions{
		Delivery: condition("certyo"), Verification: condition("verification"), Anchoring: condition("anchoring"), Integrity: condition("integrity"),
		Presence: condition("missing records"),
	})
}

// Linger is the agent's default.
const Linger = 2 * time.Second

// outbox is the store's, and tells when so many records were accepted.
type outbox struct {
	*store.DB
	left  int
	empty chan struct{}
}

// Settle implements deliver.Outbox.
func (o *outbox) Settle(list []record.Delivery) error {
	err := o.DB.Settle(list)
	for _, d := range list {
		if err != nil || d.Receipt == nil {
			continue
		}
		if o.left--; o.left == 0 {
			close(o.empty)
		}
	}
	return err
}

// ledger is the store's ledger with its own signal, as the agent has it.
type ledger struct{ *store.DB }

// Changed implements deliver.Ledger.
func (l ledger) Changed() <-chan struct{} { return l.LedgerChanged() }

// condition says what is lost, for a run that fails.
type condition string

// Lost implements the conditions of all parts.
func (c condition) Lost(err error) { fmt.Printf("%s: %v\n", string(c), err) }

// Back implements the conditions of all parts.
func (c condition) Back() {}

// stamp is this moment on the clock of this boot, which goes on from child to child.
func stamp() record.Stamp {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // can't fail: the clock id is valid
	return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: time.Duration(ts.Nano()), Wall: time.Now().UTC(), Trusted: true}
}
