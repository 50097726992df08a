package poll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/mysql"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		took  time.Duration
		scans bool
		want  time.Duration // from look to look
	}{
		{time.Millisecond, false, time.Second},
		{100 * time.Millisecond, false, time.Second},
		{300 * time.Millisecond, false, 3 * time.Second},
		{2 * time.Second, false, 5 * time.Second},
		{time.Millisecond, true, 5 * time.Second},
		{2 * time.Second, true, 5 * time.Second},
		{4 * time.Second, true, 16 * time.Second}, // a saturated server: a guest takes a smaller part of its time
		{20 * time.Second, true, 400 * time.Second},
	} {
		p := pace{every: time.Second, scans: c.scans}
		var got, before time.Duration
		for range 10 {
			if got = p.rest(c.took) + c.took; got > 2*max(before, c.took, everyMost) {
				t.Errorf("after %v, scans %v: %v and then %v", c.took, c.scans, before, got)
			}
			before = got
		}
		if got != c.want {
			t.Errorf("after %v, scans %v: %v, want %v", c.took, c.scans, got, c.want)
		}
	}
}

// A look that the server ends after its time is said, and the next one waits a while, also if it is asked for at once.
func TestALookThatHitsItsLimitIsNotRepeatedAtOnce(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		db.Exec(t, "DELETE FROM `external`.buylo_products", insert("a", stationA))
		s, err := New(Config{DB: openDB(t, db), Explain: mysql.Explain, Table: capture.Buylo("external"), Station: stationA, Shadow: &capturetest.Store{}})
		if err != nil {
			t.Fatal(err)
		}
		other, err := db.Root().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		var looks []capture.Tx
		err = s.Run(t.Context(), record.Position{Way: Way}, nil, func(tx capture.Tx) error {
			if looks = append(looks, tx); len(looks) == 1 {
				_, err := other.ExecContext(t.Context(), "LOCK TABLES `external`.buylo_products WRITE")
				return err
			}
			return nil
		})
		if _, end := other.ExecContext(t.Context(), "UNLOCK TABLES"); end != nil {
			t.Fatal(end)
		}
		if err == nil || !strings.Contains(err.Error(), "ended the statement after its time") || !strings.Contains(err.Error(), "the next look is in") {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := len(looks)
		if err := s.Run(ctx, record.Position{Way: Way}, nil, func(tx capture.Tx) error { looks = append(looks, tx); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, _, err := s.Snapshot(ctx, []capture.Want{{Table: s.cfg.Table}}, "r"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if len(looks) != before {
			t.Errorf("%d looks at once", len(looks)-before)
		}
	})
}

// Stations that are many settle at a pace that the server can bear: none of their looks takes as long as the limit, however many
// begin at once, and the server isn't left to idle.
func TestManyStationsSettle(t *testing.T) {
	for _, c := range []struct {
		stations int
		alone    time.Duration // what a look costs the server
	}{{5, 200 * time.Millisecond}, {50, 200 * time.Millisecond}, {500, 200 * time.Millisecond}} {
		t.Run(fmt.Sprint(c.stations), func(t *testing.T) {
			s := settle(c.stations, c.alone, 40*time.Minute)
			t.Logf("looks of the last half: %d, %d ended at their limit, the longest took %v, the server worked %.0f %%", s.looks, s.ended, s.longest, 100*s.busy)
			if s.ended > s.looks/20 {
				t.Errorf("%d of %d looks came to nothing", s.ended, s.looks)
			}
			if least := min(0.6, float64(c.stations)*c.alone.Seconds()/5*0.9); s.busy < least {
				t.Errorf("the server worked %.0f %% of the time, %.0f would do", 100*s.busy, 100*least)
			}
		})
	}
}

type settled struct {
	looks, ended int
	longest      time.Duration
	busy         float64
}

// settle plays stations whose looks share one server evenly, in steps, and tells of the second half of the time.
func settle(stations int, alone, span time.Duration) (s settled) {
	const step = 50 * time.Millisecond
	type station struct {
		pace
		rests, took, left time.Duration
	}
	list := make([]station, stations)
	for i := range list {
		list[i] = station{pace: pace{every: time.Second, scans: true}, left: alone}
	}
	for at := time.Duration(0); at < span; at += step {
		working := 0
		for i := range list {
			if p := &list[i]; p.rests > 0 {
				p.rests -= step
			} else {
				working++
			}
		}
		if working == 0 {
			continue
		}
		late := at > span/2
		if late {
			s.busy += step.Seconds() / (span / 2).Seconds()
		}
		for i := range list {
			p := &list[i]
			if p.rests > 0 {
				continue
			}
			p.took += step
			p.left -= step / time.Duration(working)
			if p.left > 0 && p.took < scanning {
				continue
			}
			over := p.left > 0
			if over {
				p.rests = jitter(p.pace.over(scanning))
			} else {
				p.rests = jitter(p.pace.rest(p.took))
			}
			if late {
				s.looks++
				s.longest = max(s.longest, p.took)
				if over {
					s.ended++
				}
			}
			p.took, p.left = 0, alone
		}
	}
	return s
}

// A table that is read as a whole with each look is looked at rarely, until it has the index that the notice names.
func TestALookThatScansIsSaid(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		var rows []string
		for i := range 3000 {
			rows = append(rows, fmt.Sprintf("('%032d', 'elsewhere-%d')", i, i))
		}
		db.Exec(t, "DELETE FROM `external`.buylo_products",
			"INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) VALUES "+strings.Join(rows, ", "),
			"ANALYZE TABLE `external`.buylo_products")
		r := newRig(t, db, capture.Buylo("external"))
		said := func() string {
			lost, _ := r.notice.Said()
			return strings.Join(lost, "\n")
		}
		r.Until(func() (string, bool) { return "nothing said", said() != "" })
		text := said()
		_, index, ok := strings.Cut(text, "have an administrator ")
		if !ok || !strings.Contains(text, "read all of its") {
			t.Fatalf("%s", text)
		}
		index, _, _ = strings.Cut(index, "\n")
		r.restart(index, "ANALYZE TABLE `external`.buylo_products")
		r.Until(func() (string, bool) {
			_, down := r.notice.Alarms()
			return "still said", !down
		})
	})
}

// An index that is created while polling goes on ends the waiting, without a restart.
func TestAnIndexIsNoticed(t *testing.T) {
	db := servers.MariaDB(t)
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("('%032d', 'elsewhere-%d')", i, i))
	}
	db.Exec(t, "INSERT INTO `external`.buylo_products (hash, buylo_active_packing_station_uuid) VALUES "+strings.Join(rows, ", "),
		"ANALYZE TABLE `external`.buylo_products")
	s, err := New(Config{DB: openDB(t, db), Table: capture.Buylo("external"), Station: stationA, Shadow: &capturetest.Store{}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		o.laid = time.Time{} // a minute went by
		if err := o.layout(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if !s.pace.scans || o.read.Limit.For != scanning || !time.Now().Before(s.next) {
		t.Fatalf("%+v, limit %v, next look %v", s.pace, o.read.Limit.For, s.next)
	}
	s.pace.last, s.next = 5*time.Minute, time.Now().Add(5*time.Minute)
	look()
	if time.Until(s.next) < 4*time.Minute {
		t.Error("a look at the layout shortened the wait")
	}
	db.Exec(t, "CREATE INDEX by_station ON `external`.buylo_products (buylo_active_packing_station_uuid)", "ANALYZE TABLE `external`.buylo_products")
	look()
	if s.pace.scans || o.read.Limit.For != statement || time.Until(s.next) > 0 || s.pace.rest(time.Millisecond) > time.Second {
		t.Errorf("%+v, limit %v, next look %v", s.pace, o.read.Limit.For, s.next)
	}
}
