package assign

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/mysql"
)

const station = "12345678-1234-1234-1234-123456789abc"

// picture keeps what a Watcher delivered last.
type picture struct {
	mu    sync.Mutex
	rows  []record.Row
	began time.Time
	reads int
}

func (p *picture) seen(rows []record.Row, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(rows, func(a, b record.Row) int { return strings.Compare(a.Hash, b.Hash) })
	p.rows, p.began, p.reads = rows, began, p.reads+1
}

func (p *picture) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

func (p *picture) hashes() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rows {
		list = append(list, r.Hash)
	}
	return list
}

func TestWatch(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		insert := "INSERT INTO `external`.buylo_products (hash, buylo_ean, buylo_name, external_package_id, buylo_active_packing_station_uuid) VALUES (?, ?, ?, ?, ?)"
		exec(t, db, insert, "a", "4006381333931", "Hrnek ☕", none, station)
		exec(t, db, insert, "b", nil, nil, pkg(""), station)
		exec(t, db, insert, "c", "1", "x", pkg("P"), station)
		exec(t, db, insert, "d", "1", "x", none, strings.ToUpper(station)) // the collation takes it for ours
		exec(t, db, insert, "e", "1", "x", none, nil)
		var p picture
		kick := make(chan struct{}, 1)
		l := &lamp{}
		w, err := NewWatcher(WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: mysql.Explain, Table: table, Station: station,
			Condition: l, Every: time.Hour, Kick: kick, Seen: p.seen})
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		runs(t, w.Run)
		until(t, "first read", func() bool { return p.count() == 1 })
		want := []record.Row{{Hash: "a", EAN: "4006381333931", Name: "Hrnek ☕"}, {Hash: "b", Package: pkg("")}, {Hash: "c", EAN: "1", Name: "x", Package: pkg("P")}}
		if !slices.EqualFunc(p.rows, want, func(a, b record.Row) bool {
			return a.Hash == b.Hash && a.EAN == b.EAN && a.Name == b.Name && record.Same(a.Package, b.Package)
		}) || p.began.Before(before) || p.began.After(time.Now()) {
			t.Errorf("rows %+v at %v", p.rows, p.began)
		}

		exec(t, db, insert, "f", "1", "x", none, station)
		kick <- struct{}{}
		until(t, "the kicked read", func() bool { return slices.Contains(p.hashes(), "f") })

		db.Kill()
		kick <- struct{}{}
		until(t, "the loss is seen", func() bool { return l.why() != nil })
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "it is back", func() bool { return p.count() == 3 })
		if got := l.seen(); !slices.Equal(got, []string{"back", "lost", "back"}) {
			t.Errorf("condition turned %v", got)
		}
	})
}

func TestWatcherPausesAfterFailuresAndStillHearsKicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(nowhere{})
		defer db.Close()
		kick, l := make(chan struct{}, 1), &lamp{}
		w, _ := NewWatcher(WatcherConfig{DB: db, Explain: itself, Table: table, Station: station, Condition: l, Kick: kick, Every: 100 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := l.times(); n < 12 || n > 34 {
			t.Errorf("%d reads in a minute of failures, want 12 to 34", n)
		}
		synctest.Wait()
		before := l.times()
		kick <- struct{}{}
		synctest.Wait()
		if l.times() != before+1 {
			t.Error("the kick was not heard")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWatcherNeedsATableAndAStation(t *testing.T) {
	if _, err := NewWatcher(WatcherConfig{Table: "a;b", Station: station}); err == nil {
		t.Error("took a table that is no name")
	}
	if _, err := NewWatcher(WatcherConfig{Table: table}); err == nil {
		t.Error("took no station")
	}
	if _, err := NewSettler(SettlerConfig{Table: "a`b"}); err == nil {
		t.Error("took a table that is no name")
	}
}
