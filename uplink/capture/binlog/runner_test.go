package binlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

// The triggers keep a second opinion of what was committed: they know nothing of the binary log.
func audit(t *testing.T, db *servers.Database) {
	t.Helper()
	write := func(op, before, after string) string {
		values := fmt.Sprintf("'%s', %s, %s", op, column(before, "hash"), column(after, "hash"))
		for _, c := range []string{"buylo_active_packing_station_uuid", "external_package_id"} {
			values += ", " + column(before, c) + ", " + column(after, c)
		}
		return "CREATE TRIGGER `external`.audit_" + op + " AFTER " + op + " ON `external`.buylo_products FOR EACH ROW" +
			" INSERT INTO `external`.audit (op, was, id, left_, now_, had, has) VALUES (" + values + ")"
	}
	db.Exec(t,
		"CREATE TABLE `external`.audit (n INT AUTO_INCREMENT PRIMARY KEY, op VARCHAR(9), was VARCHAR(32), id VARCHAR(32), left_ VARCHAR(36), now_ VARCHAR(36), had VARCHAR(64), has VARCHAR(64))",
		write("insert", "", "NEW"), write("update", "OLD", "NEW"), write("delete", "OLD", ""))
}

func column(row, name string) string {
	if row == "" {
		return "NULL"
	}
	return row + "." + name
}

// owned lists, by the audit, the changes that station A owns while every station has an agent.
func owned(t *testing.T, db *servers.Database) []string {
	t.Helper()
	rows, err := db.Root().QueryContext(t.Context(), "SELECT op, was, id, left_, now_, COALESCE(has, IF(op = 'delete', had, NULL), '-') FROM `external`.audit"+
		" WHERE NOT (op = 'update' AND was = id AND left_ <=> now_ AND had <=> has) ORDER BY n") // a trigger sees updates that change nothing
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	held := make(map[string]bool)
	var out []string
	for rows.Next() {
		var op, pack string
		var was, id, before, after sql.NullString
		if err := rows.Scan(&op, &was, &id, &before, &after, &pack); err != nil {
			t.Fatal(err)
		}
		old := was.String
		if !was.Valid {
			old = id.String
		}
		mine := after.String == stationA || !after.Valid && (before.String == stationA || !before.Valid && held[old])
		delete(held, old)
		if id.Valid {
			held[id.String] = mine
		}
		switch {
		case !mine:
		case was.Valid && id.Valid && was.String != id.String:
			out = append(out, "delete "+was.String, "insert "+id.String+" "+pack)
		case op == "delete":
			out = append(out, "delete "+was.String)
		default:
			out = append(out, op+" "+id.String+" "+pack)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// got writes records like owned does.
func got(records []record.Record) []string {
	var out []string
	for _, r := range records {
		line := string(r.Op) + " " + r.ID
		if r.Op != record.Delete {
			_, pack, _ := strings.Cut(string(r.Payload), `"external_package_id":`)
			pack, _, _ = strings.Cut(pack, `,"`)
			if pack = strings.Trim(pack, `"`); pack == "null" {
				pack = "-"
			}
			line += " " + pack
		}
		out = append(out, line)
	}
	return out
}

func startRunner(t *testing.T, s *Source, store *capturetest.Store) (cond *capturetest.Condition, stop func()) {
	t.Helper()
	return startOn(t, s, store, products)
}

func startOn(t *testing.T, s *Source, store *capturetest.Store, tables ...*capture.Spec) (cond *capturetest.Condition, stop func()) {
	t.Helper()
	return sourcetest.Start(t, s, store, stationA, tables...)
}

// until waits until the store has a record of the row.
func until(t *testing.T, store *capturetest.Store, id string, cond *capturetest.Condition) {
	t.Helper()
	capturetest.Until(t, func() (string, bool) {
		lost, _ := cond.Said()
		return fmt.Sprintf("no record of %s; said %q", id, lost),
			slices.ContainsFunc(store.Records(), func(r record.Record) bool { return r.ID == id })
	})
}

// work commits one random transaction.
func work(ctx context.Context, r *rand.Rand, db *servers.Database) error {
	conn, err := db.Root().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	station := func() any { return []any{stationA, stationA, stationB, nil}[r.IntN(4)] }
	id := func() string { return fmt.Sprintf("row-%d", r.IntN(12)) }
	for range 1 + r.IntN(4) {
		switch r.IntN(8) {
		case 0, 1:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE INTO `external`.buylo_products (hash, buylo_name, buylo_active_packing_station_uuid) VALUES (?, 'ž', ?)", id(), station())
		case 2:
			_, err = tx.ExecContext(ctx, "DELETE FROM `external`.buylo_products WHERE hash = ?", id())
		case 3, 4:
			_, err = tx.ExecContext(ctx, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ? WHERE hash = ?", station(), id())
		case 5:
			_, err = tx.ExecContext(ctx, "UPDATE `external`.buylo_products SET hash = ? WHERE hash = ?", id(), id())
		default:
			_, err = tx.ExecContext(ctx, "UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash < ?", fmt.Sprintf("PKG-%d", r.IntN(1000)), id())
		}
		if err != nil {
			return err
		}
	}
	if r.IntN(6) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

// Over a random workload, with the server killed and restarted and the connections ended, each change that the triggers
// saw becomes one record at its owner, in order, and nothing else does.
func TestEveryCommittedChangeBecomesOneRecord(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Root().SetMaxOpenConns(4)
		for seed, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				db.Exec(t, "DROP TABLE IF EXISTS `external`.audit", "DROP TRIGGER IF EXISTS `external`.audit_insert",
					"DROP TRIGGER IF EXISTS `external`.audit_update", "DROP TRIGGER IF EXISTS `external`.audit_delete",
					"DELETE FROM `external`.buylo_products")
				audit(t, db)
				store := &capturetest.Store{}
				cond, stop := startRunner(t, source(t, db, mode), store)
				r := rand.New(rand.NewPCG(uint64(seed), 5))
				for i := range 150 {
					_ = work(t.Context(), r, db) // a transaction that fails is none
					switch i {
					case 40, 90:
						db.Kill()
						if err := db.Start(t.Context()); err != nil {
							t.Fatal(err)
						}
					case 60:
						endDumps(t, db)
					case 75:
						db.Exec(t, "FLUSH BINARY LOGS")
					case 120: // another run of the agent
						stop()
						cond, stop = startRunner(t, source(t, db, mode), store)
					}
				}
				db.Exec(t, insert("end", stationA))
				until(t, store, "end", cond)
				stop()
				same(t, got(store.Records()), owned(t, db))
				keys := make(map[string]bool)
				for _, rec := range store.Records() {
					if keys[rec.Key] || !strings.HasPrefix(rec.Key, "b:") {
						t.Errorf("key %s", rec.Key)
					}
					keys[rec.Key] = true
				}
				t.Logf("%d records", len(keys))
				if _, back := cond.Said(); back == 0 {
					t.Error("the condition never came back")
				}
			})
		}
	})
}

// endDumps ends the connections of replicas, once there is one.
func endDumps(t *testing.T, db *servers.Database) {
	t.Helper()
	capturetest.Until(t, func() (string, bool) {
		ids := dumps(t, db)
		for _, id := range ids {
			db.Exec(t, "KILL "+id)
		}
		return "nobody reads the log", len(ids) > 0
	})
}

// dumps lists the connections of replicas.
func dumps(t *testing.T, db *servers.Database) (ids []string) {
	t.Helper()
	admin := &Source{cfg: Config{DB: db.Root()}}
	list, err := admin.list(t.Context(), db.Root(), "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		ids = append(ids, d[0])
	}
	return ids
}

// Deletes and changes that lay in a purged part of the log are found by comparing, and the gap is a record.
func TestAPurgedLogIsReconciled(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		store := &capturetest.Store{}
		db.Exec(t, insert("found", stationA))
		cond, stop := startRunner(t, source(t, db, Auto), store)
		db.Exec(t, insert("gone", stationA), insert("packed", stationA), insert("same", stationA))
		until(t, store, "same", cond)
		stop()
		db.Exec(t, "DELETE FROM `external`.buylo_products WHERE hash = 'gone'",
			fmt.Sprintf(setPackage, "PKG-1", "packed"), fmt.Sprintf(setPackage, "PKG-2", "same"),
			"UPDATE `external`.buylo_products SET external_package_id = NULL, updated_at = created_at WHERE hash = 'same'",
			insert("arrived", stationA))
		purge(t, db)
		cond, stop = startRunner(t, source(t, db, Auto), store)
		until(t, store, "arrived", cond)
		db.Exec(t, insert("end", stationA))
		until(t, store, "end", cond)
		stop()
		records := store.Records()
		same(t, got(records[:4]), []string{"upsert found -", "insert gone -", "insert packed -", "insert same -"})
		rest := got(records[4:])
		slices.Sort(rest[:4])
		if !strings.Contains(rest[1], "insert run-2") {
			t.Errorf("no record of the gap: %q", rest)
		}
		rest = slices.Delete(rest, 1, 2)
		same(t, rest, []string{"delete gone", "upsert arrived -", "upsert packed PKG-1", "insert end -"})
	})
}

// A row that is deleted and comes back in a gap, all within a second of MariaDB's clock, has versions that rise.
func TestARowThatComesBackInAGapIsYoungerThanItsDelete(t *testing.T) {
	db := servers.MariaDB(t)
	for _, mode := range []Mode{ByGTID, ByPosition} {
		t.Run(string(mode), func(t *testing.T) {
			db.Exec(t, "DELETE FROM `external`.buylo_products", insert("back", stationA))
			store := &capturetest.Store{}
			cond, stop := startRunner(t, source(t, db, mode), store)
			db.Exec(t, "DO SLEEP(1 - MICROSECOND(NOW(6)) / 1000000)", // to the beginning of a second
				"DELETE FROM `external`.buylo_products WHERE hash = 'back'",
				"RENAME TABLE `external`.buylo_products TO `external`.aside", strings.Replace(insert("back", stationA), "buylo_products", "aside", 1),
				"RENAME TABLE `external`.aside TO `external`.buylo_products", insert("end", stationA))
			until(t, store, "end", cond)
			stop()
			if told := sourcetest.Told(t, store.Records(), products.Collection()); told["back"] == "" {
				t.Errorf("%v", got(store.Records()))
			}
		})
	}
}

// The rows that a snapshot read and the same rows in the log are the same to the byte.
func TestSnapshotAndLogAgreeOnProducts(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		db.Exec(t, insert("a", stationA), fmt.Sprintf(setPackage, `PKG "1"`, "a"))
		mark(t, db, "end")
		txs := mustFollow(t, s, from, "end")
		row := txs[1].Rows[0]
		want, err := row.Table.AppendPayload(nil, row.After)
		if err != nil {
			t.Fatal(err)
		}
		found, err := (&capture.Snapshot{DB: openDB(t, db), Table: products, Station: stationA}).Rows(t.Context(), nil)
		if err != nil || len(found) != 1 || string(found[0].Payload) != string(want) {
			t.Fatalf("%s, want %s: %v", found, want, err)
		}
	})
}

// silent is a way to a server that can fall silent without closing.
type silent struct {
	address string
	came    chan struct{} // closed when somebody connects
	hush    chan struct{} // closed: nothing goes through any more
}

func newSilent(t *testing.T, to string) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &silent{address: l.Addr().String(), came: make(chan struct{}), hush: make(chan struct{})}
	came := sync.OnceFunc(func() { close(s.came) })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			came()
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			go s.carry(in, out)
			go s.carry(out, in)
		}
	}()
	return s
}

func (s *silent) carry(from, to net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		select {
		case <-s.hush:
			return
		default:
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}

// A server that falls silent is noticed; and Run ends at once when asked, at whatever point the silence began.
func TestASilentServer(t *testing.T) {
	db := servers.MariaDB(t)
	s := source(t, db, Auto)
	from := start(t, s)
	for _, c := range []struct {
		name        string
		before, ask bool
		within      time.Duration
	}{
		{"noticed while reading", false, false, 30 * time.Second},
		{"noticed while connecting", true, false, 30 * time.Second},
		{"asked while reading", false, true, readTimeout / 2},
		{"asked while connecting", true, true, readTimeout / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			way := newSilent(t, db.Addr)
			if c.before {
				close(way.hush)
			}
			s := source(t, db, Auto)
			host, port, err := net.SplitHostPort(way.address)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			s.host, s.port = host, uint16(n)
			s.cfg.Station = c.name
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			reading := make(chan struct{}, 100)
			go func() {
				done <- s.Run(ctx, from, nil, func(capture.Tx) error { reading <- struct{}{}; return nil })
			}()
			if c.before {
				<-way.came
			} else {
				<-reading
				close(way.hush)
			}
			began := time.Now()
			if c.ask {
				cancel()
			}
			select {
			case err := <-done:
				if err == nil || errors.Is(err, capture.ErrGap) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(c.within):
				t.Errorf("nothing happened in %v", time.Since(began))
			}
		})
	}
}
