package store

import (
	"fmt"
	"os"
	"testing"

	"station-agent/store/record"
)

func polled(at string) record.Position { return record.Position{Way: "polling", Sweep: at} }

func mustStream(t *testing.T, d *DB, name string) *Stream {
	t.Helper()
	s, err := d.Stream(name)
	ok(t, err)
	return s
}

func checkPosition(t *testing.T, s interface {
	Position() (record.Position, error)
}, want record.Position) {
	t.Helper()
	p, err := s.Position()
	ok(t, err)
	if p != want {
		t.Errorf("position %+v, want %+v", p, want)
	}
}

// Each stream goes its own way, and all of them survive the end of the program and the turn of a file.
func TestStreamsAreApart(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	other := mustStream(t, s.DB, "other")
	checkPosition(t, other, record.Position{})
	ok(t, other.Put(record.Group{Position: polled("1"), Records: []record.Record{rec(1)}}))
	ok(t, s.DB.Put(record.Group{Position: group(0, 7).Position, Records: []record.Record{rec(2)}}))
	ok(t, other.Put(record.Group{Position: polled("2")})) // by itself: it waits for company
	run, err := other.BeginSnapshot()
	ok(t, err)
	mine, err := s.DB.BeginSnapshot()
	ok(t, err)
	if run == mine {
		t.Error("two streams had one snapshot")
	}
	ok(t, s.DB.PutSnapshot(record.Group{Position: group(0, 8).Position}))
	if again, err := other.BeginSnapshot(); err != nil || again != run {
		t.Errorf("the end of one snapshot ended the other: %q, %v", again, err)
	}
	ok(t, s.Close())

	s = openTest(t, dir)
	other = mustStream(t, s.DB, "other")
	checkPosition(t, other, polled("2"))
	checkPosition(t, s.DB, group(0, 8).Position)
	if again, err := other.BeginSnapshot(); err != nil || again != run {
		t.Errorf("snapshot %q after the start, %v", again, err)
	}
	ok(t, s.DB.Retire([]string{"third"}))
	checkPosition(t, other, record.Position{})
	checkPosition(t, s.DB, group(0, 8).Position)
	ok(t, s.Close())
}

// What was lost is lost for every stream, until each has compared.
func TestLossesAreToldToEachStream(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	other := mustStream(t, s.DB, "other")
	ok(t, other.Put(record.Group{Position: polled("1"), Records: []record.Record{rec(1)}}))
	path := s.DB.rows.path
	ok(t, s.Close())
	ok(t, os.Remove(path)) // the shadow

	s = openTest(t, dir)
	other, third := mustStream(t, s.DB, "other"), mustStream(t, s.DB, "third")
	for name, one := range map[string]*Stream{"": s.DB.Main(), "other": other, "third": third} {
		if why, err := one.Missed(); err != nil || why == "" {
			t.Errorf("stream %q: %q, %v", name, why, err)
		}
	}
	ok(t, s.DB.PutSnapshot(record.Group{Position: group(0, 1).Position}))
	ok(t, third.PutSnapshot(record.Group{Position: polled("3")}))
	ok(t, s.Close())
	s = openTest(t, dir)
	for name, want := range map[string]bool{"": false, "other": true, "third": false} {
		if why, err := mustStream(t, s.DB, name).Missed(); err != nil || (why != "") != want {
			t.Errorf("stream %q after a comparison of two: %q, %v", name, why, err)
		}
	}
	ok(t, s.Close())
}

func TestShadowIDsComeInPages(t *testing.T) {
	s := openTest(t, t.TempDir())
	defer s.Close()
	row := func(id string, gone bool) record.ShadowRow {
		return record.ShadowRow{Collection: "c", ID: id, Version: "1", Payload: []byte(`{}`), Gone: gone}
	}
	put := func(rows ...record.ShadowRow) { ok(t, s.DB.Put(record.Group{Shadow: rows})) }
	put(row("a", false), row("b", false), row("d", false), row("f", false), record.ShadowRow{Collection: "d", ID: "x", Version: "1"})
	ok(t, s.DB.flushRows())
	put(row("b", true), row("c", false), row("e", false), row("f", true), row("f", false)) // in memory, over those in the file
	var pages [][]string
	for after := ""; ; {
		page, err := s.DB.ShadowIDs("c", after, 2)
		ok(t, err)
		pages = append(pages, page)
		if len(page) < 2 {
			break
		}
		after = page[1]
	}
	if got := fmt.Sprint(pages); got != "[[a c] [d e] [f]]" {
		t.Error(got)
	}
}
