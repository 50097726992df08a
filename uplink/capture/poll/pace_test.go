package poll

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
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
		{20 * time.Second, true, 20*time.Second + 100*time.Millisecond},
	} {
		p := pace{every: time.Second, scans: c.scans}
		if got := p.rest(c.took) + c.took; got != c.want {
			t.Errorf("after %v, scans %v: %v, want %v", c.took, c.scans, got, c.want)
		}
	}
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
