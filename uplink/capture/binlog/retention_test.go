package binlog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

const day = 24 * time.Hour

func TestSizeFrom(t *testing.T) {
	files := [][]string{{"b.1", "100"}, {"b.2", "20"}, {"b.3", "3"}}
	for _, c := range []struct {
		at   record.Position
		want uint64
	}{
		{record.Position{Server: "s", File: "b.2"}, 23},
		{record.Position{Server: "s", File: "b.1"}, 123},
		{record.Position{Server: "s"}, 123},
		{record.Position{Server: "another", File: "b.3"}, 123},
	} {
		if got := sizeFrom(files, &server{id: "s"}, c.at); got != c.want {
			t.Errorf("from %+v: %d", c.at, got)
		}
	}
}

// both does f with a source of each mode.
func both(t *testing.T, db *servers.Database, f func(t *testing.T, s *Source)) {
	for _, mode := range []Mode{ByGTID, ByPosition} {
		t.Run(string(mode), func(t *testing.T) { f(t, source(t, db, mode)) })
	}
}

// Nothing is in danger that was read, nor what is kept for ever; else the time runs from the position's.
func TestRetention(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		both(t, db, func(t *testing.T, s *Source) {
			db.Exec(t, "SET GLOBAL binlog_expire_logs_seconds = 864000", "DELETE FROM `external`.buylo_products")
			from := start(t, s)
			if r, err := s.Retention(t.Context(), from); err != nil || r != (capture.Retention{}) {
				t.Errorf("all is read: %+v, %v", r, err)
			}
			db.Exec(t, insert("a", stationA), "FLUSH BINARY LOGS", insert("b", stationA))
			from.At = from.At.Add(-4 * day)
			r, err := s.Retention(t.Context(), from)
			if err != nil || r.Kept != 10*day || r.Left > 6*day || r.Left < 6*day-time.Minute || r.Size < 100 || r.Bytes != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			db.Exec(t, "SET GLOBAL binlog_expire_logs_seconds = 0")
			if r, err := s.Retention(t.Context(), from); err != nil || r.Kept != 0 || r.Bytes != 0 {
				t.Errorf("kept for ever: %+v, %v", r, err)
			}
		})
	})
}

// The server removes what is too old when it begins a new file: what was not read by then is gone. What was read up to
// there is none the worse.
func TestRetentionOfAPurgedLog(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		both(t, db, func(t *testing.T, s *Source) {
			early := start(t, s)
			db.Exec(t, insert(string(s.cfg.Mode), stationA))
			expire(t, db, s)
			db.Exec(t, "SET GLOBAL binlog_expire_logs_seconds = 864000")
			late := start(t, s)
			db.Exec(t, "DELETE FROM `external`.buylo_products")
			if _, err := s.Retention(t.Context(), early); !errors.Is(err, capture.ErrGap) || !strings.Contains(err.Error(), "purged") {
				t.Errorf("before the purge: %v", err)
			}
			if r, err := s.Retention(t.Context(), late); err != nil || r.Kept != 10*day {
				t.Errorf("behind the purge: %+v, %v", r, err)
			}
		})
	})
}

// expire makes the server's first file too old and waits until it is gone.
func expire(t *testing.T, db *servers.Database, s *Source) {
	t.Helper()
	files := func() [][]string {
		list, err := s.list(t.Context(), s.cfg.DB, "SHOW BINARY LOGS")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	all := files()
	first := all[len(all)-1][0]
	db.Exec(t, "SET GLOBAL binlog_expire_logs_seconds = 1")
	for began := time.Now(); files()[0][0] <= first; {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the server keeps its files")
		}
		time.Sleep(200 * time.Millisecond) // it goes by the age of a file in seconds, and looks when a new one begins
		db.Exec(t, "FLUSH BINARY LOGS")
	}
}
