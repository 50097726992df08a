package assign

import (
	"context"
	"database/sql"
	"fmt"
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
	read  record.Reading
	reads int
}

func (p *picture) seen(r record.Reading) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(r.Here, func(a, b record.Row) int { return strings.Compare(a.Hash, b.Hash) })
	p.read, p.reads = r, p.reads+1
}

func (p *picture) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

func (p *picture) last() record.Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read
}

func (p *picture) hashes() []string { return hashesOf(p.last().Here) }

func hashesOf(rows []record.Row) (list []string) {
	for _, r := range rows {
		list = append(list, r.Hash)
	}
	return list
}

// sameRow compares all of two rows.
func sameRow(a, b record.Row) bool {
	return a.Hash == b.Hash && a.Product == b.Product && a.EAN == b.EAN && a.Name == b.Name && record.Same(a.Package, b.Package) &&
		a.Created.Equal(b.Created) && slices.Equal(a.EPCs, b.EPCs) && record.Same(a.Station, b.Station) && a.Away == b.Away
}

// watcher starts one that reads when it is kicked; read kicks it and waits for what it delivers.
func watcher(t *testing.T, db *servers.Database, change ...func(*WatcherConfig)) (p *picture, l *lamp, read func() record.Reading) {
	t.Helper()
	p, l = &picture{}, &lamp{}
	kick := make(chan struct{}, 1)
	cfg := WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: mysql.Explain, Table: table, Station: station,
		Condition: l, Every: time.Hour, Kick: kick, Seen: p.seen}
	for _, c := range change {
		c(&cfg)
	}
	w, err := NewWatcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	runs(t, w.Run)
	until(t, "first read", func() bool { return p.count() > 0 })
	return p, l, func() record.Reading {
		t.Helper()
		before := p.count()
		kick <- struct{}{}
		until(t, "the kicked read", func() bool { return p.count() > before })
		return p.last()
	}
}

const product = "INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_ean, buylo_name, external_package_id," +
	" buylo_active_packing_station_uuid, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"

// observe puts an item onto a station.
func observe(t *testing.T, db *servers.Database, hash string, at record.Value) {
	t.Helper()
	exec(t, db, "INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) VALUES (?, ?)", hash, at)
}

func TestWatch(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		made := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		exec(t, db, product, "a", "TV-1", "4006381333931", "Hrnek ☕", none, station, made)
		exec(t, db, product, "b", nil, nil, nil, pkg(""), station, made)
		exec(t, db, product, "c", "", "1", "x", pkg("P"), station, made)
		exec(t, db, product, "d", "TV-1", "1", "x", none, strings.ToUpper(station), made) // the collation takes it for ours
		exec(t, db, product, "e", "TV-1", "1", "x", none, nil, made)
		before := time.Now()
		p, l, read := watcher(t, db)
		want := []record.Row{
			{Hash: "a", Product: "TV-1", EAN: "4006381333931", Name: "Hrnek ☕", Created: made},
			{Hash: "b", Package: pkg(""), Created: made}, {Hash: "c", EAN: "1", Name: "x", Package: pkg("P"), Created: made},
		}
		if r := p.last(); !slices.EqualFunc(r.Here, want, sameRow) || r.Began.Before(before) || r.Began.After(time.Now()) || len(r.Away)+len(r.None) > 0 {
			t.Errorf("read %+v", r)
		}

		exec(t, db, product, "f", nil, "1", "x", none, station, made)
		if r := read(); !slices.Contains(hashesOf(r.Here), "f") {
			t.Errorf("then %v", hashesOf(r.Here))
		}

		db.Kill()
		done := make(chan struct{})
		go func() { defer close(done); read() }()
		until(t, "the loss is seen", func() bool { return l.why() != nil })
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		l.turned(t, "back", "lost", "back") // behind the read
	})
}

// TestCreated: whatever kind of time the column holds, it is read or left out.
func TestCreated(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		root, err := db.Root().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		for _, text := range []string{
			"SET SESSION sql_mode = '', time_zone = '+02:00'",
			"ALTER TABLE `external`.buylo_products MODIFY created_at TIMESTAMP(6) NULL",
			"INSERT INTO `external`.buylo_products (hash, created_at, buylo_active_packing_station_uuid) VALUES" +
				" ('fraction', '2026-01-02 03:04:05.25', '" + station + "'), ('null', NULL, '" + station + "')," +
				" ('whole', '2026-01-02 03:04:05', '" + station + "'), ('zero', '0000-00-00 00:00:00', '" + station + "')",
		} {
			if _, err := root.ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		p, _, _ := watcher(t, db)
		at := time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC)
		want := []time.Time{at.Add(250 * time.Millisecond), {}, at, {}}
		for n, r := range p.last().Here {
			if !r.Created.Equal(want[n]) {
				t.Errorf("%s: %v, want %v", r.Hash, r.Created, want[n])
			}
		}
		if n := len(p.last().Here); n != len(want) {
			t.Errorf("%d rows", n)
		}
	})
}

// TestAsked: hashes that are here, elsewhere, nowhere and in the table under another spelling.
func TestAsked(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		other := "99999999-1234-1234-1234-123456789abc"
		observe(t, db, "here", pkg(station))
		observe(t, db, "twin", pkg(strings.ToUpper(station)))
		observe(t, db, "other", pkg(other))
		observe(t, db, "nowhere", none)
		var mu sync.Mutex
		var asked []string
		ask := func(hashes ...string) { mu.Lock(); defer mu.Unlock(); asked = hashes }
		p, l, read := watcher(t, db, func(c *WatcherConfig) { c.Asked = func() []string { mu.Lock(); defer mu.Unlock(); return asked } })
		ask("other", "here", "gone", "OTHER", "other", "other  ", "nowhere", "twin", "\xff", strings.Repeat("x", 33), "📦")
		r := read()
		want := []record.Row{{Hash: "other", Station: pkg(other)}, {Hash: "nowhere"}, {Hash: "twin", Station: pkg(strings.ToUpper(station))}}
		if got := p.hashes(); !slices.Equal(got, []string{"here"}) {
			t.Errorf("here %v", got)
		}
		if !slices.EqualFunc(r.Away, want, func(a, b record.Row) bool {
			return a.Hash == b.Hash && a.Away && record.Same(a.Station, b.Station) && !a.Created.IsZero()
		}) {
			t.Errorf("away %+v", r.Away)
		}
		if want := []string{"gone", "OTHER", "other  ", "\xff", strings.Repeat("x", 33)}; !slices.Equal(r.None, want) {
			t.Errorf("none %q, want %q", r.None, want) // and the ninth is left for another read
		}
		ask("other", "📦")
		exec(t, db, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ? WHERE hash = 'other'", station)
		if r := read(); !slices.Equal(hashesOf(r.Here), []string{"here", "other"}) || len(r.Away) > 0 || !slices.Equal(r.None, []string{"📦"}) {
			t.Errorf("then %+v", r)
		}
		ask("\xff", "📦", "ü", "here\x00", "")
		for _, charset := range []string{"latin1", "ascii", "utf8mb4 COLLATE utf8mb4_bin"} {
			exec(t, db, "ALTER TABLE `external`.buylo_products CONVERT TO CHARACTER SET "+charset)
			if r := read(); len(r.Here) != 2 || len(r.None) != 5 {
				t.Errorf("with the table in %s: %+v", charset, r)
			}
		}
		if l.times() > 0 {
			t.Errorf("lost: %v", l.why())
		}
	})
}

// TestItComesWhileItIsAskedFor: between the two statements of one read, the item is put onto the station.
func TestItComesWhileItIsAskedFor(t *testing.T) {
	db := servers.MariaDB(t)
	observe(t, db, "a", none)
	w, err := NewWatcher(WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: itself, Table: table, Station: station})
	if err != nil {
		t.Fatal(err)
	}
	here, err := w.plain.here(t.Context(), nil)
	if err != nil || len(here) > 0 {
		t.Fatal(here, err)
	}
	exec(t, db, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ? WHERE hash = 'a'", station)
	if r, there, err := w.plain.one(t.Context(), "a"); err != nil || !there || r.Away || r.Station != nil {
		t.Errorf("found %+v, %t, %v", r, there, err)
	}
	w.plain.byStation.text += " AND FALSE" // as if it came behind the first statement
	w.plain.close()
	r, err := w.read(t.Context(), w.plain, []string{"a"})
	if err != nil || !slices.Equal(hashesOf(r.Here), []string{"a"}) || len(r.Away)+len(r.None) > 0 {
		t.Errorf("read %+v, %v", r, err)
	}
}

// TestOneStatementARead: with nothing asked, reading costs one statement each time, with a map or without.
func TestOneStatementARead(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		makeWorkspace(t, db)
		for name, m := range map[string]string{"without a map": "", "with a map": "external_workspace.station_agent_epc"} {
			_, l, read := watcher(t, db, func(c *WatcherConfig) { c.MapTable, c.MapCondition = m, &lamp{} })
			read()
			const reads = 10
			before, prepared := status(t, db, "Questions"), status(t, db, "Com_stmt_prepare")
			for range reads {
				read()
			}
			// the two questions of status itself lie between
			if n := status(t, db, "Questions") - before - 2; n != reads {
				t.Errorf("%s: %d statements for %d reads", name, n, reads)
			}
			if n := status(t, db, "Com_stmt_prepare") - prepared; n > 0 || l.times() > 0 {
				t.Errorf("%s: prepared %d times, lost %d times", name, n, l.times())
			}
		}
	})
}

// TestMissingSelectIsWaitedFor: what ends an intent doesn't end the watch.
func TestMissingSelectIsWaitedFor(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		account := "'" + servers.AgentUser + "'@'%'"
		observe(t, db, "a", pkg(station))
		exec(t, db, "REVOKE SELECT ON `external`.buylo_products FROM "+account)
		p, l := &picture{}, &lamp{}
		w, err := NewWatcher(WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: mysql.Explain, Table: table, Station: station,
			Condition: l, Every: 10 * time.Millisecond, Seen: p.seen})
		if err != nil {
			t.Fatal(err)
		}
		runs(t, w.Run)
		until(t, "it is tried again", func() bool { return l.times() > 2 })
		if !strings.Contains(l.why().Error(), "SELECT") || p.count() > 0 {
			t.Errorf("told: %v", l.why())
		}
		exec(t, db, "GRANT SELECT ON `external`.buylo_products TO "+account)
		until(t, "it reads", func() bool { return slices.Equal(p.hashes(), []string{"a"}) })
		l.turned(t, "lost", "back") // behind the read
	})
}

// TestTooManyRows: the limit is for the rows of this station; their lines have one of their own.
func TestTooManyRows(t *testing.T) {
	db := servers.MariaDB(t)
	makeWorkspace(t, db)
	for n := range 5 {
		observe(t, db, fmt.Sprint("here-", n), pkg(station))
		observe(t, db, fmt.Sprint("twin-", n), pkg(strings.ToUpper(station)))
	}
	w, err := NewWatcher(WatcherConfig{DB: agentDB(t, db.Addr, nil), Explain: itself, Table: table, Station: station,
		MapTable: "external_workspace.station_agent_epc"})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*view{w.plain, w.mapped} {
		v.most = 5
		if rows, err := v.here(t.Context(), nil); err != nil || len(rows) != 5 {
			t.Errorf("%d rows, %v", len(rows), err)
		}
		v.most = 4
		if _, err := v.here(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "one packing station?") {
			t.Errorf("five rows where four are the most: %v", err)
		}
	}
	w.mapped.most = 5
	for n := range linesOfRow * 5 {
		tag(t, db, fmt.Sprint("epc-", n), "here-0")
	}
	if _, err := w.mapped.here(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "each tag") {
		t.Errorf("more lines than rows could have: %v", err)
	}
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
	if _, err := NewWatcher(WatcherConfig{Table: table, Station: station, MapTable: "a;b"}); err == nil {
		t.Error("took a map that is no name")
	}
	if _, err := NewSettler(SettlerConfig{Table: "a`b"}); err == nil {
		t.Error("took a table that is no name")
	}
}

// TestSlowServer: a server that answers slowly is left alone at least as long as it took.
func TestSlowServer(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		observe(t, db, "a", pkg(station))
		exec(t, db, "CREATE OR REPLACE SQL SECURITY INVOKER VIEW `external`.slow AS SELECT * FROM `external`.buylo_products WHERE SLEEP(0.2) = 0")
		defer exec(t, db, "DROP VIEW `external`.slow")
		exec(t, db, "GRANT SELECT ON `external`.slow TO '"+servers.AgentUser+"'@'%'")
		p, _, _ := watcher(t, db, func(c *WatcherConfig) { c.Table, c.Every = "external.slow", time.Millisecond })
		began, before := time.Now(), p.count()
		until(t, "five reads more", func() bool { return p.count() >= before+5 })
		if took := time.Since(began); took < 4*350*time.Millisecond { // the first was under way
			t.Errorf("five reads of 0.2 s in %v", took)
		}
	})
}
