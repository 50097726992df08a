package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/mysql"
	"station-agent/uplink/writeback"
)

// shop is a customer's table that is captured and tracked.
type shop struct {
	*testing.T
	db     *servers.Database
	c      *capturing
	target *writeback.Columns
	mark   uint64
}

const shopColumns = `id INT PRIMARY KEY, name VARCHAR(50), price DECIMAL(10,2),
	updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
	certyo_record_hash VARCHAR(128), certyo_anchor_status VARCHAR(20) DEFAULT 'Pending', certyo_verified_at TIMESTAMP NULL, KEY (updated_at)`

// newShop makes the table and lets its changes be found one way. Stubborn: a trigger of the customer's moves updated_at at every
// UPDATE, whatever that says.
func newShop(t *testing.T, db *servers.Database, way string, stubborn bool) *shop {
	t.Helper()
	s := &shop{T: t, db: db}
	spec := &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "updated_at", Tracked: true}
	user := "'" + servers.CaptureUser + "'@'%'"
	s.run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "CREATE TABLE shop.orders ("+shopColumns+")",
		"GRANT SELECT, TRIGGER, UPDATE (certyo_record_hash, certyo_anchor_status, certyo_verified_at, updated_at) ON shop.orders TO "+user)
	if stubborn {
		s.run("CREATE TRIGGER shop.touch BEFORE UPDATE ON shop.orders FOR EACH ROW SET NEW.updated_at = CURRENT_TIMESTAMP")
	}
	name := queue.DefaultName(spec)
	tr := &tracked{Spec: spec, way: way}
	if way == byQueue {
		tr.queue = name.String()
		table, err := capture.ReadTable(t.Context(), db.Root(), spec)
		s.ok(err)
		list, err := queue.Statements(table, name, user)
		s.ok(err)
		s.run(list...)
	}
	s.c = foundCapturing(t, db, tr)
	password := func() (string, error) { return servers.CapturePassword, nil }
	pool, err := mysql.Open(mysql.Config{Address: db.Addr, User: servers.CaptureUser, Password: password, MaxConns: 4})
	s.ok(err)
	t.Cleanup(func() { pool.Close() })
	s.c.db, s.c.binlog.DB, s.c.binlog.User, s.c.binlog.Password = pool, pool, servers.CaptureUser, password
	s.c.tables[0].way = byPoll
	s.target = writeback.NewColumns(pool, &trackedRows{Spec: spec, store: s.c.store})
	foundRun(t, s.c)
	select {
	case <-s.c.armed:
	case <-time.After(30 * time.Second):
		t.Fatalf("not captured after 30 s: %+v", s.c.board.problems())
	}
	return s
}

func (s *shop) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) run(statements ...string) {
	s.Helper()
	for _, text := range statements {
		if _, err := s.db.Root().ExecContext(s.Context(), text); err != nil {
			s.Fatalf("%s: %v", text, err)
		}
	}
}

// waiting waits until the outbox holds these, as id, operation and name.
func (s *shop) waiting(want ...string) (list []record.Queued) {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		list = nil
		var got []string
		head, err := s.c.store.Head(nil, 1000, 1<<20)
		s.ok(err)
		for _, q := range head {
			if q.Collection == "orders" {
				_, name, _ := strings.Cut(string(q.Payload), `"name":"`)
				name, _, _ = strings.Cut(name, `"`)
				list, got = append(list, q), append(got, fmt.Sprintf("%s %s", q.ID, name))
			}
		}
		if slices.Equal(got, want) {
			return list
		}
		if time.Now().After(deadline) {
			s.Fatalf("records %q wait, want %q; %+v", got, want, s.c.board.problems())
		}
		<-time.After(50 * time.Millisecond)
	}
}

// accepts lets Certyo accept what waits.
func (s *shop) accepts(list []record.Queued, hash string) {
	s.Helper()
	for _, q := range list {
		s.ok(s.c.store.Settle([]record.Delivery{{Seq: q.Seq, Receipt: &record.Receipt{Hash: hash}}}))
	}
	s.ok(s.c.store.Flush())
}

func (s *shop) anchors(list []record.Queued) {
	s.Helper()
	for _, q := range list {
		s.ok(s.c.store.Look([]record.Look{{Seq: q.Seq, State: record.Anchored, Answer: []byte(`{}`)}}))
	}
	s.ok(s.c.store.Flush())
}

// write writes back what there is.
func (s *shop) write() {
	s.Helper()
	for {
		next, err := s.c.store.Standings(s.mark, 100, func(list []record.Standing) error { return s.target.Write(s.Context(), list) })
		s.ok(mysql.Explain(err))
		if next == s.mark {
			return
		}
		s.mark = next
	}
}

// row is hash, status, whether it is verified, and updated_at.
func (s *shop) row(id int) (text, updated string) {
	s.Helper()
	var hash, status, at sql.NullString
	s.ok(s.db.Root().QueryRowContext(s.Context(), "SELECT certyo_record_hash, certyo_anchor_status, certyo_verified_at, CAST(updated_at AS CHAR) FROM shop.orders WHERE id = ?", id).
		Scan(&hash, &status, &at, &updated))
	return fmt.Sprintf("%s %s %t", hash.String, status.String, at.Valid), updated
}

func (s *shop) shows(id int, want string) {
	s.Helper()
	if got, _ := s.row(id); got != want {
		s.Fatalf("row %d shows %q, want %q", id, got, want)
	}
}

// What is written back into a captured table is never captured, whichever way changes are found, even if the time of change moves
// with it; and it is written only into a row that still is what was sent. The sample client of the guide anchors its own write-back
// for ever.
func TestOwnBookkeepingIsNeverCaptured(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, way := range []string{byBinlog, byQueue, byPoll} {
			for _, stubborn := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s stubborn %t", way, stubborn), func(t *testing.T) {
					s := newShop(t, db, way, stubborn)
					s.run("INSERT INTO shop.orders (id, name, price) VALUES (1, 'mug', 3.50)")
					first := s.waiting("1 mug")
					s.run("UPDATE shop.orders SET updated_at = '2024-05-06 07:08:09' WHERE id = 1") // alone it is no change
					_, before := s.row(1)
					s.accepts(first, "sha256:1")
					s.write()
					s.shows(1, "sha256:1 Pending false")
					s.anchors(first)
					s.write()
					s.shows(1, "sha256:1 Anchored true")
					if _, after := s.row(1); after != before && !stubborn {
						t.Fatalf("updated_at was moved from %s to %s", before, after)
					}
					s.run("UPDATE shop.orders SET name = 'cup' WHERE id = 1")
					second := s.waiting("1 cup")
					s.accepts(second, "sha256:2")
					s.run("UPDATE shop.orders SET name = 'jar' WHERE id = 1")
					s.write()
					s.shows(1, "sha256:1 Anchored true") // it isn't the cup any more
					third := s.waiting("1 jar")
					s.accepts(third, "sha256:3")
					s.write()
					s.shows(1, "sha256:3 Pending false")
					s.anchors(second)
					s.write()
					s.shows(1, "sha256:3 Pending false")
					s.run("INSERT INTO shop.orders (id, name) VALUES (2, 'end')")
					s.waiting("2 end") // and nothing before it
					s.run("DELETE FROM shop.orders WHERE id = 1")
					s.anchors(third)
					s.write() // into nothing
				})
			}
		}
	})
}

// A row that somebody else holds is not waited for long, and is written later.
func TestWriteBackComesSecond(t *testing.T) {
	db := servers.MariaDB(t)
	s := newShop(t, db, byPoll, false)
	s.run("INSERT INTO shop.orders (id, name) VALUES (1, 'mug')")
	s.accepts(s.waiting("1 mug"), "h")
	tx, err := db.Root().BeginTx(t.Context(), nil)
	s.ok(err)
	_, err = tx.ExecContext(t.Context(), "UPDATE shop.orders SET name = 'cup' WHERE id = 1")
	s.ok(err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = s.c.store.Standings(0, 100, func(list []record.Standing) error { return s.target.Write(ctx, list) })
	var why interface{ Contended() bool }
	if err = mysql.Explain(err); !errors.As(err, &why) || !why.Contended() || record.ClassOf(err) != record.Again {
		t.Fatalf("a row that is held: %v", err)
	}
	s.ok(tx.Rollback())
	s.write()
	s.shows(1, "h Pending false")
}

// A row that came back to what it was before shows its last change, whatever is heard of an earlier one that was the same.
func TestARowThatCameBackShowsItsLastChange(t *testing.T) {
	s := newShop(t, servers.MariaDB(t), byBinlog, false)
	s.run("INSERT INTO shop.orders (id, name, price) VALUES (1, 'mug', 3.50)")
	s.waiting("1 mug")
	s.run("UPDATE shop.orders SET name = 'cup' WHERE id = 1")
	s.waiting("1 mug", "1 cup")
	s.run("UPDATE shop.orders SET name = 'mug' WHERE id = 1")
	list := s.waiting("1 mug", "1 cup", "1 mug")
	s.accepts(list[:1], "sha256:1")
	s.accepts(list[1:2], "sha256:2")
	s.accepts(list[2:], "sha256:3")
	s.anchors(list[2:])
	s.write()
	s.shows(1, "sha256:3 Anchored true")
	s.ok(s.c.store.Look([]record.Look{{Seq: list[0].Seq, State: record.Overtaken, Answer: []byte(`{}`)}}))
	s.ok(s.c.store.Flush())
	s.write()
	s.shows(1, "sha256:3 Anchored true")
}

func TestWritebackConfigIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"[writeback]\ntable = \"external.buylo_products\"\n": "must begin with station_agent_",
		"[writeback]\ntable = \"station_agent_x\"\n":         "is no SCHEMA.TABLE",
		"[writeback]\nevery = \"1ms\"\n":                     "is not between",
		"[[table]]\nschema = \"x\"\nname = \"Buylo_Products\"\ncollection = \"other\"\nkey = [\"hash\"]\ntracked = true\n": "never possible for buylo_products",
		"[[table]]\nschema = \"x\"\nname = \"y\"\nkey = [\"id\"]\nupdated = \"certyo_verified_at\"\ntracked = true\n":      "the agent's to write",
		"[[table]]\nschema = \"x\"\nname = \"y\"\nkey = [\"id\"]\nhashed = [\"certyo_record_hash\"]\ntracked = true\n":     "not in the payload",
	} {
		_, err := parseConfig("f.toml", []byte(strings.Replace(sample, "[writeback]\n", "", 1)+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Records that were given up unproven are an alarm until a person acknowledges it.
func TestUnverifiedRecordsAreTold(t *testing.T) {
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Config{Dir: t.TempDir(), Now: clk.now, MaxUnproven: 2, Identity: store.Identity{Environment: "test", Station: foundStation, Database: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	b := newBoard(slog.New(slog.DiscardHandler))
	a := &attention{store: st, unverified: b.condition("unverified records")}
	look := func() string {
		a.lookAtUnverified(st.DB.Stats().NewlyUnverified)
		return fmt.Sprint(b.problems())
	}
	var g record.Group
	var list []record.Delivery
	for i := range 5 {
		g.Records = append(g.Records, record.Record{ID: fmt.Sprint(i), Key: fmt.Sprint(i), Payload: []byte(`{}`)})
		list = append(list, record.Delivery{Seq: uint64(i + 1), Receipt: &record.Receipt{}})
	}
	if err := errors.Join(st.DB.Put(g), st.DB.Settle(list[:2])); err != nil || look() != "[]" {
		t.Fatal(err, look())
	}
	if err := st.DB.Settle(list[2:]); err != nil || !strings.Contains(look(), "3 records were accepted by Certyo and given up") {
		t.Fatal(err, look())
	}
	if err := st.Acknowledge(); err != nil || look() != "[]" {
		t.Fatal(err, look())
	}
}
