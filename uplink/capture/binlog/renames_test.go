package binlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// shown gives, by key, the two columns of the same type under the names that the rows were mapped with.
func shown(t *testing.T, txs []capture.Tx) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, tx := range txs {
		for _, row := range tx.Rows {
			payload, err := row.Table.AppendPayload(nil, row.After)
			if err != nil {
				t.Fatal(err)
			}
			out[row.Table.ID(row.After)] = twins(string(payload))
		}
	}
	return out
}

// twins cuts the columns of type VARCHAR(64) out of a payload.
func twins(payload string) string {
	var out []string
	for part := range strings.SplitSeq(strings.Trim(payload, "{}"), ",") {
		if name, value, _ := strings.Cut(part, ":"); strings.Contains(name, "pid") || strings.Contains(name, "_id") {
			out = append(out, strings.Trim(name, `"`)+"="+strings.Trim(value, `"`))
		}
	}
	return strings.Join(out, " ")
}

const rename = "ALTER TABLE `external`.buylo_products RENAME COLUMN "

// pair inserts a row whose first column of the two is 'first' and whose second one is 'second', whatever they are called.
func pair(hash, first, second string) string {
	return fmt.Sprintf("INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid, %s, %s) VALUES ('%s', '%s', 'first', 'second')",
		first, second, hash, stationA)
}

// bothMetadata runs a test with each server's sparse descriptions of tables.
func bothMetadata(t *testing.T, test func(*testing.T, *servers.Database)) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		if db.Flavor == "mariadb" {
			db.Exec(t, "SET GLOBAL binlog_row_metadata = 'NO_LOG'")
		}
		test(t, db)
	})
}

// again is another run of the program with the same memory.
func again(t *testing.T, db *servers.Database, m Memory) *Source {
	t.Helper()
	s := source(t, db, Auto)
	s.cfg.Memory = m
	return s
}

// A column that was renamed while nobody read has its old name in the rows before and its new one in the rows behind; also
// when they are read once more.
func TestARenameWhileAway(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		m := &volatile{}
		from := start(t, again(t, db, m))
		mark(t, db, "seen")
		txs := mustFollow(t, again(t, db, m), from, "seen")
		at := txs[len(txs)-1].Position
		db.Exec(t, pair("before", "buylo_product_id", "external_package_id"), rename+"buylo_product_id TO pid",
			pair("behind", "pid", "external_package_id"), pair("end", "pid", "external_package_id"))
		for range 2 {
			rows := shown(t, mustFollow(t, again(t, db, m), at, "end"))
			if rows["before"] != "buylo_product_id=first external_package_id=second" || rows["behind"] != "external_package_id=second pid=first" {
				t.Errorf("%v", rows)
			}
		}
		db.Exec(t, rename+"pid TO buylo_product_id", "DELETE FROM `external`.buylo_products")
	})
}

// Two columns of one type that changed their names while nobody read: what came between can't be known.
func TestASwapWhileAwayIsAGap(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		swap := func() {
			db.Exec(t, rename+"buylo_product_id TO tmp", pair("between", "tmp", "external_package_id"),
				rename+"external_package_id TO buylo_product_id", rename+"tmp TO external_package_id")
		}
		m := &volatile{}
		store := &capturetest.Store{}
		cond, stop := startRunner(t, again(t, db, m), store)
		db.Exec(t, pair("seen", "buylo_product_id", "external_package_id"))
		until(t, store, "seen", cond)
		stop()
		db.Exec(t, pair("before", "buylo_product_id", "external_package_id"))
		swap()
		cond, stop = startRunner(t, again(t, db, m), store)
		until(t, store, "run-2", cond)
		db.Exec(t, pair("end", "external_package_id", "buylo_product_id"))
		until(t, store, "end", cond)
		stop()
		last := make(map[string]string)
		for _, r := range store.Records() {
			if r.Collection != capture.Gaps {
				last[r.ID] = string(r.Op) + " " + twins(string(r.Payload))
				continue
			}
			if !strings.Contains(string(r.Payload), "the layout of external.buylo_products is unknown") {
				t.Errorf("%s", r.Payload)
			}
		}
		for _, id := range []string{"seen", "before", "between", "end"} {
			want := "upsert buylo_product_id=second external_package_id=first"
			if id == "end" {
				want = "insert buylo_product_id=second external_package_id=first"
			}
			if last[id] != want {
				t.Errorf("%s: %s, want %s", id, last[id], want)
			}
		}
	})
}

// Without a memory the layout of now is taken for rows of before; when the change shows behind them, that is a gap. From a
// snapshot on nothing can be wrong yet.
func TestWithoutAMemoryADoubtIsAGap(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		from := start(t, source(t, db, Auto))
		db.Exec(t, pair("before", "buylo_product_id", "external_package_id"), rename+"external_package_id TO tmp",
			rename+"buylo_product_id TO external_package_id", rename+"tmp TO buylo_product_id")
		mark(t, db, "end")
		gap(t, source(t, db, Auto), from, "unknown for some rows")

		m := &volatile{}
		from = start(t, again(t, db, m))
		db.Exec(t, rename+"buylo_product_id TO pid", pair("fresh", "pid", "external_package_id"))
		if rows := shown(t, mustFollow(t, again(t, db, m), from, "fresh")); rows["fresh"] != "external_package_id=second pid=first" {
			t.Errorf("%v", rows)
		}
		db.Exec(t, rename+"pid TO buylo_product_id")
	})
}

// A snapshot that was never stored mends nothing; and what can't be remembered is not read.
func TestASnapshotThatIsNotStoredMendsNothing(t *testing.T) {
	db := servers.MariaDB(t)
	m := &volatile{}
	from := start(t, again(t, db, m))
	mark(t, db, "seen")
	txs := mustFollow(t, again(t, db, m), from, "seen")
	at := txs[len(txs)-1].Position
	db.Exec(t, pair("before", "buylo_product_id", "external_package_id"), rename+"buylo_product_id TO tmp",
		pair("between", "tmp", "external_package_id"), rename+"tmp TO pid")
	for range 3 {
		gap(t, again(t, db, m), at, "is unknown for some rows")
		start(t, again(t, db, m))
	}
	forgets := forgetful{}
	if _, err := follow(t, again(t, db, forgets), at, "end"); !errors.Is(err, errForgets) {
		t.Errorf("%v", err)
	}
}

type forgetful struct{}

var errForgets = errors.New("the card is full")

func (forgetful) LoadNote(string) ([]byte, error) { return nil, nil }
func (forgetful) SaveNote(string, []byte) error   { return errForgets }

// What was known before a snapshot doesn't count behind it: the changes in between were not met.
func TestASnapshotBeginsAnew(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		m := &volatile{}
		from := start(t, again(t, db, m))
		mark(t, db, "seen")
		mustFollow(t, again(t, db, m), from, "seen")
		db.Exec(t, rename+"buylo_product_id TO pid")
		from = start(t, again(t, db, m))
		db.Exec(t, pair("end", "pid", "external_package_id"))
		for range 2 {
			if rows := shown(t, mustFollow(t, again(t, db, m), from, "end")); rows["end"] != "external_package_id=second pid=first" {
				t.Errorf("%v", rows)
			}
		}
	})
}

// A table that is changed right behind its first row was read when the stream began.
func TestARowRightBeforeAChange(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		var txs []capture.Tx
		err := s.Run(t.Context(), from, nil, func(tx capture.Tx) error {
			if txs == nil { // connected
				db.Exec(t, pair("before", "buylo_product_id", "external_package_id"), rename+"buylo_product_id TO pid", pair("end", "pid", "external_package_id"))
			}
			if txs = append(txs, tx); len(tx.Rows) > 0 && tx.Rows[0].Table.ID(tx.Rows[0].After) == "end" {
				return errEnough
			}
			return nil
		})
		rows := shown(t, txs)
		if !errors.Is(err, errEnough) || rows["before"] != "buylo_product_id=first external_package_id=second" || rows["end"] != "external_package_id=second pid=first" {
			t.Errorf("%v %v", rows, err)
		}
	})
}

// A change that the server didn't log is noticed by what it does to number or types.
func TestAChangeThatIsNotLogged(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		m := &volatile{}
		from := start(t, again(t, db, m))
		mark(t, db, "seen")
		txs := mustFollow(t, again(t, db, m), from, "seen")
		db.Exec(t, "SET sql_log_bin = 0", "ALTER TABLE `external`.buylo_products RENAME COLUMN buylo_product_id TO pid, ADD COLUMN n INT FIRST")
		db.Exec(t, pair("end", "pid", "external_package_id"))
		if rows := shown(t, mustFollow(t, again(t, db, m), txs[len(txs)-1].Position, "end")); rows["end"] != "external_package_id=second pid=first" {
			t.Errorf("%v", rows)
		}
	})
}

// A layout of now is none for rows behind which a change is known.
func TestALayoutThatCameLaterIsNotTaken(t *testing.T) {
	spec := &capture.Spec{Schema: "s", Name: "t", Key: []string{"k"}}
	table, err := capture.NewTable(spec, []capture.Column{{Name: "k", Kind: capture.Text}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(pos uint64) place { return place{"log.000001", pos} }
	h := unknown("s")
	h.cut(at(500))
	l := layouts{
		past: map[*capture.Spec]*history{spec: h}, keep: func(*capture.Spec, *history) error { return nil },
		ask: func(context.Context, *capture.Spec) (*capture.Table, place, error) { return table, at(900), nil },
	}
	if _, err := l.named(t.Context(), spec, table.Columns, at(100)); !errors.Is(err, capture.ErrGap) {
		t.Errorf("before the change: %v", err)
	}
	if got, err := l.named(t.Context(), spec, table.Columns, at(600)); err != nil || got != table || l.until != at(900) {
		t.Errorf("behind it: %v %v %v", got, l.until, err)
	}
}

func TestHistory(t *testing.T) {
	at := func(pos uint64) place { return place{"log.000009", pos} }
	table := &capture.Table{Columns: []capture.Column{{Name: "a"}}}
	h := unknown("s")
	h.last().fill(table, at(100))
	h.last().held = true
	if fresh, doubt := h.cut(at(99)); fresh || !doubt {
		t.Error("a change before the reading is no doubt")
	}
	if fresh, doubt := h.cut(at(100)); !fresh || doubt || len(h.Stretches) != 2 {
		t.Error("a change behind the reading is a doubt")
	}
	if fresh, doubt := h.cut(at(100)); fresh || doubt {
		t.Error("a change that was met before is new")
	}
	h.last().fill(table, at(300))
	if fresh, doubt := h.cut(at(200)); !fresh || doubt || len(h.find(at(150)).Columns) != 0 {
		t.Error("a reading that came too late is kept, though no row needs it")
	}
	if !at(5).before(place{"log.000010", 4}) || (place{"log.1000000", 4}).before(place{"log.999999", 4}) {
		t.Error("files are in the wrong order")
	}
	for i := range uint64(2 * mostStretches) {
		h.cut(at(1000 + i))
	}
	if len(h.Stretches) != mostStretches {
		t.Errorf("%d stretches", len(h.Stretches))
	}
	if s := h.find(at(5)); len(s.Columns) != 0 {
		t.Error("what was forgotten is known")
	}
	if h.begins(record.Position{}) {
		t.Error("it begins without a snapshot")
	}
}

// Rows that are held back until the layout is proven come at the end of the log, also if what stands there is no transaction.
func TestHeldRowsComeAtTheEndOfTheLog(t *testing.T) {
	bothMetadata(t, func(t *testing.T, db *servers.Database) {
		from := start(t, source(t, db, Auto))
		mark(t, db, "end")
		db.Exec(t, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
		began := time.Now()
		same(t, lines(mustFollow(t, source(t, db, Auto), from, "end")), []string{"insert - end"})
		if took := time.Since(began); took > 2*heartbeat {
			t.Errorf("it took %v", took)
		}
	})
}
