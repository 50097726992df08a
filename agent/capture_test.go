package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"log/slog"
	"testing"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// unreachable is a database that nobody answers.
type unreachable struct{}

func (unreachable) Connect(context.Context) (driver.Conn, error) { return nil, driver.ErrBadConn }
func (unreachable) Driver() driver.Driver                        { return nil }

// unanswered is capture of Buylo's table and of shop.orders, on a server that doesn't answer.
func unanswered(t *testing.T) *capturing {
	t.Helper()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: t.TempDir(), Now: clk.now, Identity: store.Identity{Environment: "test", Station: "s", Database: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	db := sql.OpenDB(unreachable{})
	t.Cleanup(func() { db.Close() })
	log := slog.New(slog.DiscardHandler)
	b := newBoard(log)
	orders := &tracked{Spec: &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "at"}, way: byAuto,
		queue: "shop.station_agent_queue_orders", cond: b.condition("capture of shop.orders")}
	return &capturing{log: log, db: db, store: s.DB, board: b, scope: capture.Scope{Station: "s"}, decided: b.condition("way of capture"),
		tables: []*tracked{{Spec: capture.Buylo("external"), way: byPoll, by: byPoll, cond: b.condition("capture")}, orders}}
}

// A table whose server doesn't answer at the start keeps its place: what came meanwhile is read from there.
func TestATableThatIsNotFoundYetKeepsItsPlace(t *testing.T) {
	c := unanswered(t)
	stream, err := c.store.Stream("table orders")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Put(record.Group{Position: record.Position{Way: byQueue, Taken: "id:1"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.assemble(); err != nil {
		t.Fatal(err)
	}
	if p, err := stream.Position(); err != nil || p.Taken != "id:1" {
		t.Errorf("position %+v, %v", p, err)
	}
}

// A way that a table was found by before is not tried anew at a start, when its server may be away. Any other way is tried first.
func TestAKeptWayIsNotTriedAtAStart(t *testing.T) {
	kept := store.Way{Name: byPoll, Why: "it was the first that works"}
	for _, a := range []struct {
		configured string
		kept       store.Way
		by         string // "" while it is not found
	}{
		{byAuto, kept, byPoll},
		{byPoll, kept, byPoll},
		{byQueue, kept, ""},
		{byAuto, store.Way{}, ""},
		{byPoll, store.Way{}, ""},
	} {
		c := unanswered(t)
		orders := c.tables[1]
		if orders.way = a.configured; a.kept != (store.Way{}) {
			if err := c.store.Decide("shop.orders", a.kept); err != nil {
				t.Fatal(err)
			}
		}
		open, err := c.decide(t.Context())
		said := c.board.failures("capture of shop.orders") > 0
		if err != nil || orders.by != a.by || open != (a.by == "") || said != open {
			t.Errorf("%s, and %q is kept: by %q, open %t, said %t, %v", a.configured, a.kept.Name, orders.by, open, said, err)
		}
		if now := c.store.Way("shop.orders"); now.Name != a.kept.Name {
			t.Errorf("%s: %+v is kept instead of %+v", a.configured, now, a.kept)
		}
	}
}
