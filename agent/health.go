package main

import (
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"station-agent/station"
	"station-agent/station/feedback"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

// facts is where health and status come from. Health is memory only, so that asking costs nothing and waits for nothing;
// status also counts the files of the journal.
type facts struct {
	cfg   *config
	began time.Time
	clock *clock
	store *store.Store
	board *board
	rows  *station.Picture
	lag   func() (time.Duration, bool) // of capture; false if not known
	ways  func() []message.Way
	key   func() string // place of Certyo's key in use; nil if there is one only

	damage  damage
	vitals  *vitals // nil: nobody looks at the machine
	reads   *reads
	session uint64
	player  *feedback.Player // nil without lamps
}

// health is what the fleet is told.
func (f *facts) health() message.Health {
	now := f.clock.now()
	j, q := f.store.Journal.State(), f.store.DB.Counts()
	h := message.Health{
		Session: f.session, Version: version, UptimeS: round(time.Since(f.began)), BootS: round(now.Mono), RSSMB: residentMB(), ClockTrusted: now.Trusted,
		LastScanS: since(now, j.LastScan), IntentsOpen: len(j.Open), IntentsParked: len(j.Parked), LastSettledS: since(now, j.LastDone),
		QueueRecords: q.QueueRecords, QueueBytes: q.QueueBytes, OldestUnsentS: age(now.Wall, q.OldestQueued),
		Lanes:      []message.Lane{{Lane: "changes", Records: q.QueueRecords - q.QueueHistory}, {Lane: "found", Records: q.QueueHistory}},
		Unanchored: q.Unanchored, OldestUnanchoredS: age(now.Wall, q.OldestUnanchored), DeadLetters: q.DeadLetters, OldestDeadS: age(now.Wall, q.OldestRefused),
		Anchoring: message.Anchoring(q.Ledger), Unverified: q.Unverified, Replayed: q.Replayed, Doubled: q.Doubled, Passed: q.Passed,
		Capture: f.ways(), Problems: f.board.problems(), Readers: f.readers(),
	}
	for _, p := range j.Parked {
		if !p.Seen {
			h.CallBacks++
		}
	}
	if h.Capture == nil {
		h.Capture = []message.Way{} // a list in JSON too
	}
	f.vitals.fill(&h)
	for _, n := range j.Verdicts {
		h.Scans += n
	}
	h.RowsAgeS = f.rowsAge()
	if lag, ok := f.lag(); ok {
		s := round(lag)
		h.CaptureLagS = &s
	}
	return h
}

// readers tells of each reader of the configuration.
func (f *facts) readers() []message.Reader {
	list := []message.Reader{}
	for _, r := range f.cfg.Readers {
		list = append(list, message.Reader{Name: r.Name, OK: f.board.well("reader " + r.Name), LastReadS: f.reads.last(r.Name), BadFrames: f.damage.frames(r.Name)})
	}
	return list
}

// rowsAge is how old the rows of the station are; nil if they were never read.
func (f *facts) rowsAge() *float64 {
	age := f.rows.Age(time.Now())
	if age == math.MaxInt64 {
		return nil
	}
	s := round(age)
	return &s
}

// status is what the command of that name shows.
func (f *facts) status() status {
	h := f.health()
	j, q := f.store.Journal.State(), f.store.DB.Stats()
	s := status{
		Health: h, State: message.Ready, Environment: f.cfg.Environment, Station: f.cfg.Station.UUID, Name: f.cfg.Station.Name,
		StoreID: f.store.ID(), OpenPackage: j.Session.Package, OpenItems: len(j.Session.Items),
		ItemsHere: f.rows.Count(), Online: f.rows.Online(time.Now()), Parked: j.Parked, AnchoredTotal: q.Anchored, Dropped: q.LettersSpilled,
		CapturePaused: q.Paused,
		RecordBytes:   q.RecordBytes, EvidenceBytes: q.EvidenceBytes, JournalBytes: usage(f.cfg.Store.Folder)["journal"],
		Losses: f.store.Losses(), Damage: f.damage.list(),
	}
	s.Lamps = lampsOf(f.player, h.Problems)
	if len(h.Problems) > 0 {
		s.State = message.Alert
	}
	if f.key != nil {
		s.CertyoKey = f.key()
	}
	if s.Parked == nil {
		s.Parked = []record.Parked{}
	}
	if s.Losses == nil {
		s.Losses = []store.Loss{}
	}
	return s
}

// since tells how many seconds ago at was: by the boot's own clock if it was in this boot, else by the wall clock.
func since(now, at record.Stamp) *float64 {
	if at.Boot == "" {
		return nil
	}
	s := round(now.Wall.Sub(at.Wall))
	if at.Boot == now.Boot {
		s = round(now.Mono - at.Mono)
	}
	return &s
}

// age is in seconds, 0 for a time that isn't set.
func age(now, t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, round(now.Sub(t)))
}

// round gives seconds to the millisecond.
func round(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// residentMB is the memory that the kernel holds for this process, in 1e6 bytes, see proc_pid_statm(5).
func residentMB() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if the kernel writes something else
	return float64(pages*int64(os.Getpagesize())) / 1e6
}
