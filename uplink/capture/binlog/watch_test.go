package binlog

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
)

// A stream that gets nothing while the log grows is stuck; one that is idle, busy or waits for us is not, and a busy one
// asks nothing.
func TestWatch(t *testing.T) {
	const rest, grows, busy, waits, late = "rest", "grows", "busy", "waits", "late"
	for _, how := range []string{rest, grows, busy, waits, late} {
		synctest.Test(t, func(t *testing.T) {
			w, asked, pos := &watch{}, 0, uint64(4)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			go func() {
				for n := 1; ctx.Err() == nil; n++ {
					time.Sleep(time.Second)
					w.note(&replication.HeartbeatEvent{})
					if how == busy || how == late && n%90 == 0 {
						w.note(&replication.XIDEvent{})
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
			if stuck := err != nil; stuck != (how == grows) || stuck && (took > 4*time.Minute || !strings.Contains(err.Error(), "log.1:6")) {
				t.Errorf("%s: after %v: %v", how, took, err)
			}
			if most := map[string]int{rest: 60, grows: 2, late: 60}[how]; asked > most {
				t.Errorf("%s: asked %d times", how, asked)
			}
		})
	}
}

// The questions go to one server and the log comes from another one, as behind a proxy that balances: that is said.
func TestAStreamThatIsStuck(t *testing.T) {
	asked, silent := servers.MariaDB(t), servers.MariaDB(t)
	s := source(t, asked, ByPosition)
	from, other := start(t, s), start(t, source(t, silent, ByPosition))
	if from.File != other.File || from.Pos != other.Pos {
		t.Fatalf("the logs differ: %+v, %+v", from, other)
	}
	s.through(t, silent.Addr)
	s.look = 300 * time.Millisecond
	_, err := follow(t, s, from, "end", func() {
		for range 5 {
			mark(t, asked, "busy")
			run(t, asked, "DELETE FROM `external`.buylo_products")
			time.Sleep(200 * time.Millisecond)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "connected, but nothing comes") {
		t.Error(err)
	}
}
