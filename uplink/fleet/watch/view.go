package watch

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"station-agent/uplink/fleet/message"
)

// One cause is taken for shared if so many stations have the same alarm, each raised so soon after another one's.
const (
	sharedBy     = 3
	sharedWithin = 5 * time.Minute
)

// Row is one station at one time. It is also what the command line prints as JSON.
type Row struct {
	Station     string          `json:"station"` // uuid
	Environment string          `json:"environment"`
	Name        string          `json:"name"`
	Standing    Standing        `json:"standing"`
	Since       *time.Time      `json:"since"` // null: not known
	ForS        float64         `json:"for_s"`
	Maintenance *string         `json:"maintenance"` // why; null: none now
	Listed      bool            `json:"listed"`      // in the inventory
	Troubles    []Trouble       `json:"troubles"`    // worst first
	State       *message.State  `json:"state"`
	Health      *message.Health `json:"health"` // its ages are of now
	HealthAgeS  *float64        `json:"health_age_s"`
	Event       *message.Event  `json:"event"` // the newest
	Gaps        []Gap           `json:"gaps"`  // events that did not come
	Instances   []string        `json:"instances"`
}

// Cause is one alarm that many stations have for what seems to be one reason.
type Cause struct {
	Trouble
	Stations []string // uuids
}

// View is all of the fleet at one time.
type View struct {
	At     time.Time
	Up     bool // the broker is there
	Counts map[Standing]int
	Rows   []Row   // worst first
	Causes []Cause // worst first
}

// View judges all stations.
func (f *Fleet) View(now time.Time) View {
	v := View{At: now, Up: f.Up(), Counts: map[Standing]int{}, Rows: make([]Row, 0, len(f.stations))}
	for _, s := range f.stations {
		r := f.row(s, now)
		v.Counts[r.Standing]++
		v.Rows = append(v.Rows, r)
	}
	v.Causes = causes(v.Rows)
	sortBy(v.Rows, compare)
	return v
}

// Row judges one station, by uuid; false for one that nobody knows.
func (f *Fleet) Row(id string, now time.Time) (Row, bool) {
	s, ok := f.stations[id]
	if !ok {
		return Row{}, false
	}
	return f.row(s, now), true
}

// Stations gives the uuids, in order.
func (f *Fleet) Stations() []string {
	list := make([]string, 0, len(f.stations))
	for id := range f.stations {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// Events gives the newest ones of a station, oldest first.
func (f *Fleet) Events(id string) []message.Event {
	if s := f.stations[id]; s != nil {
		return slices.Clone(s.events)
	}
	return nil
}

func (f *Fleet) row(s *station, now time.Time) Row {
	standing := f.standing(s, now)
	r := Row{Station: s.id, Environment: f.cfg.Environment, Name: s.name(), Standing: standing, Listed: s.listed,
		Troubles: f.troubles(s, standing, now), Gaps: append([]Gap{}, s.gaps...), Instances: []string{}}
	r.Maintenance = f.cfg.Book.maintained(s.id, r.Name, now)
	if r.Troubles == nil {
		r.Troubles = []Trouble{}
	}
	sortBy(r.Troubles, byWeight)
	if s.known {
		state := s.state
		r.State = &state
		since := s.stateSince
		r.Since, r.ForS = &since, max(0, now.Sub(since).Round(time.Millisecond).Seconds())
	}
	if s.health != nil {
		age := now.Sub(s.healthAt)
		seconds := max(0, age.Round(time.Millisecond).Seconds())
		r.Health, r.HealthAgeS = aged(*s.health, age.Round(time.Millisecond)), &seconds
	}
	if n := len(s.events); n > 0 {
		e := s.events[n-1]
		r.Event = &e
	}
	for _, i := range s.instances {
		if now.Sub(i.at) <= twinFor {
			r.Instances = append(r.Instances, i.id)
		}
	}
	slices.Sort(r.Instances)
	return r
}

// sortBy orders a list. It is sort's: the generic one would be compiled anew for each kind of list, and the card has no room.
func sortBy[T any](list []T, compare func(a, b T) int) {
	sort.SliceStable(list, func(i, j int) bool { return compare(list[i], list[j]) < 0 })
}

// severity orders by how soon somebody has to look.
func severity(s message.Severity) int {
	switch s {
	case message.Critical:
		return 0
	case message.Info:
		return 2
	case message.Warning:
		return 1
	}
	return 3
}

// byWeight puts what needs a person first: not acknowledged, not over, by severity, by the time left, what is seen from outside before
// what a station that is lost said last, the oldest first.
func byWeight(a, b Trouble) int {
	return cmp.Or(boolean(a.Acknowledged)-boolean(b.Acknowledged), boolean(a.Over)-boolean(b.Over), severity(a.Severity)-severity(b.Severity),
		cmp.Compare(left(a), left(b)), boolean(a.Name != outsider)-boolean(b.Name != outsider), a.Since.Compare(b.Since), strings.Compare(a.Code, b.Code))
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// left is the time left, a very long one if there is none told.
func left(t Trouble) float64 {
	if t.LeftS == nil {
		return 1e18
	}
	return *t.LeftS
}

// Open gives the troubles that nobody acknowledged; none during maintenance.
func (r Row) Open() []Trouble {
	if r.Maintenance != nil {
		return nil
	}
	for i, t := range r.Troubles {
		if t.Acknowledged {
			return r.Troubles[:i]
		}
	}
	return r.Troubles
}

// compare puts the station with the worst trouble first.
func compare(a, b Row) int {
	ta, tb := a.Open(), b.Open()
	if len(ta) == 0 || len(tb) == 0 {
		return cmp.Or(boolean(len(ta) == 0)-boolean(len(tb) == 0), slices.Index(Standings, a.Standing)-slices.Index(Standings, b.Standing), byName(a, b))
	}
	x, y := ta[0], tb[0]
	return cmp.Or(boolean(x.Over)-boolean(y.Over), severity(x.Severity)-severity(y.Severity), cmp.Compare(left(x), left(y)), x.Since.Compare(y.Since), byName(a, b))
}

func byName(a, b Row) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Station, b.Station))
}

// causes finds what many stations have for one reason, and marks it in the rows.
func causes(rows []Row) (list []Cause) {
	type hit struct {
		station string
		*Trouble
	}
	hits := map[string][]hit{}
	for i := range rows {
		seen := map[string]bool{} // a station counts once, whatever it says
		for j := range rows[i].Open() {
			t := &rows[i].Troubles[j]
			if !seen[t.Code] {
				seen[t.Code] = true
				hits[t.Code] = append(hits[t.Code], hit{rows[i].Station, t})
			}
		}
	}
	for _, all := range hits {
		sortBy(all, func(a, b hit) int {
			return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.station, b.station))
		})
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].Since.Sub(all[n-1].Since) <= sharedWithin {
				n++
			}
			if n >= sharedBy {
				c := Cause{Trouble: *all[0].Trouble}
				for _, h := range all[:n] {
					h.Shared = n
					c.Stations = append(c.Stations, h.station)
					if severity(h.Severity) < severity(c.Severity) {
						c.Severity = h.Severity
					}
					if left(*h.Trouble) < left(c.Trouble) {
						c.LeftS = h.LeftS
					}
				}
				c.Shared = n
				list = append(list, c)
			}
			all = all[n:]
		}
	}
	sortBy(list, func(a, b Cause) int {
		return cmp.Or(severity(a.Severity)-severity(b.Severity), len(b.Stations)-len(a.Stations), byWeight(a.Trouble, b.Trouble))
	})
	return list
}

// Filter says which rows somebody wants to see.
type Filter struct {
	Text      string // words that all have to be in name, uuid, standing or a trouble, whatever their case
	Standings []Standing
}

// Takes tells whether a row is one of them.
func (f Filter) Takes(r Row) bool {
	if len(f.Standings) > 0 && !slices.Contains(f.Standings, r.Standing) {
		return false
	}
	if f.Text == "" {
		return true
	}
	parts := []string{r.Name, r.Station, string(r.Standing)}
	for _, t := range r.Troubles {
		parts = append(parts, t.Code, t.Name, t.Text)
	}
	all := strings.ToLower(strings.Join(parts, "\n"))
	for _, word := range strings.Fields(strings.ToLower(f.Text)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}
