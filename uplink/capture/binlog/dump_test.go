package binlog

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
)

// reading runs a source until stop is called, and returns when it reads and its connection is noted.
func reading(t *testing.T, s *Source, from record.Position) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, signs := make(chan error, 1), make(chan struct{}, 1000)
	var old dump
	_, _ = recall(s.cfg.Memory, dumpNote, &old)
	go func() {
		done <- s.Run(ctx, from, nil, func(capture.Tx) error { signs <- struct{}{}; return nil })
	}()
	select {
	case <-signs:
	case err := <-done:
		t.Fatal(err)
	}
	capturetest.Until(t, func() (string, bool) {
		now := old
		_, _ = recall(s.cfg.Memory, dumpNote, &now)
		return fmt.Sprintf("no connection is noted but %+v", old), now.Thread != old.Thread
	})
	return func() { cancel(); <-done }
}

func (s *Source) through(t *testing.T, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	s.host, s.port = host, uint16(n)
}

// settles waits until the server's dumps are these.
func settles(t *testing.T, db *servers.Database, want ...string) {
	t.Helper()
	slices.Sort(want)
	capturetest.Until(t, func() (string, bool) {
		now := dumps(t, db)
		slices.Sort(now)
		return fmt.Sprintf("dumps %v, want %v", now, want), slices.Equal(now, want)
	})
}

func noted(t *testing.T, m Memory) dump {
	t.Helper()
	var d dump
	if known, err := recall(m, dumpNote, &d); !known || err != nil || d.Thread == "" {
		t.Fatalf("no connection is noted: %+v %v", d, err)
	}
	return d
}

// The dump that a broken link left behind is ended by the next stream; others of the same user, and what has its number
// after the server began anew, are left alone.
func TestAStaleDumpIsEnded(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		from := start(t, source(t, db, Auto))
		ours, theirs := &volatile{}, &volatile{}
		way := newSilent(t, db.Addr)
		broken := again(t, db, ours)
		broken.through(t, way.address)
		stop := reading(t, broken, from)
		stale := noted(t, ours)
		other := again(t, db, theirs)
		other.cfg.Station = stationB
		defer reading(t, other, from)()
		foreign := noted(t, theirs)
		close(way.hush)
		stop()
		settles(t, db, stale.Thread, foreign.Thread)

		next := again(t, db, ours)
		next.cfg.ServerIDs++ // MariaDB itself ends one with the same
		stop = reading(t, next, from)
		settles(t, db, foreign.Thread, noted(t, ours).Thread)
		stop()

		for name, spoil := range map[string]func(*dump){
			"of another port":           func(d *dump) { d.Host += "0" },
			"of another run":            func(d *dump) { d.Began = d.Began.Add(-3 * time.Second) },
			"of another user":           func(d *dump) { d.User = "root" },
			"of another server":         func(d *dump) { d.Server = "x" },
			"with another number there": func(d *dump) { d.Thread = "1" },
		} {
			d := foreign
			spoil(&d)
			if err := remember(ours, dumpNote, d); err != nil {
				t.Fatal(err)
			}
			reading(t, next, from)()
			if !slices.Contains(dumps(t, db), foreign.Thread) {
				t.Fatalf("the dump %s was ended", name)
			}
		}
	})
}

// After a restart of the server the number is another connection's.
func TestAfterARestartNothingIsEnded(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		from := start(t, source(t, db, Auto))
		ours, theirs := &volatile{}, &volatile{}
		reading(t, again(t, db, ours), from)()
		time.Sleep(sameStart + 2*time.Second) // nothing tells it but the clock: what two runs of a server are apart at least; each start is known to the second
		if err := db.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := again(t, db, theirs)
		other.cfg.Station = stationB
		defer reading(t, other, from)()
		old, foreign := noted(t, ours), noted(t, theirs)
		old.Thread, old.Host = foreign.Thread, foreign.Host // the number is used again, and the port too
		if err := remember(ours, dumpNote, old); err != nil {
			t.Fatal(err)
		}
		reading(t, again(t, db, ours), from)()
		if !slices.Contains(dumps(t, db), foreign.Thread) {
			t.Error("another's dump was ended")
		}
	})
}
