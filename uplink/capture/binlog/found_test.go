package binlog

import (
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

// A sweep comes to its end though the log began a new file and nobody writes.
func TestASweepOnAnIdleServerEnds(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		for _, mode := range []Mode{ByGTID, ByPosition} {
			t.Run(string(mode), func(t *testing.T) {
				makeCatalog(t, db, 6000)
				store := &capturetest.Store{}
				s := source(t, db, mode, catalog)
				s.cfg.Known = store.ShadowIDs
				_, stop := startOn(t, s, store, catalog)
				defer stop()
				db.Exec(t, "FLUSH BINARY LOGS")
				sourcetest.Swept(t, store)
			})
		}
	})
}
