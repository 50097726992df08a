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
		db.Exec(t, "DELETE FROM `external`.buylo_products", insert("a", stationA), insert("b", stationB), insert("c", "NULL"))
		r := newRig(t, db, capture.Buylo("external"))
		want := []string{"upsert a null"}
		expect := func(line ...string) {
			t.Helper()
			want = append(want, line...)
			r.Want(packed, want...)
		}
		expect()
		db.Exec(t, pack("a", "'PKG-1'"))
		expect("update a PKG-1")
		db.Exec(t, move("b", stationA))
		expect("upsert b null")
		db.Exec(t, move("a", "NULL")) // it leaves: still ours
		expect("update a PKG-1")
		db.Exec(t, pack("a", "NULL")) // and is seen where it stands nowhere
		expect("update a null")
		db.Exec(t, move("b", stationB)) // the other station speaks for it
		db.Exec(t, pack("b", "'PKG-2'"), insert("d", stationA))
		expect("upsert d null")
		db.Exec(t, "DELETE FROM `external`.buylo_products WHERE hash = 'd'")
		expect("delete d null", "gap")
		db.Exec(t, "DELETE FROM `external`.buylo_products WHERE hash = 'a'")
		expect("delete a null", "gap")
		for _, rec := range r.Store.Records() {
			if rec.Collection == capture.Gaps && !strings.Contains(string(rec.Payload), `"reason":"observed missing"`) {
				t.Errorf("%s", rec.Payload)
			}
		}
		r.Told()
	})
}

func TestWhatHappenedWhilePollingStoodStillIsFound(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, "DELETE FROM `external`.buylo_products",
			insert("a", stationA), insert("b", stationA), insert("c", stationA), insert("d", stationA))
		r := newRig(t, db, capture.Buylo("external"))
		db.Exec(t, move("d", "NULL"))
		r.Until(func() (string, bool) { return "d didn't leave", r.Of(record.Update) == 1 })
		r.restart("DELETE FROM `external`.buylo_products WHERE hash = 'a'", move("b", "NULL"), pack("c", "'PKG-1'"), pack("d", "'PKG-2'"), insert("e", stationA))
		r.Until(func() (string, bool) {
			got := strings.Join(r.Lines(packed), "\n")
			for _, line := range []string{"delete a null", "update b null", "update c PKG-1", "update d PKG-2", "upsert e null"} {
				if !strings.Contains(got, line) {
					return "no " + line + " in\n" + got, false
				}
			}
			return got, true
		})
		before := len(r.Store.Records())
		r.restart() // and nothing is found twice
		db.Exec(t, insert("f", stationA))
		r.Until(func() (string, bool) {
			return "no f", strings.HasSuffix(strings.Join(r.Lines(packed), "\n"), "upsert f null")
		})
		if got := len(r.Store.Records()); got != before+1 {
			t.Errorf("%d records more after a start without changes:\n%s", got-before-1, strings.Join(r.Lines(packed), "\n"))
		}
		r.Told()
	})
}

// A row that goes to and fro within a second of its clock has a key for each state that was seen.
func TestToAndFroWithinASecond(t *testing.T) {
	db := servers.MariaDB(t)
	fixed := "UPDATE `external`.buylo_products SET updated_at = '2026-01-01 00:00:00', external_package_id = "
	db.Exec(t, "DELETE FROM `external`.buylo_products", insert("a", stationA), fixed+"'A'")
	r := newRig(t, db, capture.Buylo("external"))
	want := []string{"upsert a A"}
	r.Want(packed, want...)
	for _, value := range []string{"B", "A", "B", "A"} {
		db.Exec(t, fixed+"'"+value+"'")
		want = append(want, "update a "+value)
		r.Want(packed, want...)
	}
	r.Told()
}

// A column that is added or dropped is no change of the rows; what changes beside it is.
func TestATableIsAltered(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, "DELETE FROM `external`.buylo_products", insert("a", stationA), insert("b", stationA))
		r := newRig(t, db, capture.Buylo("external"))
		r.Want(packed, "upsert a null", "upsert b null")
		r.restart("ALTER TABLE `external`.buylo_products ADD COLUMN note VARCHAR(10) DEFAULT 'x'", pack("b", "'PKG-1'"))
		r.Want(packed, "upsert a null", "upsert b null", "update b PKG-1")
		if last := r.Store.Records()[2]; !strings.Contains(string(last.Payload), `"note":"x"`) {
			t.Errorf("%s", last.Payload)
		}
		db.Exec(t, "UPDATE `external`.buylo_products SET note = 'y' WHERE hash = 'a'") // the Shadow has the new column by now
		r.Want("note", "upsert a", "upsert b", "update b x", "update a y")
		db.Exec(t, "ALTER TABLE `external`.buylo_products DROP COLUMN note")
	})
}
