package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/store/record"
)

// TestCommitAtClose writes the rows of a package when it is closed: all of them in one transaction, or none of them if one
// can't be.
func TestCommitAtClose(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		t.Parallel() // most of it is waiting
		s := newSite(t, db)
		s.Config.Packing.Commit = "close"
		s.started()
		items := s.stock(1, 9)
		slices.Sort(items) // as they are written
		s.whole("PKG-2026-0001", items[:3])
		s.none("PKG-2026-0002", items[3:6], func([]intent) string { return "--all" })
		s.none("PKG-2026-0003", items[6:], func(list []intent) string { return fmt.Sprint(list[0].ID) }) // the others go along
		r := s.clean()
		t.Logf("%s", r)
		if r.Scans != 9 || r.Assigned != 9 {
			t.Errorf("%d items were promised and %d assigned, want 9", r.Scans, r.Assigned)
		}
		s.stop()
	})
}

// whole packs items while somebody holds the row that is written last: until it is free the others are held back, though
// they were written already.
func (s *site) whole(label string, items []string) {
	s.t.Helper()
	s.scan(label, "accepted")
	for _, i := range items {
		s.scan(i, "accepted")
	}
	time.Sleep(time.Second) // more than it takes to settle
	if n := s.in(label); n != 0 {
		s.t.Errorf("%d rows were written before the package was closed", n)
	}
	tx, err := s.DB.Root().BeginTx(s.ctx, nil)
	s.must(err)
	defer tx.Rollback()
	_, err = tx.ExecContext(s.ctx, "SELECT hash FROM `external`.buylo_products WHERE hash = ? FOR UPDATE", items[2])
	s.must(err)
	s.scan(bed.CloseCode, "accepted")
	s.until("the first row is written", func() bool { return s.locked(items[0]) })
	if n := s.in(label); n != 0 {
		s.t.Errorf("%d rows show the package while one can't", n)
	}
	s.must(tx.Rollback())
	s.until("the package is whole", func() bool {
		n := s.in(label)
		if n != 0 && n != len(items) {
			s.t.Fatalf("%d of %d rows show the package", n, len(items))
		}
		return n > 0
	})
}

// in counts the rows that are in a package.
func (s *site) in(label string) (n int) {
	s.t.Helper()
	s.must(s.DB.Root().QueryRowContext(s.ctx, "SELECT COUNT(*) FROM `external`.buylo_products WHERE external_package_id = ?", label).Scan(&n))
	return n
}

// locked tells whether somebody holds the row.
func (s *site) locked(hash string) bool {
	s.t.Helper()
	_, err := s.DB.Root().ExecContext(s.ctx, "SELECT hash FROM `external`.buylo_products WHERE hash = ? FOR UPDATE NOWAIT", hash)
	if err != nil && !strings.Contains(err.Error(), "1205") && !strings.Contains(err.Error(), "3572") {
		s.t.Fatal(err)
	}
	return err != nil
}

// none packs items of which a second writer takes one meanwhile: no row is written, the operator is called back for each,
// and once a person has cleared that up all go in together.
func (s *site) none(label string, items []string, again func([]intent) string) {
	s.t.Helper()
	s.scan(label, "accepted")
	for _, i := range items {
		s.scan(i, "accepted")
	}
	s.MySQL.Cut() // else the agent may see it in time, and refuses to close
	s.must(s.Bridge.Pack(s.ctx, items[1], "PKG-2026-9999"))
	mark := s.Agent.Mark()
	s.step(bed.CloseCode, "closed") // offline, if the rows have grown old meanwhile
	s.MySQL.Restore()
	for _, i := range items {
		s.calledBack(mark, i)
	}
	s.problemSays("assignments", "person: 3")
	s.rows("", items[0], items[2])
	s.rows("PKG-2026-9999", items[1])
	listed := s.intents("--parked")
	if len(listed) != 3 {
		s.t.Errorf("%d assignments are listed, want 3: %+v", len(listed), listed)
	}
	for _, i := range listed {
		if !slices.Contains(items, i.Hash) || !record.Same(i.Package, &label) || i.State != "parked" ||
			(i.Outcome.Result == record.OtherValue) != (i.Hash == items[1]) {
			s.t.Errorf("listed: %+v", i)
		}
	}
	s.must(s.Bridge.Unpack(s.ctx, items[1]))
	s.command(0, "intents", "retry", again(listed))
	s.rows(label, items...)
	s.problem("assignments", false)
	s.until("nothing is listed", func() bool { return len(s.intents()) == 0 }) // the row is written before the journal says so
}

// intent is a line of station-agent intents --json.
type intent struct {
	record.Intent
	State   string
	Outcome record.Outcome
	Seen    bool
}

func (s *site) intents(flags ...string) []intent {
	s.t.Helper()
	return jsonLines[intent](s, append([]string{"intents", "--json"}, flags...)...)
}

// jsonLines runs a command that prints a JSON object a line.
func jsonLines[T any](s *site, args ...string) (list []T) {
	s.t.Helper()
	out := s.command(0, args...)
	for line := range strings.Lines(out) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			s.t.Fatalf("%v: %q: %v", args, line, err)
		}
		list = append(list, v)
	}
	return list
}

// calledBack waits until the operator is called back for an item.
func (s *site) calledBack(mark int, hash string) bed.Line {
	s.t.Helper()
	var found bed.Line
	s.until("the call back for "+hash, func() bool {
		lines := s.callBacks(mark, hash)
		if len(lines) > 0 {
			found = lines[0]
		}
		return len(lines) > 0
	})
	return found
}

// callBacks gives those since mark.
func (s *site) callBacks(mark int, hash string) []bed.Line {
	return s.Agent.Lines(func(l bed.Line) bool { return l.Place >= mark && l.Msg == "call back" && l.Hash == hash })
}
