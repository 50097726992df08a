package binlog

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// A server that waits for a reader whose store is full ends the connection some time. Nobody connects again until the
// store takes what was read; then everything comes, once, and the trouble was one.
func TestAFullStoreDoesNotReadAgain(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, "SET GLOBAL net_write_timeout = 1", "CREATE TABLE `external`.bulk (n INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)")
		var refuse atomic.Bool
		store := &capturetest.Store{Fail: func(record.Group) error {
			if refuse.Load() {
				return errors.New("the store is full")
			}
			return nil
		}}
		cond, stop := startRunner(t, source(t, db, Auto), store)
		db.Exec(t, insert("first", stationA))
		until(t, store, "first", cond)
		refuse.Store(true)
		db.Exec(t, insert("held", stationA))
		capturetest.Until(t, func() (string, bool) {
			alarms, _ := cond.Alarms()
			return "no alarm", alarms > 0
		})
		for range 500 { // so many are read ahead, however small
			db.Exec(t, "INSERT INTO `external`.bulk (b) VALUES ('x')")
		}
		for range 200 { // more than the buffers on the way hold
			db.Exec(t, "INSERT INTO `external`.bulk (b) VALUES (REPEAT('x', 300000))")
		}
		db.Exec(t, insert("end", stationA))
		last := time.Now() // that somebody read the log: nobody connects again for two seconds
		capturetest.Until(t, func() (string, bool) {
			if len(dumps(t, db)) > 0 {
				last = time.Now()
			}
			return "the server doesn't end the connection", time.Since(last) > 2*time.Second
		})
		refuse.Store(false)
		until(t, store, "end", cond)
		same(t, got(store.Records()), []string{"insert first -", "insert held -", "insert end -"})
		lost, _ := cond.Said()
		if alarms, _ := cond.Alarms(); alarms != 1 || !slices.ContainsFunc(lost, func(s string) bool { return s == "store changes: the store is full" }) {
			t.Errorf("%d alarms: %q", alarms, lost)
		}
		stop()
	})
}
