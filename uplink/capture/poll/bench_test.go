package poll

import (
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

func insert(hash, station string) string {
	if station != "NULL" {
		station = "'" + station + "'"
	}
	return "INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) VALUES ('" + hash + "', " + station + ")"
}

func pack(hash, value string) string {
	return "UPDATE `external`.buylo_products SET external_package_id = " + value + " WHERE hash = '" + hash + "'"
}

func move(hash, station string) string {
	if station != "NULL" {
		station = "'" + station + "'"
	}
	return "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = " + station + " WHERE hash = '" + hash + "'"
}

const packed = "external_package_id"

func TestStatesOnTheStationBecomeRecords(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		run(t, db, "DELETE FROM `external`.buylo_products", insert("a", stationA), insert("b", stationB), insert("c", "NULL"))
		r := newRig(t, db, capture.Buylo("external"))
		want := []string{"upsert a null"}
		expect := func(line ...string) {
			t.Helper()
			want = append(want, line...)
			r.want(packed, want...)
		}
		expect()
		run(t, db, pack("a", "'PKG-1'"))
		expect("update a PKG-1")
		run(t, db, move("b", stationA))
		expect("upsert b null")
		run(t, db, move("a", "NULL")) // it leaves: still ours
		expect("update a PKG-1")
		run(t, db, pack("a", "NULL")) // and is seen where it stands nowhere
		expect("update a null")
		run(t, db, move("b", stationB)) // the other station speaks for it
		run(t, db, pack("b", "'PKG-2'"), insert("d", stationA))
		expect("upsert d null")
		run(t, db, "DELETE FROM `external`.buylo_products WHERE hash = 'd'")
		expect("delete d null", "gap")
		run(t, db, "DELETE FROM `external`.buylo_products WHERE hash = 'a'")
		expect("delete a null", "gap")
		for _, rec := range r.store.Records() {
			if rec.Collection == capture.Gaps && !strings.Contains(string(rec.Payload), `"reason":"observed missing"`) {
				t.Errorf("%s", rec.Payload)
			}
		}
		versions(t, r.store.Records())
	})
}

// versions holds that the versions of each row rise.
func versions(t testing.TB, records []record.Record) {
	t.Helper()
	last := make(map[string]string)
	for _, rec := range records {
		id := rec.Collection + "/" + rec.ID
		if was := last[id]; len(was) > len(rec.Version) || len(was) == len(rec.Version) && was >= rec.Version {
			t.Errorf("%s: version %s after %s", id, rec.Version, was)
		}
		last[id] = rec.Version
	}
}

func TestWhatHappenedWhilePollingStoodStillIsFound(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		run(t, db, "DELETE FROM `external`.buylo_products",
			insert("a", stationA), insert("b", stationA), insert("c", stationA), insert("d", stationA))
		r := newRig(t, db, capture.Buylo("external"))
		run(t, db, move("d", "NULL"))
		r.until(func() (string, bool) { return "d didn't leave", len(r.records(record.Update)) == 1 })
		r.restart("DELETE FROM `external`.buylo_products WHERE hash = 'a'", move("b", "NULL"), pack("c", "'PKG-1'"), pack("d", "'PKG-2'"), insert("e", stationA))
		r.until(func() (string, bool) {
			got := strings.Join(r.lines(packed), "\n")
			for _, line := range []string{"delete a null", "update b null", "update c PKG-1", "update d PKG-2", "upsert e null"} {
				if !strings.Contains(got, line) {
					return "no " + line + " in\n" + got, false
				}
			}
			return got, true
		})
		before := len(r.store.Records())
		r.restart() // and nothing is found twice
		run(t, db, insert("f", stationA))
		r.until(func() (string, bool) {
			return "no f", strings.HasSuffix(strings.Join(r.lines(packed), "\n"), "upsert f null")
		})
		if got := len(r.store.Records()); got != before+1 {
			t.Errorf("%d records more after a start without changes:\n%s", got-before-1, strings.Join(r.lines(packed), "\n"))
		}
		versions(t, r.store.Records())
	})
}

// A row that goes to and fro within a second of its clock has a key for each state that was seen.
func TestToAndFroWithinASecond(t *testing.T) {
	db := servers.MariaDB(t)
	fixed := "UPDATE `external`.buylo_products SET updated_at = '2026-01-01 00:00:00', external_package_id = "
	run(t, db, "DELETE FROM `external`.buylo_products", insert("a", stationA), fixed+"'A'")
	r := newRig(t, db, capture.Buylo("external"))
	want := []string{"upsert a A"}
	r.want(packed, want...)
	for _, value := range []string{"B", "A", "B", "A"} {
		run(t, db, fixed+"'"+value+"'")
		want = append(want, "update a "+value)
		r.want(packed, want...)
	}
	versions(t, r.store.Records())
}

// A column that is added or dropped is no change of the rows; what changes beside it is.
func TestATableIsAltered(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		run(t, db, "DELETE FROM `external`.buylo_products", insert("a", stationA), insert("b", stationA))
		r := newRig(t, db, capture.Buylo("external"))
		r.want(packed, "upsert a null", "upsert b null")
		r.restart("ALTER TABLE `external`.buylo_products ADD COLUMN note VARCHAR(10) DEFAULT 'x'", pack("b", "'PKG-1'"))
		r.want(packed, "upsert a null", "upsert b null", "update b PKG-1")
		if last := r.store.Records()[2]; !strings.Contains(string(last.Payload), `"note":"x"`) {
			t.Errorf("%s", last.Payload)
		}
		run(t, db, "UPDATE `external`.buylo_products SET note = 'y' WHERE hash = 'a'") // the Shadow has the new column by now
		r.want("note", "upsert a", "upsert b", "update b x", "update a y")
		run(t, db, "ALTER TABLE `external`.buylo_products DROP COLUMN note")
	})
}
