package main

import (
	"database/sql"
	"database/sql/driver"
	"io"
	"log/slog"
	"testing"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// unreachable is a database that nobody answers.
type unreachable struct{ driver.Driver }

func (unreachable) Open(string) (driver.Conn, error) { return nil, driver.ErrBadConn }

// A table whose server doesn't answer at the start keeps its place: what came meanwhile is read from there.
func TestATableThatIsNotFoundYetKeepsItsPlace(t *testing.T) {
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: t.TempDir(), Now: clk.now, Identity: store.Identity{Environment: "test", Station: "s", Database: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sql.Register("unreachable", unreachable{})
	db, err := sql.Open("unreachable", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	b := newBoard(slog.New(slog.NewTextHandler(io.Discard, nil)))
	orders := &tracked{Spec: &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "at"}, way: byAuto, cond: b.condition("capture of shop.orders")}
	c := &capturing{db: db, store: s.DB, board: b, scope: capture.Scope{Station: "s"},
		tables: []*tracked{{Spec: capture.Buylo("external"), by: byPoll, cond: b.condition("capture")}, orders}}
	stream, err := s.DB.Stream("table orders")
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
