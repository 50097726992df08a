package binlog

import (
	"testing"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// semiSync makes the next commit wait for a replica that isn't there, between the log and the engine.
func semiSync(t *testing.T, db *servers.Database) {
	t.Helper()
	if db.Flavor == "mariadb" {
		db.Exec(t, "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'", "SET GLOBAL rpl_semi_sync_master_timeout = 3000",
			"SET GLOBAL rpl_semi_sync_master_enabled = OFF", "SET GLOBAL rpl_semi_sync_master_enabled = ON")
		return
	}
	plugins, err := (&Source{}).list(t.Context(), db.Root(), "SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'rpl_semi_sync_source'")
	if err != nil {
		t.Fatal(err)
	}
	if len(plugins) == 0 {
		db.Exec(t, "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
	}
	db.Exec(t, "SET GLOBAL rpl_semi_sync_source_timeout = 3000",
		"SET GLOBAL rpl_semi_sync_source_enabled = OFF", "SET GLOBAL rpl_semi_sync_source_enabled = ON")
}

// logged waits until the log is longer than it was.
func logged(t *testing.T, db *servers.Database, was string) string {
	t.Helper()
	question := "SHOW BINLOG STATUS"
	if db.Flavor == "mysql" {
		question = "SHOW BINARY LOG STATUS"
	}
	is := was
	capturetest.Until(t, func() (string, bool) {
		end, err := (&Source{}).list(t.Context(), db.Root(), question)
		if err != nil {
			t.Fatal(err)
		}
		is = end[0][1]
		return "nothing was written to the log", is != was
	})
	return is
}

// A transaction that is in the log and not yet in the engine is in the snapshot or behind its position.
func TestASnapshotMissesNoCommit(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				db.Exec(t, "DELETE FROM `external`.buylo_products", insert("gone", stationA), insert("moved", stationB))
				s := source(t, db, mode)
				semiSync(t, db)
				was := logged(t, db, "")
				done := make(chan struct{})
				go func() {
					defer close(done)
					db.Exec(t, "BEGIN", insert("new", stationA), "DELETE FROM `external`.buylo_products WHERE hash = 'gone'",
						"UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = '"+stationA+"' WHERE hash = 'moved'", "COMMIT")
				}()
				logged(t, db, was)
				var seen int
				if err := db.Root().QueryRow("SELECT COUNT(*) FROM `external`.buylo_products WHERE hash = 'new'").Scan(&seen); err != nil || seen != 0 {
					t.Fatalf("the commit didn't wait: %d, %v", seen, err)
				}
				p, found, err := s.Snapshot(t.Context(), []capture.Want{{Table: products, IDs: []string{"gone"}}}, "run")
				if err != nil {
					t.Fatal(err)
				}
				<-done
				mark(t, db, "end")
				rows := make(map[string]bool)
				for _, state := range found {
					rows[state.ID] = true
				}
				for _, tx := range mustFollow(t, s, p, "end") {
					for _, row := range tx.Rows {
						switch {
						case row.Op == record.Delete:
							delete(rows, row.Table.ID(row.Before))
						case row.Table.Place(row.After) == stationA:
							rows[row.Table.ID(row.After)] = true
						}
					}
				}
				if len(rows) != 2 || !rows["new"] || !rows["moved"] {
					t.Errorf("snapshot and log make %v", rows)
				}
			})
		}
	})
}

// A snapshot leaves nothing behind: no transaction, no lock, no setting; and it needs one connection only.
func TestASnapshotLeavesNothingBehind(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, insert("a", stationA))
		for _, mode := range []Mode{ByGTID, ByPosition} {
			s := source(t, db, mode)
			s.cfg.DB.SetMaxOpenConns(1)
			for range 2 {
				if _, found, err := s.Snapshot(t.Context(), []capture.Want{{Table: products, IDs: []string{"a"}}}, "run"); err != nil || len(found) != 1 {
					t.Fatalf("%v: %v", found, err)
				}
			}
			db.Exec(t, "SET SESSION innodb_lock_wait_timeout = 1", "DELETE FROM `external`.buylo_products", insert("a", stationA))
			var seconds int
			if err := s.cfg.DB.QueryRow("SELECT @@innodb_lock_wait_timeout").Scan(&seconds); err != nil || seconds != 50 {
				t.Errorf("%d s: %v", seconds, err)
			}
		}
	})
}
