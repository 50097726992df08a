package queue

import (
	"fmt"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// Entries are read a few at a time where they are large, and columns that are left out not at all.
func TestLargeEntriesAreReadAFewAtATime(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		const entries, size = 60, 1 << 20
		for _, exclude := range [][]string{nil, {"data"}} {
			spec := &capture.Spec{Schema: "product_catalog", Name: "pictures", Key: []string{"id"}, Exclude: exclude}
			db.Exec(t, "DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
				"CREATE TABLE product_catalog.pictures (id INT UNSIGNED PRIMARY KEY, data LONGBLOB)")
			install(t, db, spec)
			for i := range entries {
				db.Exec(t, fmt.Sprintf("INSERT INTO product_catalog.pictures VALUES (%d, REPEAT('x', %d))", i, size))
			}
			s, err := New(Config{DB: openDB(t, db), Table: spec, Queue: DefaultName(spec), Station: station, Stored: (&capturetest.Store{}).Position})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := s.cfg.DB.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			reader, err := s.open(t.Context(), conn)
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := reader.entries(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if exclude == nil && (len(list) == 0 || len(list) > 8) || exclude != nil && len(list) != entries {
				t.Errorf("%d entries at once, without %v", len(list), exclude)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			var sent int
			var name string
			if err := s.cfg.DB.QueryRow("SHOW SESSION STATUS LIKE 'Bytes_sent'").Scan(&name, &sent); err != nil {
				t.Fatal(err)
			}
			if exclude != nil && sent > 100_000 {
				t.Errorf("%d bytes were sent", sent)
			}
		}
	})
}
