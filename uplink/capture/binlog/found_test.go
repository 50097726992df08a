package binlog

import (
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
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
				run(t, db, "FLUSH BINARY LOGS")
				var p record.Position
				for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
					if p, _ = store.Position(); !p.Zero() && p.Sweep == "" {
						return
					}
				}
				t.Errorf("after 20 s it still sweeps: %+v, %d records", p, len(store.Records()))
			})
		}
	})
}
