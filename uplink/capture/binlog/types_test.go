package binlog

import (
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

var typeSpec = &capture.Spec{Schema: "external", Name: "kinds", Key: []string{"hash"}, Station: "station"}

const lax = "SET sql_mode = 'ALLOW_INVALID_DATES'"

// typeTable makes the table and gives the JSON of its row.
func typeTable(t *testing.T, db *servers.Database) string {
	columns, values, want := capturetest.Kinds(db.Flavor, stationA)
	db.Exec(t, lax, "SET time_zone = '+00:00'",
		"CREATE TABLE `external`.kinds ("+columns+") CHARACTER SET utf8mb4",
		"GRANT SELECT ON `external`.kinds TO '"+servers.CaptureUser+"'@'%'",
		"INSERT INTO `external`.kinds VALUES ("+values+")")
	return want
}

// TestTheSameRowGivesTheSameBytes holds the golden table of types: read from the log, with every kind of description of
// the columns in it, and read by SELECT, whatever the session's time zone.
func TestTheSameRowGivesTheSameBytes(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto, typeSpec)
		from := start(t, s)
		want := typeTable(t, db)
		for _, metadata := range []string{"MINIMAL", "FULL", "NO_LOG"} {
			if metadata == "NO_LOG" && db.Flavor == "mysql" {
				continue
			}
			if metadata != "MINIMAL" {
				db.Exec(t, lax, "SET GLOBAL binlog_row_metadata = '"+metadata+"'", "CREATE TABLE `external`.again LIKE `external`.kinds",
					"INSERT INTO `external`.again SELECT * FROM `external`.kinds", "DELETE FROM `external`.kinds")
				from = start(t, s)
				db.Exec(t, lax, "INSERT INTO `external`.kinds SELECT * FROM `external`.again", "DROP TABLE `external`.again")
			}
			txs := mustFollow(t, s, from, "end")
			row := txs[len(txs)-1].Rows[0]
			got, err := row.Table.AppendPayload(nil, row.After)
			if err != nil {
				t.Fatal(err)
			}
			capturetest.Same(t, "the log with metadata "+metadata, string(got), want)
		}
		for _, zone := range []string{"+00:00", "SYSTEM", "-05:00"} {
			session, err := openDB(t, db).Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if _, err := session.ExecContext(t.Context(), "SET time_zone = '"+zone+"'"); err != nil {
				t.Fatal(err)
			}
			snapshot := capture.Snapshot{DB: session, Table: typeSpec, Station: stationA}
			found, err := snapshot.Rows(t.Context(), []string{"end", "nobody"})
			if err != nil || len(found) != 1 {
				t.Fatalf("found %d rows: %v", len(found), err)
			}
			if found[0].ID != "end" || found[0].Place != stationA {
				t.Errorf("found %s at %s", found[0].ID, found[0].Place)
			}
			capturetest.Same(t, "SELECT in time zone "+zone, string(found[0].Payload), want)
		}
	})
}
