package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/mysql"
)

// together makes the intents of one scan, one for each hash.
func together(first, scan uint64, want record.Value, replaces []record.Value, hashes ...string) (list []record.Intent) {
	for n, hash := range hashes {
		list = append(list, record.Intent{ID: first + uint64(n), Hash: hash, Package: want, Replaces: replaces, Scan: scan, Together: true})
	}
	return list
}

// results gives how intents ended.
func (j *journal) results(intents []record.Intent) (list []record.Result) {
	for _, i := range intents {
		list = append(list, j.outcome(i.ID).Result)
	}
	return list
}

func all(r record.Result, n int) []record.Result { return slices.Repeat([]record.Result{r}, n) }

// showsAll checks what rows show.
func showsAll(t *testing.T, db *servers.Database, want record.Value, hashes ...string) {
	t.Helper()
	for _, hash := range hashes {
		if v := shows(t, db, hash); !record.Same(v, want) {
			t.Errorf("item %q is %s, not %s", hash, inside(v), inside(want))
		}
	}
}

// TestWholeOrNotAtAll: each case is a package of three items, of which the second is special.
func TestWholeOrNotAtAll(t *testing.T) {
	const settled, same, refused = record.Settled, record.SameValue, record.Refused
	cases := []struct {
		name     string
		row      []record.Value // what the second row shows; empty for no row
		want     record.Value   // of the second
		replaces []record.Value
		result   [3]record.Result
		hash     string // of the second intent, with # for the row's hash; "" for the row's
	}{
		{"all free", may(none), pkg("P"), may(none), [3]record.Result{settled, settled, settled}, ""},
		{"another package", may(pkg("Q")), pkg("P"), may(none), [3]record.Result{refused, record.OtherValue, refused}, ""},
		{"no row", nil, pkg("P"), may(none), [3]record.Result{refused, record.NoSuchRow, refused}, ""},
		{"shown already", may(pkg("P")), pkg("P"), may(none), [3]record.Result{settled, same, settled}, ""},
		{"not the first guess", may(none), pkg("P"), may(none, pkg("R")), [3]record.Result{settled, settled, settled}, ""},
		{"nothing to replace, and shown", may(pkg("P")), pkg("P"), nil, [3]record.Result{settled, same, settled}, ""},
		{"nothing to replace, and not shown", may(none), pkg("P"), nil, [3]record.Result{refused, record.OtherValue, refused}, ""},
		{"cleared with the others packed", may(pkg("R")), none, may(pkg("R")), [3]record.Result{settled, settled, settled}, ""},
		{"twin is not same", may(pkg("PKG-1")), pkg("pkg-1  "), may(none), [3]record.Result{refused, record.OtherValue, refused}, ""},
		{"twin is not replaceable", may(pkg("pkg-1  ")), pkg("P"), may(pkg("PKG-1")), [3]record.Result{refused, record.OtherValue, refused}, ""},
		{"twin replaced by its twin", may(pkg("PKG-1")), pkg("pkg-1  "), may(pkg("PKG-1")), [3]record.Result{settled, settled, settled}, ""},
		{"empty is not NULL", may(pkg("")), pkg("P"), may(none), [3]record.Result{refused, record.OtherValue, refused}, ""},
		{"hash in other case", may(none), pkg("P"), may(none), [3]record.Result{refused, record.NoSuchRow, refused}, "UPPER"},
		{"hash with blanks", may(none), pkg("P"), may(none), [3]record.Result{refused, record.NoSuchRow, refused}, "#  "},
		{"refused by the server", may(none), pkg("P\xff"), may(none), [3]record.Result{refused, refused, refused}, ""},
		{"refused here", may(none), pkg(""), may(none), [3]record.Result{refused, refused, refused}, ""},
	}
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		j := newJournal()
		l, _ := settler(t, agentDB(t, db.Addr, nil), j)
		for n, c := range cases {
			hash := [3]string{}
			for k := range hash {
				hash[k] = fmt.Sprintf("%031x%x", 0xabc000+n, 0xa+k)
			}
			row(t, db, hash[0], none)
			row(t, db, hash[2], none)
			if c.row != nil {
				row(t, db, hash[1], c.row[0])
			}
			list := together(uint64(10*n+1), uint64(n+1), pkg("P"), may(none), hash[:]...)
			list[1].Package, list[1].Replaces = c.want, c.replaces
			if c.hash == "UPPER" {
				list[1].Hash = strings.ToUpper(hash[1])
			} else if c.hash != "" {
				list[1].Hash = strings.ReplaceAll(c.hash, "#", hash[1])
			}
			before := len(j.written())
			j.add(list...)
			j.settled(t)
			if got := j.results(list); !slices.Equal(got, c.result[:]) {
				t.Errorf("%s: ended %v, want %v", c.name, got, c.result)
			}
			others := none
			if c.result[0] == settled {
				others = pkg("P")
			}
			showsAll(t, db, others, hash[0], hash[2])
			if want := c.want; c.row != nil {
				if c.result[1].Parks() {
					want = c.row[0]
				}
				showsAll(t, db, want, hash[1])
			}
			if n := len(j.written()) - before; n != 1 {
				t.Errorf("%s: noted in %d writes", c.name, n)
			}
			if c.result[1].Parks() {
				tellsOf(t, j, list)
			}
		}
		if got := l.seen(); !slices.Equal(got, []string{"back"}) {
			t.Errorf("condition turned %v, last: %v", got, l.why())
		}
	})
}

// tellsOf checks what is told of a package that was spoilt by its second item.
func tellsOf(t *testing.T, j *journal, list []record.Intent) {
	t.Helper()
	culprit := j.outcome(list[1].ID)
	for _, n := range []int{0, 2} {
		text := j.outcome(list[n].ID).Text
		if !strings.Contains(text, list[n].Hash) || !strings.Contains(text, "as a whole or not at all") || !strings.Contains(text, culprit.Text) {
			t.Errorf("told: %s", text)
		}
	}
	if strings.Contains(culprit.Text, list[0].Hash) || !strings.Contains(culprit.Text, fmt.Sprintf("%q", list[1].Hash)) {
		t.Errorf("told of the culprit: %s", culprit.Text)
	}
	if last := j.written()[len(j.written())-1]; last[len(last)-1].Intent != culprit.Intent {
		t.Errorf("the culprit isn't noted last: %+v", last)
	}
}

// TestPackageOfTwoHundred is one commit and one write into the journal.
func TestPackageOfTwoHundred(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		var hashes []string
		for n := range 200 {
			hashes = append(hashes, fmt.Sprintf("%032x", n*7919%200))
			row(t, db, hashes[n], none)
		}
		list := together(1, 1, pkg("P"), may(none), hashes...)
		commits, began := status(t, db, "Com_commit"), time.Now()
		j := newJournal(list...)
		settler(t, agentDB(t, db.Addr, nil), j)
		j.settled(t)
		t.Logf("settled in %v", time.Since(began))
		if got := j.results(list); !slices.Equal(got, all(record.Settled, 200)) {
			t.Errorf("ended %v", got)
		}
		showsAll(t, db, pkg("P"), hashes...)
		if n := status(t, db, "Com_commit") - commits; n != 1 || len(j.written()) != 1 {
			t.Errorf("%d commits, %d writes", n, len(j.written()))
		}
	})
}

// TestLockedRowOfAPackage: somebody's long transaction holds one row of a package. Nothing of it is written, the others
// are settled, it is told when it stays, and the package is whole once the row is free.
func TestLockedRowOfAPackage(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, hash := range []string{"a", "b", "c", "d", "e"} {
			row(t, db, hash, none)
		}
		tx, err := db.Root().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("SELECT * FROM `external`.buylo_products WHERE hash = 'c' FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		list := together(1, 1, pkg("P"), may(none), "d", "a", "c")
		j, e := newJournal(list...), &ear{}
		j.add(record.Intent{ID: 4, Hash: "b", Package: pkg("P"), Replaces: may(none)})
		l, _ := settler(t, agentDB(t, db.Addr, nil), j, func(c *SettlerConfig) { c.Explain = e.explain })
		began := time.Now()
		until(t, "the package gave way", func() bool { return e.count("mysql error 1205") > 0 })
		if d := time.Since(began); d >= lockWait {
			t.Errorf("its other rows were locked for %v", d)
		}
		until(t, "the free row is settled", func() bool { return len(j.Open()) == 3 })
		if l.times() != 0 {
			t.Errorf("told at once: %v", l.why())
		}
		until(t, "it is told", func() bool { return l.times() > 0 })
		if n := e.count("mysql error 1205"); n < contendedTells {
			t.Errorf("told after %d times: %v", n, l.why())
		}
		showsAll(t, db, none, "a", "d")
		j.add(record.Intent{ID: 5, Hash: "e", Package: pkg("P"), Replaces: may(none)})
		until(t, "the row that came later is settled", func() bool { return len(j.Open()) == 3 })
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		j.settled(t)
		if got := j.results(list); !slices.Equal(got, all(record.Settled, 3)) {
			t.Errorf("ended %v", got)
		}
		showsAll(t, db, pkg("P"), "a", "c", "d")
	})
}

// TestStopInTheMiddleOfAPackage: Run ends at once while a row is waited for, and what was written is rolled back.
func TestStopInTheMiddleOfAPackage(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		row(t, db, "b", none)
		tx, err := db.Root().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("SELECT * FROM `external`.buylo_products WHERE hash = 'b' FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		j := newJournal(together(1, 1, pkg("P"), may(none), "a", "b")...)
		_, stop := settler(t, agentDB(t, db.Addr, nil), j)
		until(t, "the first row is locked", func() bool { return locked(t, db, "a") })
		began := time.Now()
		if err := stop(); err != nil || time.Since(began) >= rowsWait {
			t.Errorf("stopped after %v: %v", time.Since(began), err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		until(t, "the first row is free", func() bool { return !locked(t, db, "a") })
		showsAll(t, db, none, "a", "b")
	})
}

// locked tells whether somebody holds the row.
func locked(t *testing.T, db *servers.Database, hash string) bool {
	t.Helper()
	_, err := db.Root().Exec("SELECT hash FROM `external`.buylo_products WHERE hash = '" + hash + "' FOR UPDATE NOWAIT")
	if err != nil && !strings.Contains(err.Error(), "1205") && !strings.Contains(err.Error(), "3572") {
		t.Fatal(err)
	}
	return err != nil
}

// TestDeadlock: another writer takes the rows in the opposite order. The package loses, and is whole later.
func TestDeadlock(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		hashes := []string{"a", "b", "z"}
		for _, hash := range hashes {
			row(t, db, hash, none)
		}
		tx, err := db.Root().Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		touch := func(hash string) {
			if _, err := tx.Exec("UPDATE `external`.buylo_products SET buylo_name = 'new' WHERE hash = ?", hash); err != nil {
				t.Error(err)
			}
		}
		for n := range 50 { // the server gives up the one that changed less
			row(t, db, fmt.Sprintf("more-%d", n), none)
			touch(fmt.Sprintf("more-%d", n))
		}
		touch("z")
		list := together(1, 1, pkg("P"), may(none), hashes...)
		j, e := newJournal(list...), &ear{}
		l, _ := settler(t, agentDB(t, db.Addr, nil), j, func(c *SettlerConfig) { c.Explain = e.explain })
		until(t, "the package holds its first row", func() bool { return locked(t, db, "a") })
		touch("a")
		until(t, "one of them gave up", func() bool { return e.count("mysql error 1213") == 1 })
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		j.settled(t)
		if got := j.results(list); !slices.Equal(got, all(record.Settled, 3)) || l.times() != 0 {
			t.Errorf("ended %v, told %d times: %v", got, l.times(), l.why())
		}
		showsAll(t, db, pkg("P"), hashes...)
	})
}

// TestTwoStationsOneParcel: two stations pack the same items at the same time, scanned in opposite orders. One gets all, the other
// one none, and they never wait for one another in a circle.
func TestTwoStationsOneParcel(t *testing.T) {
	const rounds, items = 20, 30
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		e := &ear{}
		explain := func(c *SettlerConfig) { c.Explain = e.explain }
		ours, theirs := newJournal(), newJournal()
		settler(t, agentDB(t, db.Addr, nil), ours, explain)
		settler(t, agentDB(t, db.Addr, nil), theirs, explain)
		won := map[string]int{}
		for n := range uint64(rounds) {
			var hashes []string
			for k := range items {
				hashes = append(hashes, fmt.Sprintf("%d-%d", n, k))
				row(t, db, hashes[k], none)
			}
			ours.add(together(n*items+1, n+1, pkg("ours"), may(none), hashes...)...)
			slices.Reverse(hashes)
			theirs.add(together(n*items+1, n+1, pkg("theirs"), may(none), hashes...)...)
			ours.settled(t)
			theirs.settled(t)
			winner := shows(t, db, hashes[0])
			if winner == nil {
				t.Fatal("nobody got the parcel")
			}
			won[*winner]++
			showsAll(t, db, winner, hashes...)
		}
		t.Logf("won: %v", won)
		if n := e.count("mysql error 1213"); n > 0 {
			t.Errorf("%d deadlocks", n)
		}
	})
}

// TestCrashBetweenPackageAndJournal: the package was written, and its outcomes were noted not at all, or some of them.
func TestCrashBetweenPackageAndJournal(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		hashes := []string{"a", "b", "c", "d"}
		for _, hash := range hashes {
			row(t, db, hash, none)
		}
		list := together(1, 1, pkg("P"), may(none), hashes...)
		j := newJournal(list...)
		j.fail = errors.New("no room")
		l, _ := settler(t, agentDB(t, db.Addr, nil), j)
		j.settled(t)
		if got := j.results(list); !slices.Equal(got, all(record.SameValue, 4)) || len(j.written()) != 1 || !strings.Contains(l.why().Error(), "no room") {
			t.Errorf("ended %v in %d writes after %v", got, len(j.written()), l.why())
		}

		torn := newJournal(list...)
		if err := torn.Settle(record.Outcome{Intent: 2, Result: record.Settled}); err != nil {
			t.Fatal(err)
		}
		settler(t, agentDB(t, db.Addr, nil), torn)
		torn.settled(t)
		want := []record.Result{record.SameValue, record.Settled, record.SameValue, record.SameValue}
		if got := torn.results(list); !slices.Equal(got, want) || len(torn.written()) != 2 {
			t.Errorf("ended %v in %d writes", got, len(torn.written()))
		}
	})
}

// TestCrashInTheMiddleOfParking: of a package that could not be written, some outcomes were noted. What is left is still not
// written.
func TestCrashInTheMiddleOfParking(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", pkg("Q"))
		row(t, db, "b", none)
		row(t, db, "c", none)
		list := together(1, 1, pkg("P"), may(none), "a", "b", "c")
		whole := newJournal(list...)
		_, stop := settler(t, agentDB(t, db.Addr, nil), whole)
		whole.settled(t)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for noted := range 3 {
			torn := newJournal(list...)
			if err := torn.Settle(whole.written()[0][:noted]...); err != nil {
				t.Fatal(err)
			}
			_, stop := settler(t, agentDB(t, db.Addr, nil), torn)
			torn.settled(t)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			want := []record.Result{record.OtherValue, record.Refused, record.Refused}
			if got := torn.results(list); !slices.Equal(got, want) {
				t.Errorf("with %d noted: ended %v", noted, got)
			}
			showsAll(t, db, none, "b", "c")
		}
	})
}

// TestSupersededItemOfAPackage: a newer intent takes one item out; the others go on together.
func TestSupersededItemOfAPackage(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		hashes := []string{"a", "b", "c"}
		for _, hash := range hashes {
			row(t, db, hash, none)
		}
		list := together(1, 1, pkg("P"), may(none), hashes...)
		j := newJournal(list...)
		j.add(record.Intent{ID: 4, Hash: "b", Package: pkg("Q"), Replaces: may(none, pkg("P")), Scan: 2})
		settler(t, agentDB(t, db.Addr, nil), j)
		j.settled(t)
		want := []record.Result{record.Settled, record.Superseded, record.Settled}
		if got := j.results(list); !slices.Equal(got, want) || j.outcome(4).Result != record.Settled {
			t.Errorf("ended %v and %s", got, j.outcome(4).Result)
		}
		showsAll(t, db, pkg("P"), "a", "c")
		showsAll(t, db, pkg("Q"), "b")
		if n := len(j.written()); n != 3 { // superseded; the rest of the package; the newer one
			t.Errorf("%d writes: %v", n, j.written())
		}
	})
}

// TestConnectionIsAsBefore: a package leaves nothing behind on the connection, however it ended, and needs no other one.
func TestConnectionIsAsBefore(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		one, err := mysql.Open(mysql.Config{Address: db.Addr, Schema: "external", User: servers.AgentUser, MaxConns: 1,
			Password: func() (string, error) { return servers.AgentPassword, nil }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { one.Close() })
		state := func() (id int, waits string) {
			err := one.QueryRow("SELECT CONNECTION_ID(), CONCAT_WS(' ', @@wait_timeout, @@innodb_lock_wait_timeout, @@autocommit)").Scan(&id, &waits)
			if err != nil {
				t.Fatal(err)
			}
			return id, waits
		}
		id, waits := state()
		row(t, db, "a", none)
		row(t, db, "b", none)
		row(t, db, "c", pkg("Q"))
		j := newJournal(together(1, 1, pkg("P"), may(none), "a", "b")...)
		settler(t, one, j)
		j.settled(t)
		j.add(together(3, 2, pkg("R"), may(none, pkg("P")), "a", "c")...)
		j.settled(t)
		j.add(record.Intent{ID: 5, Hash: "a", Package: pkg("S"), Replaces: may(pkg("P"))})
		j.settled(t)
		showsAll(t, db, pkg("S"), "a") // which others don't see before it is committed
		if nowID, now := state(); nowID != id || now != waits {
			t.Errorf("connection %d: %s, before: %d: %s", nowID, now, id, waits)
		}
	})
}

// TestRowsAreFreeAfterASilentLoss: the network swallows the connection in the middle of a package. The server doesn't keep
// the rows for hours, and the package is written over the next connection.
func TestRowsAreFreeAfterASilentLoss(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		row(t, db, "b", none)
		network, addr := newLate(t, db.Addr)
		list := together(1, 1, pkg("P"), may(none), "a", "b")
		j := newJournal()
		l, _ := settler(t, agentDB(t, addr, nil), j, func(c *SettlerConfig) { c.Timeout = time.Second })
		network.at("COMMIT", func() { network.holding = true; network.deafen() })
		j.add(list...)
		until(t, "it was given up", func() bool { return l.why() != nil })
		began := time.Now()
		until(t, "the rows are free", func() bool { return !locked(t, db, "a") && !locked(t, db, "b") })
		if d := time.Since(began); d > lockWait {
			t.Errorf("rows were locked for %v", d)
		}
		showsAll(t, db, none, "a", "b")
		network.open()
		j.settled(t)
		if got := j.results(list); !slices.Equal(got, all(record.Settled, 2)) {
			t.Errorf("ended %v", got)
		}
		showsAll(t, db, pkg("P"), "a", "b")
	})
}

// TestServerKilledInPackages: whatever was under way when the server died, every package is whole once it is back.
func TestServerKilledInPackages(t *testing.T) {
	const packages, items = 60, 10
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		j := newJournal()
		for n := range packages {
			var hashes []string
			for k := range items {
				hashes = append(hashes, fmt.Sprintf("%d-%d", n, k))
				row(t, db, hashes[k], none)
			}
			j.add(together(uint64(n*items+1), uint64(n+1), pkg("P"), may(none), hashes...)...)
		}
		hold(t, db, fmt.Sprintf("%d-0", packages-1)) // so that not all are settled before the server dies
		settler(t, agentDB(t, db.Addr, nil), j)
		until(t, "some are settled", func() bool { return len(j.Open()) < packages*items/2 })
		db.Kill()
		if len(j.Open()) == 0 {
			t.Error("nothing was left to settle when the server died: the test shows nothing")
		}
		if err := db.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "external_package_id = 'P'"); n%items != 0 {
			t.Errorf("%d items are packed after the crash: no whole packages of %d", n, items)
		}
		j.settled(t)
		if n := count(t, db, "external_package_id = 'P'"); n != packages*items {
			t.Errorf("%d items packed in the end", n)
		}
	})
}

func count(t *testing.T, db *servers.Database, where string) (n int) {
	t.Helper()
	if err := db.Root().QueryRow("SELECT COUNT(*) FROM `external`.buylo_products WHERE " + where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestGather(t *testing.T) {
	list := []record.Intent{
		{ID: 1, Hash: "m"}, {ID: 2, Hash: "z", Scan: 7, Together: true}, {ID: 3, Hash: "k", Scan: 7}, {ID: 4, Hash: "b", Scan: 8, Together: true},
		{ID: 5, Hash: "y", Scan: 7, Together: true}, {ID: 6, Hash: "a"},
	}
	show := func(jobs []job) (s string) {
		for _, j := range jobs {
			for _, i := range j {
				s += i.Hash
			}
			s += " "
		}
		return s
	}
	jobs := gather(list)
	if got := show(jobs); got != "m yz k b a " {
		t.Errorf("jobs %s", got)
	}
	for stuck, want := range map[string]string{"z": "k b a m yz ", "y": "k b a m yz ", "a": "m yz k b a ", "gone": "m yz k b a "} {
		if got := show(turn(jobs, stuck)); got != want {
			t.Errorf("behind %q: %s", stuck, got)
		}
	}
}

// TestBeginOutOfReach: a package that can't even begin stays open.
func TestBeginOutOfReach(t *testing.T) {
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	j := newJournal(together(1, 1, pkg("P"), may(none), "a", "b")...)
	s, err := NewSettler(SettlerConfig{DB: db, Explain: itself, Table: table, Intents: j, Condition: &lamp{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.pass(context.Background()); err == nil || !strings.Contains(err.Error(), "2 items of one scan") || len(j.Open()) != 2 {
		t.Errorf("%d open after %v", len(j.Open()), err)
	}
}
