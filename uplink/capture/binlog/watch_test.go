package binlog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
)

// A stream that gets nothing while the log grows is stuck, and so is one whose log ends before what was read; one that is idle,
// busy or waits for us is not, and a busy one asks nothing.
func TestWatch(t *testing.T) {
	const rest, grows, anew, busy, waits, late = "rest", "grows", "anew", "busy", "waits", "late"
	for _, how := range []string{rest, grows, anew, busy, waits, late} {
		synctest.Test(t, func(t *testing.T) {
			w, asked, pos := &watch{}, 0, uint64(4)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			go func() {
				if how == anew {
					w.beat(place{"log.1", 100})
				}
				for n := 1; ctx.Err() == nil; n++ {
					time.Sleep(time.Second)
					w.note(&replication.EventHeader{EventType: replication.HEARTBEAT_EVENT})
					if how == busy || how == late && n%90 == 0 {
						w.note(&replication.EventHeader{EventType: replication.XID_EVENT})
					}
					w.inside.Store(how == waits)
				}
			}()
			began := time.Now()
			err := w.run(ctx, time.Minute, func(context.Context) (place, error) {
				asked++
				if how != rest {
					pos++
				}
				return place{"log.1", pos}, nil
			})
			took := time.Since(began)
			cancel()
			time.Sleep(2 * time.Second) // the other one ends
			if stuck := err != nil; stuck != (how == grows || how == anew) || stuck && (took > 4*time.Minute || !strings.Contains(err.Error(), "log.1:")) {
				t.Errorf("%s: after %v: %v", how, took, err)
			}
			if how == anew && (took > 20*time.Second || !errors.Is(err, errWentBack)) {
				t.Errorf("a log that was begun anew is noticed after %v: %v", took, err)
			}
			if most := map[string]int{rest: 60, grows: 2, anew: 1, late: 80}[how]; asked > most {
				t.Errorf("%s: asked %d times", how, asked)
			}
		})
	}
}

// A stream that is stuck ends with an error, and the next one gives no sign of life until something comes.
func TestAStreamThatIsStuck(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from, pos := start(t, s), uint64(0)
		s.look = 100 * time.Millisecond
		s.ends = func(context.Context) (place, error) { pos++; return place{"log.1", pos}, nil }
		signs := 0
		for range 2 {
			signs = 0
			err := s.Run(t.Context(), from, nil, func(capture.Tx) error { signs++; return nil })
			if err == nil || !strings.Contains(err.Error(), "connected, but nothing comes") {
				t.Error(err)
			}
		}
		if signs > 0 {
			t.Error("the next stream says that all is well")
		}
		mark(t, db, "end")
		mustFollow(t, s, from, "end")
		if s.stuck.Load() {
			t.Error("what comes through ends nothing")
		}
	})
}

// The questions go to one server and the log comes from another one, as behind a proxy that balances: that is said.
func TestTwoServersBehindOneAddress(t *testing.T) {
	asked, other := servers.MariaDB(t), servers.MariaDB(t)
	s := source(t, asked, ByPosition)
	from := start(t, s)
	s.through(t, other.Addr)
	if _, err := follow(t, s, from, "end"); err == nil || !strings.Contains(err.Error(), "leads to two servers") {
		t.Error(err)
	}
}
