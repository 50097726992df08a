// Package mixed puts stations beside each other that find the changes of one table by different ways, and holds that each
// change has one owner.
package mixed

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/capture/sourcetest"
)

const (
	stationA = "0a000000-0000-4000-8000-00000000000a" // by the log, with GTIDs
	stationB = "0b000000-0000-4000-8000-00000000000b" // by polling
	stationC = "0c000000-0000-4000-8000-00000000000c" // by the log, with files and positions
)

var products = capture.Buylo("external")

// station is one of them.
type station struct {
	uuid  string
	way   string
	store capturetest.Store
	stop  func()
}

func (s *station) source(t testing.TB, db *servers.Database) (capture.Source, error) {
	pool := db.Open(t, servers.CaptureUser, servers.CapturePassword)
	if s.way == "polling" {
		return poll.New(poll.Config{DB: pool, Table: products, Station: s.uuid, Shadow: &s.store, Every: 30 * time.Millisecond})
	}
	return binlog.New(binlog.Config{
		Address: db.Addr, User: servers.CaptureUser, Password: func() (string, error) { return servers.CapturePassword, nil },
		DB: pool, Tables: []*capture.Spec{products}, Mode: binlog.Mode(s.way), Station: s.uuid, Version: "test",
	})
}

func (s *station) start(t testing.TB, db *servers.Database) {
	t.Helper()
	source, err := s.source(t, db)
	if err != nil {
		t.Fatal(err)
	}
	_, s.stop = sourcetest.Start(t, source, &s.store, s.uuid, products)
}

// Rows wander between three stations that find changes in three ways, while the stations are restarted. In the end the last
// record of each row is what its row is, one station speaks for it, and no key comes twice anywhere. A change that a station
// owns which reads the log has exactly one record; of one that the poller owns each state that stayed.
func TestThreeStationsByDifferentWays(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		run := func(statement string, args ...any) {
			t.Helper()
			if _, err := db.Root().ExecContext(t.Context(), statement, args...); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		all := []*station{{uuid: stationA, way: "gtid"}, {uuid: stationB, way: "polling"}, {uuid: stationC, way: "position"}}
		for _, s := range all {
			s.start(t, db)
		}
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		owned := make(map[string]int) // changes by the station that owns them
		place := make(map[string]string)
		for n := range 300 {
			id := fmt.Sprintf("row-%d", r.IntN(8))
			was, there := place[id]
			switch k := r.IntN(10); {
			case !there:
				to := all[r.IntN(3)].uuid
				run("INSERT INTO `external`.buylo_products (hash, buylo_name, buylo_active_packing_station_uuid) VALUES (?, ?, ?)", id, fmt.Sprint(n), to)
				place[id] = to
				owned[to]++
			case k < 5:
				run("UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = ?", fmt.Sprintf("PKG-%d", n), id)
				owned[was]++
			case k < 9:
				to := all[r.IntN(3)].uuid
				run("UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ?, external_package_id = ? WHERE hash = ?", to, fmt.Sprintf("PKG-%d", n), id)
				place[id] = to
				owned[to]++
			default:
				run("DELETE FROM `external`.buylo_products WHERE hash = ?", id)
				delete(place, id)
				owned[was]++
			}
			if n%60 == 59 {
				s := all[r.IntN(3)]
				s.stop()
				s.start(t, db)
			}
			time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond) // so that the poller sees some of the states between
		}
		settled := func() (string, bool) {
			why := disagreement(t, db, all, owned)
			return why, why == ""
		}
		capturetest.Until(t, settled)
		time.Sleep(2 * time.Second) // nothing tells that no record follows: for one too many
		if why, ok := settled(); !ok {
			t.Fatal(why)
		}
		run("DELETE FROM `external`.buylo_products")
	})
}

// disagreement tells what is not as it should be, "" for nothing.
func disagreement(t *testing.T, db *servers.Database, all []*station, owned map[string]int) string {
	t.Helper()
	keys := make(map[string]bool)
	for _, s := range all {
		changes := 0
		for _, rec := range s.store.Records() {
			if keys[rec.Key] {
				return "the key " + rec.Key + " came twice"
			}
			keys[rec.Key] = true
			if strings.HasPrefix(rec.Key, "b:") {
				changes++
			}
		}
		if want := owned[s.uuid]; s.way != "polling" && changes != want {
			return fmt.Sprintf("%s owns %d changes and has records of %d", s.way, want, changes)
		}
	}
	table, err := capture.ReadTable(t.Context(), db.Root(), products)
	if err != nil {
		t.Fatal(err)
	}
	shadows := make(map[string]map[string]record.ShadowRow)
	for _, s := range all {
		if shadows[s.uuid], err = s.store.Shadow(products.Collection(), ids()); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids() {
		snapshot := capture.Snapshot{DB: db.Root(), Table: products}
		found, err := snapshot.Those(t.Context(), table, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		holders := 0
		for _, s := range all {
			if row, ok := shadows[s.uuid][id]; ok {
				holders++
				if len(found) == 1 && string(row.Payload) != string(found[0].Payload) {
					return fmt.Sprintf("%s holds %s as %s, and it is %s", s.way, id, row.Payload, found[0].Payload)
				}
			}
		}
		if holders != len(found) {
			return fmt.Sprintf("%d stations hold %s, of which there are %d", holders, id, len(found))
		}
	}
	return ""
}

func ids() (list []string) {
	for n := range 8 {
		list = append(list, fmt.Sprintf("row-%d", n))
	}
	return list
}
