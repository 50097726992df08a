package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestRotation changes the password of the agent's account twice while the operator packs and rows change. One account does
// it all: rows, assignments and the binary log. The next password lies in its file before the old one dies, so nothing is
// lost, refused or started anew.
func TestRotation(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		s.Config.User, s.Config.Password, s.Config.Capturer, s.Config.Next = servers.CaptureUser, "mysql-password", "", "next-password"
		s.Config.Secrets["mysql-password"] = servers.CapturePassword
		s.Config.Secrets["next-password"] = "second-password"
		s.started()
		items := s.stock(1, 10)
		pid := s.Agent.PID()
		packed, renamed, end := s.work(items)
		defer end()
		s.rotate("second-password", packed, renamed)
		s.Config.Secrets["mysql-password"] = "second-password" // the old one's file is brought up, and the next one laid ready
		s.Config.Secrets["next-password"] = "third-password"
		s.must(s.WriteConfig())
		s.rotate("third-password", packed, renamed)
		end()
		s.problems(0)
		r := s.clean()
		t.Logf("%s", r)
		if s.Agent.PID() != pid {
			t.Error("the agent was started again")
		}
		if list := s.intents(); len(list) != 0 {
			t.Errorf("assignments are left: %+v", list)
		}
		s.quiet()
		s.stop()
	})
}

// quiet wants no password in any line, and no refused login in an error. Times, hashes and ports may hold its number as well.
func (s *site) quiet() {
	s.t.Helper()
	refused := regexp.MustCompile(`(?i)\berror 1045\b`)
	for _, l := range s.Agent.Lines(nil) {
		shown := refused.MatchString(l.Err)
		for _, text := range []string{servers.CapturePassword, "second-password", "third-password"} {
			shown = shown || strings.Contains(l.Raw, text)
		}
		if shown {
			s.t.Errorf("the rotation shows: %s", l.Raw)
		}
	}
}

// rotate makes the old password invalid and breaks every connection that used it. Afterwards work goes on: more items are
// packed and more changes anchored than before.
func (s *site) rotate(password string, packed, renamed *atomic.Int64) {
	s.t.Helper()
	root := s.DB.Root()
	var ids []int64
	s.until("the binary log and the rows have a connection each", func() bool { // the latter's is made by the first assignment
		ids = s.connections()
		return len(ids) >= 2
	})
	_, err := root.ExecContext(s.ctx, fmt.Sprintf("ALTER USER '%s'@'%%' IDENTIFIED BY '%s'", servers.CaptureUser, password))
	s.must(err)
	for _, id := range ids {
		_, _ = root.ExecContext(s.ctx, fmt.Sprintf("KILL %d", id)) // it may have gone by itself
	}
	s.goesOn(packed, renamed)
}

// goesOn waits until more items are packed and more changes anchored than now.
func (s *site) goesOn(packed, renamed *atomic.Int64) {
	s.t.Helper()
	items, names := packed.Load(), renamed.Load()
	status := s.status()
	s.until("work goes on", func() bool {
		now := s.status()
		return packed.Load() > items+20 && renamed.Load() > names+20 &&
			now["anchored_total"].(float64) > status["anchored_total"].(float64)+20
	})
}

// connections lists the agent's at the server.
func (s *site) connections() (ids []int64) {
	s.t.Helper()
	rows, err := s.DB.Root().QueryContext(s.ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER IN (?, ?)", servers.AgentUser, servers.CaptureUser)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		s.must(rows.Scan(&id))
		ids = append(ids, id)
	}
	s.must(rows.Err())
	return ids
}

// work lets the operator pack and rows change until end, which waits for both and may be called again.
func (s *site) work(items []string) (packed, renamed *atomic.Int64, end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	packed, renamed = new(atomic.Int64), new(atomic.Int64)
	var join sync.WaitGroup
	join.Go(func() { s.packOn(ctx, items, packed) })
	join.Go(func() { s.renameOn(ctx, items, renamed) })
	return packed, renamed, func() { cancel(); join.Wait() }
}

// packOn packs the items again and again, one to a package, and takes each out again.
func (s *site) packOn(ctx context.Context, items []string, packed *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		for _, code := range []string{fmt.Sprintf("PKG-2026-%05d", n), items[n%len(items)], bed.UndoCode} {
			l, err := s.Scan(context.WithoutCancel(ctx), code)
			if err != nil || !strings.HasPrefix(l.Verdict, "accepted") {
				s.t.Errorf("scan %q: %v %s", code, err, l.Raw)
				return
			}
			pause(ctx, 20*time.Millisecond)
		}
		packed.Add(1)
	}
}

func (s *site) renameOn(ctx context.Context, items []string, renamed *atomic.Int64) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := s.Bridge.Rename(context.WithoutCancel(ctx), items[n%len(items)], fmt.Sprintf("name %d", n)); err != nil {
			s.t.Error(err)
			return
		}
		renamed.Add(1)
		pause(ctx, 20*time.Millisecond)
	}
}
