package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/mysql"
)

const foundStation = "0a000000-0000-4000-8000-00000000000a"

// foundCapturing is capture of Buylo's table and those of tables, on a server whose binary log the account may not read.
func foundCapturing(t *testing.T, db *servers.Database, tables ...*tracked) *capturing {
	t.Helper()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{Dir: t.TempDir(), Now: clk.now, Identity: store.Identity{Environment: "test", Station: foundStation, Database: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	password := func() (string, error) { return servers.AgentPassword, nil }
	pool, err := mysql.Open(mysql.Config{Address: db.Addr, User: servers.AgentUser, Password: password, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b := newBoard(log)
	c := &capturing{
		log: log, db: pool, store: s.DB, board: b, every: 200 * time.Millisecond,
		binlog: binlog.Config{Address: db.Addr, User: servers.AgentUser, Password: password, DB: pool, Explain: mysql.Explain, Station: foundStation},
		scope:  capture.Scope{Station: foundStation}, patience: time.Minute, armed: make(chan struct{}), chosen: make(chan struct{}, 1), decided: b.condition("way of capture"),
	}
	c.tables = append([]*tracked{{Spec: capture.Buylo("external"), way: byAuto}}, tables...)
	for _, table := range c.tables {
		table.cond = b.condition("capture of " + table.Spec.String())
	}
	return c
}

func foundRun(t *testing.T, c *capturing) (ended chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	over := make(chan struct{})
	go func() { ended <- c.Run(ctx); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	return ended
}

// A table that isn't there does not keep Buylo's from being captured.
func TestATableThatIsMissing(t *testing.T) {
	db := servers.MySQL(t)
	c := foundCapturing(t, db, &tracked{Spec: &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "at"}, way: byAuto})
	foundRun(t, c)
	select {
	case <-c.armed:
	case <-time.After(30 * time.Second):
		t.Errorf("Buylo's table isn't captured after 30 s: %+v", c.board.problems())
	}
}

// A way that a table can't be found by is refused, and doesn't end the agent.
func TestAWayThatCantBe(t *testing.T) {
	db := servers.MySQL(t)
	db.Exec(t, "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)",
		"GRANT SELECT ON shop.* TO '"+servers.AgentUser+"'@'%'")
	c := foundCapturing(t, db, &tracked{Spec: &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}}, way: byAuto})
	if err := c.store.Decide("shop.orders", store.Way{Name: byBinlog, Why: "it was the first that works"}); err != nil {
		t.Fatal(err)
	}
	ended := foundRun(t, c)
	<-c.armed
	if err := c.choose("shop.orders", byPoll); err == nil {
		t.Errorf("it was chosen; what is kept: %+v", c.store.Way("shop.orders"))
	}
	foundAnew(t, c, func() { c.chosen <- struct{}{} })
	foundGoesOn(t, ended)
}

// What status shows isn't written while it is read.
func TestWaysAreReadWhileTheyAreDecided(t *testing.T) {
	db := servers.MySQL(t)
	c := foundCapturing(t, db)
	c.tables[0].way = byPoll
	foundRun(t, c)
	<-c.armed
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				c.ways()
			}
		}
	})
	for range 10 {
		foundAnew(t, c, func() { c.chosen <- struct{}{} })
	}
	close(done)
	reading.Wait()
}

// A way that was kept and that the configuration has no words for any more doesn't end the agent.
func TestAKeptWayWithoutItsQueue(t *testing.T) {
	db := servers.MySQL(t)
	c := foundCapturing(t, db, &tracked{Spec: &capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "at"}, way: byAuto})
	if err := c.store.Decide("shop.orders", store.Way{Name: byQueue, Why: "it was the first that works"}); err != nil {
		t.Fatal(err)
	}
	ended := foundRun(t, c)
	foundUntil(t, c, "said", func() bool { return c.board.failures("capture of shop.orders") > 0 })
	<-c.armed
	foundGoesOn(t, ended)
}

// foundOrders is capture of Buylo's table and shop.orders, whose snapshots are these, by an account that may read the log.
func foundOrders(t *testing.T, db *servers.Database, buylo, orders string) *capturing {
	t.Helper()
	db.Exec(t, "DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop",
		"CREATE TABLE shop.orders (id INT PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)", "INSERT INTO shop.orders (id) VALUES (1)",
		"GRANT SELECT ON shop.* TO '"+servers.CaptureUser+"'@'%'", "GRANT SELECT ON `external`.* TO '"+servers.CaptureUser+"'@'%'")
	c := foundCapturing(t, db, &tracked{Spec: begins(&capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, Updated: "at"}, orders), way: byAuto})
	begins(c.tables[0].Spec, buylo)
	password := func() (string, error) { return servers.CapturePassword, nil }
	pool, err := mysql.Open(mysql.Config{Address: db.Addr, User: servers.CaptureUser, Password: password, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	c.db, c.binlog.DB, c.binlog.User, c.binlog.Password = pool, pool, servers.CaptureUser, password
	return c
}

// foundWaiting are the keys of the records of one row of shop.orders, and how many gaps were recorded.
func foundWaiting(t *testing.T, c *capturing, id string) (keys []string, gaps int) {
	t.Helper()
	err := c.store.Waiting(func(q record.Queued) error {
		switch {
		case q.Collection == capture.Gaps:
			gaps++
		case q.Collection == "orders" && q.ID == id:
			keys = append(keys, q.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, gaps
}

func foundUntil(t *testing.T, c *capturing, what string, f func() bool) {
	t.Helper()
	capturetest.Until(t, func() (string, bool) {
		ok := f()
		return fmt.Sprintf("not %s: %+v; %+v", what, c.ways(), c.board.problems()), ok
	})
}

// foundAnew does something and waits until what captures was put together anew.
func foundAnew(t *testing.T, c *capturing, do func()) {
	t.Helper()
	first := func() *running {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.runs[0]
	}
	was := first()
	do()
	foundUntil(t, c, "put together anew", func() bool { return first() != was })
}

// foundGoesOn holds that capture goes on.
func foundGoesOn(t *testing.T, ended chan error) {
	t.Helper()
	select {
	case end := <-ended:
		t.Errorf("all of capture ended: %v", end)
	default:
	}
}

// foundSwept waits until a stream of the store stands behind a sweep of shop.orders, by a way as its positions say it.
func foundSwept(t *testing.T, c *capturing, stream, way string) {
	t.Helper()
	s, err := c.store.Stream(stream)
	if err != nil {
		t.Fatal(err)
	}
	foundUntil(t, c, "swept", func() bool {
		p, err := s.Position()
		sweeps, bad := capture.ParseSweeps(p.Sweep)
		return err == nil && bad == nil && p.Way == way && !p.Zero() && strings.Contains(p.Tables, "orders") && sweeps["orders"].Run == ""
	})
}

// A table that leaves the log's stream for one of its own has its rows compared: what came while nobody read is recorded, also
// of one whose beginning was not to be reported, and a record says that the way was changed.
func TestAChangeOfWayLosesNothing(t *testing.T) {
	db := servers.MySQL(t)
	c := foundOrders(t, db, snapInitial, snapNone)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	<-c.armed
	foundSwept(t, c, "", "")
	stop()
	<-ended
	db.Exec(t, "INSERT INTO shop.orders (id, at) VALUES (2, NOW() - INTERVAL 1 HOUR)") // so that no poll finds it by its time
	if err := c.store.Decide("shop.orders", store.Way{Name: byPoll, Why: "a person chose it"}); err != nil {
		t.Fatal(err)
	}
	foundRun(t, c)
	foundSwept(t, c, "table orders", poll.Way)
	if keys, gaps := foundWaiting(t, c, "2"); len(keys) != 1 || gaps != 1 {
		t.Errorf("records of the row that came meanwhile: %q; of the change of way: %d; %+v; %+v", keys, gaps, c.ways(), c.board.problems())
	}
}

// A table of the log's stream that goes, or that the account may not read any more, doesn't keep the others from being captured. When
// it can be read again, it is.
func TestATableThatGoesLeavesTheOthersAlone(t *testing.T) {
	for how, do := range map[string][2]string{
		"dropped": {"DROP TABLE shop.orders", "CREATE TABLE shop.orders (id INT PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)"},
		"refused": {"REVOKE SELECT ON shop.* FROM '" + servers.CaptureUser + "'@'%'", "GRANT SELECT ON shop.* TO '" + servers.CaptureUser + "'@'%'"},
	} {
		t.Run(how, func(t *testing.T) {
			db := servers.MySQL(t)
			c := foundOrders(t, db, snapInitial, snapInitial)
			c.patience = time.Second
			foundRun(t, c)
			<-c.armed
			foundSwept(t, c, "", "")
			waits := func(collection, id string) {
				t.Helper()
				foundUntil(t, c, "recorded", func() (there bool) {
					err := c.store.Waiting(func(q record.Queued) error {
						there = there || q.Collection == collection && q.ID == id
						return nil
					})
					return err == nil && there
				})
			}
			db.Exec(t, do[0])
			// What needs the rows compared, or the table read, now fails for the whole stream.
			db.Exec(t, "TRUNCATE `external`.buylo_products", "INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) VALUES ('after', '"+foundStation+"')")
			waits("buylo_products", "after")
			if n := c.board.failures("capture of shop.orders"); n == 0 {
				t.Errorf("nobody says that the table is not captured: %+v", c.board.problems())
			}
			db.Exec(t, do[1], "INSERT INTO shop.orders (id) VALUES (7)")
			waits("orders", "7")
			foundUntil(t, c, "said to be well again", func() bool { return c.board.failures("capture of shop.orders") == 0 })
		})
	}
}

// A server that is away costs no table its place in the log's stream: to come back there its rows would have to be compared.
func TestAServerThatIsAwayLeavesNoTableOut(t *testing.T) {
	db := servers.MySQL(t)
	c := foundOrders(t, db, snapInitial, snapInitial)
	for _, table := range c.tables {
		table.by = byBinlog
	}
	runs, err := c.assemble()
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	c.patience = -1 // as if it stood still
	db.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), decideAgain+2*time.Second)
	defer cancel()
	if left := c.unfit(ctx, runs[0]); left != nil {
		t.Errorf("%d tables are left out", len(left))
	}
}

// A change that was found by polling isn't given once more by the log, when its table comes back there.
func TestBackToTheLog(t *testing.T) {
	db := servers.MySQL(t)
	c := foundOrders(t, db, snapInitial, snapInitial)
	foundRun(t, c)
	<-c.armed
	foundSwept(t, c, "", "")
	user := "'" + servers.CaptureUser + "'@'%'"
	db.Exec(t, "REVOKE REPLICATION SLAVE ON *.* FROM "+user)
	defer db.Exec(t, "GRANT REPLICATION SLAVE ON *.* TO "+user)
	if err := c.choose("shop.orders", byPoll); err != nil {
		t.Fatal(err)
	}
	foundSwept(t, c, "table orders", poll.Way)
	db.Exec(t, "INSERT INTO shop.orders (id) VALUES (2)")
	foundUntil(t, c, "found", func() bool { keys, _ := foundWaiting(t, c, "2"); return len(keys) == 1 })
	db.Exec(t, "GRANT REPLICATION SLAVE ON *.* TO "+user)
	if err := c.choose("shop.orders", byBinlog); err != nil {
		t.Fatal(err)
	}
	foundSwept(t, c, "", "")
	db.Exec(t, "INSERT INTO shop.orders (id) VALUES (3)")
	foundUntil(t, c, "read behind it", func() bool { keys, _ := foundWaiting(t, c, "3"); return len(keys) == 1 })
	if keys, gaps := foundWaiting(t, c, "2"); len(keys) != 1 {
		t.Errorf("one insert has the records %q (gaps: %d); %+v", keys, gaps, c.board.problems())
	}
}

// Each table's rows are reported at the beginning and after a gap as the configuration says of that table.
func TestSnapshotModes(t *testing.T) {
	db := servers.MySQL(t)
	for _, c := range []struct {
		mode, other string
		first, gap  int // records of a row that stays as it is
	}{
		{snapNone, snapInitial, 0, 0}, {snapInitial, snapNone, 1, 1}, {snapNeeded, snapNone, 1, 2},
	} {
		t.Run(c.mode, func(t *testing.T) {
			capturer := foundOrders(t, db, c.other, c.mode)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- capturer.Run(ctx) }()
			foundSwept(t, capturer, "", "")
			stop()
			<-ended
			if keys, _ := foundWaiting(t, capturer, "1"); len(keys) != c.first {
				t.Errorf("at the beginning: %q", keys)
			}
			stream, err := capturer.store.Stream("")
			if err != nil {
				t.Fatal(err)
			}
			gone := record.Position{Flavor: "mysql", Server: "another", File: "gone.000001", Pos: 4, Tables: "buylo_products,orders"}
			if err := stream.Put(record.Group{Position: gone}); err != nil {
				t.Fatal(err)
			}
			db.Exec(t, "INSERT INTO shop.orders (id) VALUES (2)")
			foundRun(t, capturer)
			foundUntil(t, capturer, "compared", func() bool { _, gaps := foundWaiting(t, capturer, ""); return gaps == 1 })
			foundSwept(t, capturer, "", "")
			if keys, _ := foundWaiting(t, capturer, "1"); len(keys) != c.gap {
				t.Errorf("after a gap: %q", keys)
			}
			if keys, _ := foundWaiting(t, capturer, "2"); len(keys) != 1 { // whatever the mode
				t.Errorf("of the row that came meanwhile: %q", keys)
			}
		})
	}
}

// A way that was kept and became impossible stays, and is said: only a person changes it. It heals when it works again.
func TestAKeptWayThatBecameImpossible(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		c := foundOrders(t, db, snapInitial, snapInitial)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		foundSwept(t, c, "", "")
		stop()
		<-ended
		user := "'" + servers.CaptureUser + "'@'%'"
		db.Exec(t, "REVOKE REPLICATION SLAVE ON *.* FROM "+user, "INSERT INTO shop.orders (id) VALUES (2)")
		c.tables[0].by, c.tables[1].by = "", "" // another start
		was := [2]store.Way{c.store.Way("external.buylo_products"), c.store.Way("shop.orders")}
		ended = foundRun(t, c)
		foundUntil(t, c, "said", func() bool {
			return slices.ContainsFunc(c.board.problems(), func(p message.Problem) bool {
				return p.Name == "capture of external.buylo_products" && strings.Contains(p.Text, "REPLICATION SLAVE")
			})
		})
		foundGoesOn(t, ended)
		if now := [2]store.Way{c.store.Way("external.buylo_products"), c.store.Way("shop.orders")}; now != was || now[1].Name != byBinlog {
			t.Errorf("the ways %+v became %+v", was, now)
		}
		if w := c.ways(); len(w) != 2 || w[0].Way != byBinlog || w[1].Way != byBinlog {
			t.Errorf("%+v", w)
		}
		db.Exec(t, "GRANT REPLICATION SLAVE ON *.* TO "+user)
		foundUntil(t, c, "found", func() bool {
			keys, _ := foundWaiting(t, c, "2")
			return len(keys) == 1 && strings.HasPrefix(keys[0], "b:")
		})
		foundUntil(t, c, "well again", func() bool { return len(c.board.problems()) == 0 })
	})
}
