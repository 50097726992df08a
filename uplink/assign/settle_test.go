package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/mysql"
)

// none is NULL.
var none record.Value

func pkg(name string) record.Value { return record.Package(name) }

func may(v ...record.Value) []record.Value { return v }

// settler starts a Settler on j and gives its lamp.
func settler(t *testing.T, db *sql.DB, j *journal, change ...func(*SettlerConfig)) (*lamp, func() error) {
	t.Helper()
	l := &lamp{}
	cfg := SettlerConfig{DB: db, Explain: mysql.Explain, Table: table, Intents: j, Condition: l}
	for _, c := range change {
		c(&cfg)
	}
	s, err := NewSettler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, runs(t, s.Run)
}

func TestOutcomes(t *testing.T) {
	cases := []struct {
		name     string
		row      []record.Value // what the row shows; empty for no row
		want     record.Value
		replaces []record.Value
		result   record.Result
		after    record.Value
		hash     string // of the intent, with # for the row's hash; "" for the row's
	}{
		{"put", may(none), pkg("P"), may(none), record.Settled, pkg("P"), ""},
		{"clear", may(pkg("P")), none, may(pkg("P")), record.Settled, none, ""},
		{"move", may(pkg("P")), pkg("Q"), may(none, pkg("P")), record.Settled, pkg("Q"), ""},
		{"not the first guess", may(none), pkg("Q"), may(none, pkg("P")), record.Settled, pkg("Q"), ""},
		{"shown already", may(pkg("P")), pkg("P"), may(none), record.SameValue, pkg("P"), ""},
		{"cleared already", may(none), none, may(pkg("P")), record.SameValue, none, ""},
		{"wanted is replaceable", may(pkg("P")), pkg("P"), may(pkg("P")), record.SameValue, pkg("P"), ""},
		{"replaces nothing", may(none), pkg("P"), nil, record.OtherValue, none, ""},
		{"another package", may(pkg("Q")), pkg("P"), may(none), record.OtherValue, pkg("Q"), ""},
		{"undo of what isn't ours any more", may(pkg("Q")), none, may(pkg("P")), record.OtherValue, pkg("Q"), ""},
		{"no row", nil, pkg("P"), may(none), record.NoSuchRow, none, ""},
		{"empty is not NULL", may(pkg("")), pkg("P"), may(none), record.OtherValue, pkg(""), ""},
		{"NULL is not empty", may(none), pkg("P"), may(pkg("")), record.OtherValue, none, ""},
		{"empty may be replaced when named", may(pkg("")), pkg("P"), may(pkg("")), record.Settled, pkg("P"), ""},
		{"empty is no clearing", may(pkg("")), none, may(pkg("P")), record.OtherValue, pkg(""), ""},
		{"empty is never written", may(none), pkg(""), may(none), record.Refused, none, ""},
		{"twin is not same", may(pkg("PKG-1")), pkg("pkg-1  "), may(none), record.OtherValue, pkg("PKG-1"), ""},
		{"twin is not replaceable", may(pkg("PKG-1")), pkg("P"), may(pkg("pkg-1")), record.OtherValue, pkg("PKG-1"), ""},
		{"blanks count", may(pkg("PKG-1  ")), pkg("P"), may(pkg("PKG-1")), record.OtherValue, pkg("PKG-1  "), ""},
		{"blanks count the other way", may(pkg("PKG-1")), pkg("P"), may(pkg("PKG-1  ")), record.OtherValue, pkg("PKG-1"), ""},
		{"twin replaced by its twin", may(pkg("PKG-1")), pkg("pkg-1  "), may(pkg("PKG-1")), record.Settled, pkg("pkg-1  "), ""},
		{"accent", may(pkg("café")), pkg("P"), may(pkg("cafe")), record.OtherValue, pkg("café"), ""},
		{"hash in other case", may(none), pkg("P"), may(none), record.NoSuchRow, none, "UPPER"},
		{"hash with blanks", may(none), pkg("P"), may(none), record.NoSuchRow, none, "#  "},
		{"hash with a NUL", may(none), pkg("P"), may(none), record.NoSuchRow, none, "#\x00"},
		{"hash with SQL", may(none), pkg("P"), may(none), record.NoSuchRow, none, "' OR '1'='1"},
		{"hash of 10 kB", may(none), pkg("P"), may(none), record.NoSuchRow, none, strings.Repeat("x", 10_000)},
		{"64 characters", may(none), pkg(strings.Repeat("ü", 64)), may(none), record.Settled, pkg(strings.Repeat("ü", 64)), ""},
		{"65 characters", may(none), pkg(strings.Repeat("x", 65)), may(none), record.Refused, none, ""},
		{"blanks beyond the width", may(none), pkg("P" + strings.Repeat(" ", 64)), may(none), record.Refused, none, ""},
		{"emoji", may(none), pkg("📦-1"), may(none), record.Settled, pkg("📦-1"), ""},
		{"SQL", may(none), pkg("P', hash = 'x"), may(none), record.Settled, pkg("P', hash = 'x"), ""},
		{"not UTF-8", may(none), pkg("P\xff"), may(none), record.Refused, none, ""},
	}
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		j := newJournal()
		l, _ := settler(t, agentDB(t, db.Addr, nil), j)
		for n, c := range cases {
			hash := fmt.Sprintf("%032x", 0xabc000+n)
			if c.row != nil {
				row(t, db, hash, c.row[0])
			}
			i := record.Intent{ID: uint64(n + 1), Hash: hash, Package: c.want, Replaces: c.replaces}
			if c.hash == "UPPER" {
				i.Hash = strings.ToUpper(hash)
			} else if c.hash != "" {
				i.Hash = strings.ReplaceAll(c.hash, "#", hash)
			}
			j.add(i)
			j.settled(t)
			o := j.outcome(i.ID)
			if o.Result != c.result || o.Result.Parks() != (o.Text != "") {
				t.Errorf("%s: %+v, want %s", c.name, o, c.result)
			}
			if o.Result == record.OtherValue && !record.Same(o.Found, c.row[0]) {
				t.Errorf("%s: found %s", c.name, inside(o.Found))
			}
			if c.row != nil && !record.Same(shows(t, db, hash), c.after) {
				t.Errorf("%s: row is %s, want %s", c.name, inside(shows(t, db, hash)), inside(c.after))
			}
		}
		if got := l.seen(); !slices.Equal(got, []string{"back"}) {
			t.Errorf("condition turned %v, last: %v", got, l.why())
		}
	})
}

// TestHostileHash: whatever the collation makes of such a hash, the intent ends and nobody's row is touched.
func TestHostileHash(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "ffff", none)
		j := newJournal()
		settler(t, agentDB(t, db.Addr, nil), j)
		for n, hash := range []string{"", "\xff\xfe", "ffff\xff", "%", "ﬀﬀ", "📦"} {
			i := record.Intent{ID: uint64(n + 1), Hash: hash, Package: pkg("P"), Replaces: may(none)}
			j.add(i)
			j.settled(t)
			if o := j.outcome(i.ID); o.Result != record.NoSuchRow && o.Result != record.Refused {
				t.Errorf("hash %q: %+v", hash, o)
			}
		}
		if v := shows(t, db, "ffff"); v != nil {
			t.Errorf("row ffff is in %q", *v)
		}
	})
}

func TestSuperseding(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "offline", none) // packed, moved and undone before the database came
		row(t, db, "unknown", pkg("A"))
		j := newJournal(
			record.Intent{ID: 1, Hash: "offline", Package: pkg("A"), Replaces: may(none)},
			record.Intent{ID: 2, Hash: "unknown", Package: pkg("A"), Replaces: may(none)}, // was done, was not noted
			record.Intent{ID: 3, Hash: "offline", Package: pkg("B"), Replaces: may(none, pkg("A"))},
			record.Intent{ID: 4, Hash: "unknown", Package: pkg("B"), Replaces: may(none, pkg("A"))},
			record.Intent{ID: 5, Hash: "offline", Package: none, Replaces: may(pkg("A"), pkg("B"))},
		)
		var mu sync.Mutex
		var told []record.Result
		settler(t, agentDB(t, db.Addr, nil), j, func(c *SettlerConfig) {
			c.Timeout = time.Second
			c.Ended = func(i record.Intent, o record.Outcome) {
				mu.Lock()
				defer mu.Unlock()
				if i.ID != o.Intent {
					t.Errorf("told of intent %d with the outcome of %d", i.ID, o.Intent)
				}
				told = append(told, o.Result)
			}
		})
		j.settled(t)
		for id, want := range map[uint64]record.Result{
			1: record.Superseded, 2: record.Superseded, 3: record.Superseded, 4: record.Settled, 5: record.SameValue,
		} {
			if got := j.outcome(id).Result; got != want {
				t.Errorf("intent %d: %s, want %s", id, got, want)
			}
		}
		if v := shows(t, db, "unknown"); !record.Same(v, pkg("B")) {
			t.Errorf("row is %s", inside(v))
		}
		until(t, "everybody told", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == 5 })
		want := []record.Result{record.Superseded, record.Settled, record.Superseded, record.Superseded, record.SameValue}
		if !slices.Equal(told, want) { // within each row the superseded come first; the undone row waits for what may still run
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// TestNeverOverwriteAnotherPackage: another station takes and leaves the same row all the time. It takes without asking, and
// when it leaves, its value must still be there.
func TestNeverOverwriteAnotherPackage(t *testing.T) {
	const rounds = 200
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		j := newJournal()
		settler(t, agentDB(t, db.Addr, nil), j)
		ctx, cancel := context.WithCancel(t.Context())
		taken, overwritten, other := 0, 0, make(chan error)
		go func() {
			for ctx.Err() == nil {
				taken++
				gone, err := takeAndLeave(db, fmt.Sprintf("theirs-%d", taken))
				if err != nil {
					other <- err
					return
				}
				overwritten += gone
			}
			other <- nil
		}()
		results := map[record.Result]int{}
		for n := range rounds {
			// one guess is wrong every other time, which opens the gap between looking and writing
			guesses := [][]record.Value{may(none), may(none, pkg("old"))}
			j.add(record.Intent{ID: uint64(n + 1), Hash: "a", Package: pkg(fmt.Sprintf("ours-%d", n)), Replaces: guesses[n%2]})
			j.settled(t)
			results[j.outcome(uint64(n+1)).Result]++
		}
		cancel()
		if err := <-other; err != nil {
			t.Fatal(err)
		}
		t.Logf("%v against %d takes", results, taken)
		if overwritten > 0 {
			t.Errorf("%d of %d values of the other station were overwritten", overwritten, taken)
		}
	})
}

// takeAndLeave writes value over whatever is there, and takes it back after a moment; it tells whether it was gone by then.
func takeAndLeave(db *servers.Database, value string) (gone int, err error) {
	const update = "UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = 'a'"
	if _, err := db.Root().Exec(update, value); err != nil {
		return 0, err
	}
	pause(context.Background(), time.Millisecond)
	res, err := db.Root().Exec(update+" AND external_package_id = ?", none, value)
	if err != nil {
		return 0, err
	}
	if n, _ := res.RowsAffected(); n == 0 {
		gone = 1
	}
	pause(context.Background(), time.Millisecond)
	return gone, nil
}

func TestRowDeletedMeanwhile(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		j := newJournal()
		settler(t, agentDB(t, db.Addr, nil), j)
		j.add(record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none)})
		j.settled(t)
		exec(t, db, "DELETE FROM `external`.buylo_products WHERE hash = 'a'")
		j.add(record.Intent{ID: 2, Hash: "a", Package: none, Replaces: may(pkg("P"))})
		j.settled(t)
		if a, b := j.outcome(1).Result, j.outcome(2).Result; a != record.Settled || b != record.NoSuchRow {
			t.Errorf("%s, then %s", a, b)
		}
	})
}

// TestCrashBetweenRowAndJournal: the row was changed, the outcome was not noted.
func TestCrashBetweenRowAndJournal(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		j := newJournal()
		j.fail = errors.New("no room")
		l, _ := settler(t, agentDB(t, db.Addr, nil), j)
		j.add(record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none)})
		j.settled(t)
		if o := j.outcome(1); o.Result != record.SameValue || !strings.Contains(l.why().Error(), "no room") {
			t.Errorf("%+v after %v", o, l.why())
		}
	})
}

func TestUnusableJournalStopsTheAgent(t *testing.T) {
	j := newJournal(record.Intent{ID: 1, Hash: "a"}, record.Intent{ID: 2, Hash: "a"})
	j.fail = record.Stop(errors.New("disk gone"))
	s, err := NewSettler(SettlerConfig{DB: sql.OpenDB(nowhere{}), Explain: itself, Table: table, Intents: j, Condition: &lamp{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); record.ClassOf(err) != record.StopHere {
		t.Errorf("Run gave %v", err)
	}
}

// TestServerKilled: whatever was under way when the server died, every row is settled once it is back, and people are told
// of one loss and one return.
func TestServerKilled(t *testing.T) {
	const rows = 300
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		var intents []record.Intent
		for n := range rows {
			hash := fmt.Sprintf("%032x", n)
			row(t, db, hash, none)
			intents = append(intents, record.Intent{ID: uint64(n + 1), Hash: hash, Package: pkg("P"), Replaces: may(none)})
		}
		hold(t, db, intents[rows-11].Hash) // so that not all are settled before the server dies
		j := newJournal()
		l, _ := settler(t, agentDB(t, db.Addr, nil), j)
		j.add(intents[:rows-10]...)
		until(t, "some are settled", func() bool { return len(j.Open()) < rows-40 })
		db.Kill()
		until(t, "the loss is seen", func() bool { return l.why() != nil })
		if len(j.Open()) == 0 {
			t.Error("nothing was left to settle when the server died: the test shows nothing")
		}
		j.add(intents[rows-10:]...)
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		j.settled(t)
		for _, i := range intents {
			if r := j.outcome(i.ID).Result; r != record.Settled && r != record.SameValue || !record.Same(shows(t, db, i.Hash), i.Package) {
				t.Fatalf("intent %d: %s, row is %s", i.ID, r, inside(shows(t, db, i.Hash)))
			}
		}
		if got := l.seen(); !slices.Equal(got, []string{"back", "lost", "back"}) {
			t.Errorf("condition turned %v", got)
		}
	})
}

func TestWrongPasswordHealsWithoutRestart(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		var mu sync.Mutex
		password := "wrong-" + servers.AgentPassword
		j := newJournal(record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none)})
		l, _ := settler(t, agentDB(t, db.Addr, func() (string, error) { mu.Lock(); defer mu.Unlock(); return password, nil }), j)
		until(t, "the loss is seen", func() bool { return l.why() != nil })
		if text := l.why().Error(); !strings.Contains(text, "1045") || !strings.Contains(text, "correct the password file") || strings.Contains(text, servers.AgentPassword) {
			t.Errorf("told: %s", text)
		}
		mu.Lock()
		password = servers.AgentPassword
		mu.Unlock()
		j.settled(t)
		if o := j.outcome(1); o.Result != record.Settled {
			t.Errorf("%+v", o)
		}
	})
}

// TestMissingGrant: nothing waits for a right that may never come. Each intent is parked with the name of the grant; what
// is tried again by a person once it is there, works.
func TestMissingGrant(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		const right = "UPDATE (external_package_id)"
		account := "'" + servers.AgentUser + "'@'%'"
		exec(t, db, "REVOKE "+right+" ON `external`.buylo_products FROM "+account)
		for _, hash := range []string{"a", "b", "c"} {
			row(t, db, hash, none)
		}
		wanted := func(first uint64) []record.Intent {
			return []record.Intent{
				{ID: first, Hash: "a", Package: pkg("P"), Replaces: may(none)},
				{ID: first + 1, Hash: "b", Package: pkg("P"), Replaces: may(none), Scan: 1, Together: true},
				{ID: first + 2, Hash: "c", Package: pkg("P"), Replaces: may(none), Scan: 1, Together: true},
			}
		}
		j := newJournal(wanted(1)...)
		settler(t, agentDB(t, db.Addr, nil), j)
		j.settled(t)
		for id := range uint64(3) {
			if o := j.outcome(id + 1); o.Result != record.Refused || !strings.Contains(o.Text, right) {
				t.Errorf("without the grant: %+v", o)
			}
		}
		exec(t, db, "GRANT "+right+" ON `external`.buylo_products TO "+account)
		j.add(wanted(4)...)
		j.settled(t)
		for id := range uint64(3) {
			if o := j.outcome(id + 4); o.Result != record.Settled {
				t.Errorf("after the grant: %+v", o)
			}
		}
	})
}

// TestRefusalIsAnAnswer: the server that refuses a value is there.
func TestRefusalIsAnAnswer(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		var wrong atomic.Bool
		wrong.Store(true)
		j := newJournal(record.Intent{ID: 1, Hash: "a", Package: pkg("P\xff"), Replaces: may(none)})
		l, _ := settler(t, agentDB(t, db.Addr, func() (string, error) {
			if wrong.Load() {
				return "", errors.New("no password yet")
			}
			return servers.AgentPassword, nil
		}), j)
		until(t, "the loss is seen", func() bool { return l.why() != nil })
		j.add(record.Intent{ID: 2, Hash: "b", Package: pkg(""), Replaces: may(none)}) // refused without the server
		wrong.Store(false)
		j.settled(t)
		if o := j.outcome(1); o.Result != record.Refused {
			t.Errorf("%+v", o)
		}
		if got := l.seen(); !slices.Equal(got, []string{"lost", "back"}) {
			t.Errorf("condition turned %v", got)
		}
	})
}

// TestLockedRow: somebody's long transaction holds one row. The others are settled, and the stop isn't delayed.
func TestLockedRow(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, hash := range []string{"a", "b", "c"} {
			row(t, db, hash, none)
		}
		tx, err := db.Root().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("SELECT * FROM `external`.buylo_products WHERE hash = 'a' FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		j := newJournal(
			record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none)},
			record.Intent{ID: 2, Hash: "b", Package: pkg("P"), Replaces: may(none)},
			record.Intent{ID: 3, Hash: "c", Package: pkg("P"), Replaces: may(none)},
		)
		_, stop := settler(t, agentDB(t, db.Addr, nil), j, func(c *SettlerConfig) { c.Timeout = 300 * time.Millisecond })
		until(t, "the free rows are settled", func() bool { return len(j.Open()) == 1 })
		if o := j.outcome(1); o.Result != "" {
			t.Errorf("the locked row: %+v", o)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestPrimaryKeyIsUsed: the comparison of bytes must not cost a walk through the table.
func TestPrimaryKeyIsUsed(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for n := range 100 {
			row(t, db, fmt.Sprintf("%032x", n), none)
		}
		s, err := NewSettler(SettlerConfig{Table: table, Intents: newJournal()})
		if err != nil {
			t.Fatal(err)
		}
		hash := fmt.Sprintf("%032x", 7)
		for text, args := range map[string][]any{
			s.look.text: {hash},
			s.swap.text: {"P", hash, hash, none},
		} {
			if key := plan(t, db, text, args); key != "PRIMARY" {
				t.Errorf("key %q for %s", key, text)
			}
		}
	})
}

// plan gives the key by which a statement finds its rows.
func plan(t *testing.T, db *servers.Database, text string, args []any) string {
	t.Helper()
	return plans(t, db, text, args)[0]["key"]
}

// plans gives the lines of a statement's plan by the names of their columns.
func plans(t *testing.T, db *servers.Database, text string, args []any) (lines []map[string]string) {
	t.Helper()
	prefix := "EXPLAIN "
	if db.Flavor == "mysql" {
		prefix = "EXPLAIN FORMAT=TRADITIONAL "
	}
	found, err := db.Root().Query(prefix+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	names, _ := found.Columns()
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for n := range values {
		into[n] = &values[n]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := map[string]string{}
		for n, name := range names {
			line[name] = values[n].String
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		t.Fatal("no plan")
	}
	return lines
}

func TestBlackHoleDoesNotDelayTheStop(t *testing.T) {
	db := agentDB(t, blackHole(t), nil)
	_, stop := settler(t, db, newJournal(record.Intent{ID: 1, Hash: "a", Package: pkg("P"), Replaces: may(none)}))
	w, err := NewWatcher(WatcherConfig{DB: db, Explain: mysql.Explain, Table: table, Station: "s", Condition: &lamp{},
		Seen: func(record.Reading) { t.Error("rows out of nowhere") }})
	if err != nil {
		t.Fatal(err)
	}
	stopWatcher := runs(t, w.Run)
	until(t, "both are connected", func() bool { return db.Stats().OpenConnections == 2 })
	if err := errors.Join(stop(), stopWatcher()); err != nil {
		t.Error(err)
	}
}

func TestGateHoldsTheFirstWriteBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(nowhere{})
		defer db.Close()
		gate, l := make(chan struct{}), &lamp{}
		j := newJournal(record.Intent{ID: 1, Hash: "a"}, record.Intent{ID: 2, Hash: "a"})
		s, _ := NewSettler(SettlerConfig{DB: db, Explain: itself, Table: table, Intents: j, Condition: l, Gate: gate})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Hour)
		if len(j.Open()) != 2 || l.times() != 0 {
			t.Error("it didn't wait for the gate")
		}
		close(gate)
		time.Sleep(time.Minute)
		if len(j.Open()) != 1 || l.times() < 4 || l.times() > 18 {
			t.Errorf("open %d, tried %d times in a minute: want 4 to 18", len(j.Open()), l.times())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
