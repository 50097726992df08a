package matrix

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"station-agent/build/servers"
	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/mysql"
)

// task is what a reader is asked to do.
type task struct {
	Way     string
	Dir     string // of its store
	Address string // of the database
}

const (
	byGTID     = "gtid"
	byPosition = "position"
	byQueue    = "queue"
	byPolling  = "polling"

	pollEvery = 50 * time.Millisecond
)

func goodsSpec() *capture.Spec {
	return &capture.Spec{Schema: "matrix", Name: goodsTable, Key: []string{"shop", "id"}, Updated: "updated_at"}
}

// told is a line of what a reader tells: all that it knows when it begins, and then what it put into its store.
type told struct {
	Row   string `json:"row,omitempty"`
	Sum   string `json:"sum,omitempty"` // of the payload; "": it is gone
	Armed bool   `json:"armed,omitempty"`
	Lost  string `json:"lost,omitempty"`
}

// TestWorker is no test: it is the body of a reader, which captures into a store of its own until its input ends or it is killed.
func TestWorker(t *testing.T) {
	var k task
	there, err := worker.Task(&k)
	if err != nil {
		t.Fatal(err)
	}
	if !there {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := read(ctx, k); err != nil {
		t.Fatal(err)
	}
	worker.Done()
}

// read captures as the agent wires it (agent/capture.go): the tables that are read from the log have one runner, each other has
// one and a stream of its own.
func read(ctx context.Context, k task) error {
	s, err := openStore(k.Dir)
	if err != nil {
		return err
	}
	password := func() (string, error) { return servers.CapturePassword, nil }
	db, err := mysql.Open(mysql.Config{
		Address: k.Address, Schema: "matrix", User: servers.CaptureUser, Password: password, Program: "station-agent", Station: here, MaxConns: 3,
	})
	if err != nil {
		return err
	}
	defer db.Close()
	out := &teller{out: json.NewEncoder(os.Stdout)}
	goods, products := goodsSpec(), capture.Buylo("external")
	var runners []*capture.Runner
	run := func(name string, source func(*store.Stream, *teller) (capture.Source, error), tables ...*capture.Spec) error {
		stream, err := s.DB.Stream(name)
		if err != nil {
			return err
		}
		src, err := source(stream, out)
		if err != nil {
			return err
		}
		for _, spec := range tables {
			if err := out.all(stream, spec); err != nil {
				return err
			}
		}
		r, err := capture.New(capture.Config{Tables: tables, Scope: capture.Scope{Station: here}}, src, storeThatTells{stream, out}, out)
		runners = append(runners, r)
		return err
	}
	polled := func(spec *capture.Spec) func(*store.Stream, *teller) (capture.Source, error) {
		return func(stream *store.Stream, out *teller) (capture.Source, error) {
			return poll.New(poll.Config{DB: db, Explain: mysql.Explain, Table: spec, Station: here, Shadow: stream, Every: pollEvery})
		}
	}
	switch k.Way {
	case byQueue:
		err = run("", func(stream *store.Stream, _ *teller) (capture.Source, error) {
			return queue.New(queue.Config{
				DB: db, Explain: mysql.Explain, Table: goods, Queue: queue.DefaultName(goods), Station: here, Known: stream.ShadowIDs,
				Stored: stream.Position, Every: pollEvery,
			})
		}, goods)
	case byPolling:
		if err = run("", polled(goods), goods); err == nil {
			err = run("products", polled(products), products)
		}
	default:
		err = run("", func(stream *store.Stream, out *teller) (capture.Source, error) {
			return binlog.New(binlog.Config{
				Address: k.Address, User: servers.CaptureUser, Password: password, DB: db, Explain: mysql.Explain, Mode: binlog.Mode(k.Way),
				Tables: []*capture.Spec{goods, products}, Known: stream.ShadowIDs, Station: here, Version: "matrix", Memory: s.DB, Warn: out.Lost,
			})
		}, goods, products)
	}
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	for _, r := range runners {
		g.Go(func() error { return r.Run(ctx) })
	}
	g.Go(func() error {
		for _, r := range runners {
			select {
			case <-r.Armed():
			case <-ctx.Done():
				return nil
			}
		}
		out.say(told{Armed: true})
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return s.Close()
}

// openStore opens the store of a reader as the agent does.
func openStore(dir string) (*store.Store, error) {
	return store.Open(store.Config{
		Dir: dir, Now: stamp, Reserve: -1, Identity: store.Identity{Environment: "test", Station: here, Database: "the matrix"},
		PackageOf: func(record.Record) (record.Value, bool) { return nil, false },
	})
}

// stamp is this moment on the clock of this boot, which goes on from reader to reader.
func stamp() record.Stamp {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // can't fail: the clock id is valid
	return record.Stamp{Boot: "5f0c9f0e-2d5b-4a43-9c25-0a7d5c4b8f10", Mono: time.Duration(ts.Nano()), Wall: time.Now().UTC(), Trusted: true}
}

// teller tells the test what goes on.
type teller struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (t *teller) say(line told) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.out.Encode(line) // with nobody to hear it, it ends anyway
}

// Lost implements capture.Condition.
func (t *teller) Lost(err error) { t.say(told{Lost: err.Error()}) }

// Back implements capture.Condition.
func (t *teller) Back() {}

// all tells what the store knows of a table.
func (t *teller) all(stream *store.Stream, spec *capture.Spec) error {
	return stream.ShadowAll(spec.Collection(), func(row record.ShadowRow) error {
		t.row(&row)
		return nil
	})
}

func (t *teller) row(row *record.ShadowRow) {
	line := told{Row: rowOf(row.Collection, row.ID)}
	if !row.Gone {
		line.Sum = sum(row.Payload)
	}
	t.say(line)
}

// storeThatTells is a stream of the store, and tells what was put.
type storeThatTells struct {
	*store.Stream
	out *teller
}

// Put implements capture.Store.
func (s storeThatTells) Put(g record.Group) error { return s.tell(&g, s.Stream.Put(g)) }

// PutSnapshot implements capture.Store.
func (s storeThatTells) PutSnapshot(g record.Group) error { return s.tell(&g, s.Stream.PutSnapshot(g)) }

func (s storeThatTells) tell(g *record.Group, err error) error {
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	for i := range g.Shadow {
		s.out.row(&g.Shadow[i])
	}
	return nil
}
