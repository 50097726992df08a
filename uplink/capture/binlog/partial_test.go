package binlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// Rows of sessions with partial images are found by looking at them, deletes are deletes, other stations' rows are left
// alone, and complete rows stay the changes they are. The one who can mend it is told once.
func TestPartialImagesAreCompleted(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, insert("foreign", stationB), insert("arrives", stationB))
		store := &capturetest.Store{}
		s := source(t, db, Auto)
		var warned []string
		s.cfg.Warn = func(err error) { warned = append(warned, err.Error()) }
		cond, stop := startRunner(t, s, store)
		db.Exec(t, insert("a", stationA), insert("b", stationA), insert("c", stationA))
		until(t, store, "c", cond)
		table := "`external`.buylo_products"
		db.Exec(t, "SET SESSION binlog_row_image = 'MINIMAL'",
			fmt.Sprintf(setPackage, "PKG-1", "a"),
			"UPDATE "+table+" SET buylo_name = 'x' WHERE hash = 'foreign'",
			"UPDATE "+table+" SET buylo_active_packing_station_uuid = '"+stationA+"' WHERE hash = 'arrives'",
			"UPDATE "+table+" SET hash = 'b2' WHERE hash = 'b'",
			"DELETE FROM "+table+" WHERE hash = 'c'",
			"INSERT INTO "+table+" (hash, buylo_active_packing_station_uuid) VALUES ('d', '"+stationA+"')",
			fmt.Sprintf(setPackage, "PKG-4", "d"), "DELETE FROM "+table+" WHERE hash = 'd'")
		until(t, store, "b2", cond)
		db.Exec(t, fmt.Sprintf(setPackage, "PKG-2", "a"), insert("end", stationA))
		until(t, store, "end", cond)
		stop()
		list := got(store.Records())
		want := []string{"insert a -", "insert b -", "insert c -", "update a PKG-1", "upsert arrives -", "upsert b2 -", "delete b", "delete c", "update a PKG-2", "insert end -"}
		list = slices.DeleteFunc(list, func(l string) bool { return strings.HasSuffix(l, " d") || strings.HasPrefix(l, "upsert d ") }) // it may be gone before it is looked at
		same(t, list, want)
		keys := make(map[string]bool)
		for _, r := range store.Records() {
			if keys[r.Key] {
				t.Errorf("key %s twice", r.Key)
			}
			keys[r.Key] = true
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "SET GLOBAL binlog_row_image = 'FULL'") {
			t.Errorf("warned %q", warned)
		}
	})
}

// Updates of MySQL with JSON columns in part are looked at, also in a table that may only be read.
func TestPartialJSONIsCompleted(t *testing.T) {
	db := servers.MySQL(t)
	s := source(t, db, Auto, typeSpec)
	warned := ""
	s.cfg.Warn = func(err error) { warned = err.Error() }
	typeTable(t, db)
	from := start(t, s)
	db.Exec(t, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE `external`.kinds SET d1 = JSON_SET(d1, '$.a', 22, '$.c', 44), c01 = 7",
		"UPDATE `external`.kinds SET c02 = 8")
	var found []string
	err := s.Run(t.Context(), from, nil, func(tx capture.Tx) error {
		for _, state := range tx.Found {
			found = append(found, state.ID+" "+string(state.Payload))
		}
		if len(tx.Rows) > 0 {
			t.Errorf("%v", lines([]capture.Tx{tx}))
		}
		if len(found) == 2 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	for _, f := range found {
		if !strings.HasPrefix(f, "end {") || !strings.Contains(f, `\"a\":22`) || !strings.Contains(f, `\"c\":44`) || !strings.Contains(f, `"c01":7,"c02":8,`) {
			t.Errorf("%s", f)
		}
	}
	if !strings.Contains(warned, "JSON column d1 in part only") {
		t.Errorf("warned %q", warned)
	}
}

// A row is looked at only when the transaction that changed it can be seen.
func TestALookWaitsForTheCommit(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, insert("a", stationA))
		s := source(t, db, Auto)
		conn, err := db.Root().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, q := range []string{"BEGIN", fmt.Sprintf(setPackage, "PKG-1", "a")} {
			if _, err := conn.ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		var rows []capture.State
		go func() {
			var err error
			rows, err = s.see(t.Context(), products, []string{"a"})
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("it saw %v before the commit: %v", rows, err)
		case <-time.After(500 * time.Millisecond):
		}
		if _, err := conn.ExecContext(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil || len(rows) != 1 || !strings.Contains(string(rows[0].Payload), "PKG-1") {
			t.Errorf("%v %v", rows, err)
		}
	})
}

// Within one transaction the last word on a row counts.
func TestLooksOfOneTransaction(t *testing.T) {
	table, err := capture.NewTable(&capture.Spec{Schema: "s", Name: "t", Key: []string{"k"}}, []capture.Column{{Name: "k", Kind: capture.Text}, {Name: "v", Kind: capture.Text}})
	if err != nil {
		t.Fatal(err)
	}
	var given []capture.Tx
	var asked []string
	s := &stream{
		sink: func(tx capture.Tx) error { given = append(given, tx); return nil }, warn: func(error) {},
		see: func(_ context.Context, _ *capture.Spec, ids []string) ([]capture.State, error) {
			asked = ids
			return []capture.State{{Table: table.Spec, ID: "there"}, {Table: table.Spec, ID: "THERE"}}, nil
		},
		layout: layouts{specs: []*capture.Spec{table.Spec}},
	}
	s.from.File = "another"
	part := func(op record.Op, skipped [][]int, images ...[]any) {
		t.Helper()
		if err := s.complete(table, op, images, skipped, errors.New("why")); err != nil {
			t.Error(err)
		}
	}
	row := func(k string) []any { return []any{k, nil} }
	s.beginMaria(&replication.EventHeader{Timestamp: 1}, &replication.MariadbGTIDEvent{GTID: mysql.MariadbGTID{SequenceNumber: 5}})
	part(record.Delete, [][]int{{1}}, row("again"))
	if err := s.row(table, record.Insert, [][]any{{"again", "full"}}); err != nil {
		t.Error(err)
	}
	part(record.Update, [][]int{{1}, {0}}, row("there"), []any{nil, "v"})
	part(record.Update, [][]int{{1}, {1}}, row("old"), row("there"))
	part(record.Insert, [][]int{{1}}, row("short"))
	part(record.Delete, [][]int{{1}}, row("short"))
	if err := s.complete(table, record.Insert, [][]any{{nil, "v"}}, [][]int{{0}}, errors.New("why")); !errors.Is(err, capture.ErrGap) {
		t.Errorf("a row without a key: %v", err)
	}
	if err := s.commit(&replication.EventHeader{LogPos: 9}); err != nil || len(given) != 1 {
		t.Fatal(given, err)
	}
	same(t, asked, []string{"again", "there"})
	tx, missing := given[0], []string{}
	for _, m := range tx.Missing {
		missing = append(missing, m.ID)
	}
	same(t, missing, []string{"old", "short"})
	if len(tx.Found) != 1 || tx.Found[0].ID != "there" || len(tx.Rows) != 1 || tx.Rows[0].Ordinal != 1 {
		t.Errorf("%+v", tx)
	}
}
