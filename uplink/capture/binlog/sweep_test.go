package binlog

import (
	"testing"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

var catalog = &capture.Spec{Schema: "product_catalog", Name: "products", Key: []string{"shop", "id"}}

func makeCatalog(t *testing.T, db *servers.Database, n int) {
	t.Helper()
	db.Exec(t, sourcetest.Catalog("")...)
	db.Exec(t, sourcetest.Rows(n), "GRANT SELECT ON product_catalog.* TO '"+servers.CaptureUser+"'@'%'")
}

// A table of any size is read beside its changes, also while the agent is restarted and after a gap: in the end the records
// tell what the table holds.
func TestATableIsSweptBesideItsChanges(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				makeCatalog(t, db, 4000)
				store := &capturetest.Store{}
				begin := func() (stop func()) {
					s := source(t, db, mode, catalog)
					s.cfg.Known = store.ShadowIDs
					_, stop = startOn(t, s, store, catalog)
					return stop
				}
				busy := sourcetest.Work(t, db.Root(), 4000, 2, 60)
				stop := begin()
				for n := range 3 {
					busy.Did(30 * (n + 1)) // of 120
					stop()
					stop = begin()
				}
				busy.Wait()
				db.Exec(t, "INSERT INTO product_catalog.products VALUES ('end', 1, 'end')")
				sourcetest.Agrees(t, db.Root(), catalog, store)
				stop()

				db.Exec(t, "UPDATE product_catalog.products SET name = 'unseen' WHERE id < 30", "DELETE FROM product_catalog.products WHERE shop = 'end'")
				store.Salvage(record.Position{Flavor: "mysql", Server: "another", File: "gone.000001", Pos: 4, Tables: "products"}, "")
				stop = begin()
				sourcetest.Agrees(t, db.Root(), catalog, store)
				stop()
				gaps := 0
				for _, rec := range store.Records() {
					if rec.Collection == capture.Gaps {
						gaps++
					}
				}
				if gaps != 1 {
					t.Errorf("%d gaps were recorded", gaps)
				}
			})
		}
	})
}

func TestPassed(t *testing.T) {
	for _, c := range []struct {
		read gtids
		at   record.Position
		end  record.Position
		want bool
	}{
		{nil, record.Position{File: "b.000009", Pos: 10}, record.Position{File: "b.000009", Pos: 10}, true},
		{nil, record.Position{File: "b.000009", Pos: 9}, record.Position{File: "b.000009", Pos: 10}, false},
		{nil, record.Position{File: "b.000010", Pos: 4}, record.Position{File: "b.000009", Pos: 10}, true},
		{nil, record.Position{File: "b.999999", Pos: 4}, record.Position{File: "b.1000000", Pos: 4}, false},
		{mustParse(t, "mariadb", "0-1-5,1-1-7"), record.Position{}, record.Position{GTID: "0-1-5"}, true},
		{mustParse(t, "mariadb", "0-1-5,1-1-7"), record.Position{}, record.Position{GTID: "0-2-6"}, false},
		{mustParse(t, "mariadb", "0-1-5"), record.Position{}, record.Position{GTID: "0-1-5,1-1-1"}, false},
		{mustParse(t, "mysql", stationA+":1-5:7"), record.Position{}, record.Position{GTID: stationA + ":1-3:7"}, true},
		{mustParse(t, "mysql", stationA+":1-5:7"), record.Position{}, record.Position{GTID: stationA + ":1-6"}, false},
		{mustParse(t, "mysql", stationA+":1-5"), record.Position{}, record.Position{GTID: stationA + ":1-5," + stationB + ":1"}, false},
	} {
		s := &stream{read: c.read, here: place{c.at.File, c.at.Pos}}
		if got := s.past(c.end); got != c.want {
			t.Errorf("%v %v has passed %v: %v", c.read, c.at, c.end, got)
		}
	}
}

func mustParse(t *testing.T, flavor, text string) gtids {
	t.Helper()
	g, err := parseGTIDs(flavor, text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
