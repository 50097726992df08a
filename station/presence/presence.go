// Package presence tells when a tag comes onto an antenna and when it has left, from reads that come ten to a hundred times
// a second for as long as it lies there.
//
//	            Reads sights within Within, each at least Limit.Come strong
//	away ────────────────────────────────────────────────────────────────▶ here      Came
//	 ▲         or it shows when a package is opened: Baseline              │ ▲
//	 │                                                                     └─┘       a sight at least Limit.Stay strong
//	 └──────────────────── no such sight for Gone ───────────────────────────        Left
//
// It promises
//
//   - One presentation is one Came, however often the tag is read and by how many readers; another one counts, once the tag has
//     left.
//   - What showed on an antenna when Baseline was said doesn't come until it left, be it weak or seen only once. Neither does what
//     a reader sees first after the start.
//   - A tag at the edge of an antenna doesn't flicker: it takes more to come than to stay.
//   - While nobody looks nothing leaves: not while a reader is lost or gets on its feet again, nor while the caller was held up.
//   - Memory is bounded: more tags than Most at once are never said to come.
//
// It is a function of what it is fed. It knows no clock (all times are since one moment, such as the boot), starts nothing and waits
// for nothing. Times may run a little backwards between calls.
package presence

import (
	"slices"
	"time"
)

// Config is how presence is judged. Its zero values mean the defaults.
type Config struct {
	Gone     time.Duration     // without a sight, then a tag has left; 2 s
	Began    time.Duration     // when looking began
	Settle   time.Duration     // after Began: what a reader sees first, for as long as Gone, lay there before; 5 s
	Recovery time.Duration     // a reader that is back needs up to so long for its first read; 5 s
	Most     int               // tags that can be told apart; 4096
	Readers  map[string]Reader // by name; the zero Reader for others
}

// Reader is how the sights of one reader count.
type Reader struct {
	Reads    int           // so many make a tag come, at most MaxReads; 0 means 1
	Within   time.Duration // in this time, or in two rounds of a reader that is busy with many tags; 0 means 300 ms
	Limit    Limit         // of its antennas
	Antennas map[int]Limit // of those that have a limit of their own
}

// MaxReads is the most that Reader.Reads may ask for.
const MaxReads = 8

// Limit is how strong a sight must be, in the reader's scale (dBm if below zero). The zero Limit takes any, and a sight without a
// strength is strong enough for all.
type Limit struct {
	Come int // to come
	Stay int // to stay, at most Come
}

// Read is one sight of a tag.
type Read struct {
	Reader  string
	Antenna int // 0 if the reader doesn't tell
	Code    string
	RSSI    int // 0 if the reader doesn't tell
	At      time.Duration
}

// Kind is what happened to a tag.
type Kind int

// The kinds of events.
const (
	Came Kind = iota + 1
	Left
)

// Event is a tag that came or left.
type Event struct {
	Kind    Kind
	Code    string
	Reader  string // that saw it last
	Antenna int
	At      time.Duration // of the read that made it come; of the last sight before it left
}

// Filter judges the presence of all tags of a station. It belongs to one goroutine.
type Filter struct {
	c       Config
	held    time.Duration // in which nothing was read: taken off all times
	tags    map[string]*sight
	readers map[string]*reader
	swept   time.Duration // when room was looked for last
	events  []Event       // of this call
}

// sight is what is known of one tag.
type sight struct {
	reader  string
	antenna int
	here    bool                    // it came, or it was in the baseline
	last    time.Duration           // the last sight that is strong enough to stay
	reads   int                     // that were strong enough to come
	recent  [MaxReads]time.Duration // when; the n-th stands at n modulo MaxReads
	nth     [MaxReads]uint32        // and which read of the reader each was
	before  uint32                  // which one the last sight was; 0 for none
}

type reader struct {
	first time.Duration // read
	lost  bool
	since time.Duration // it is lost
	ends  time.Duration // its absence at the latest; 0 while it is away
	reads uint32        // counts them, round and round
	round uint32        // how many reads lie between two of one tag, on average, in sixteenths
}

// busiest is how long a read takes at most of a reader that has many tags to tell: it may see each of them once a second only.
const busiest = 40 * time.Millisecond

// turn notes that a tag, which was the reader's read before last, is read again.
func (r *reader) turn(before uint32) {
	if before > 0 {
		r.round += min(r.reads-before, 1<<20) - r.round/16
	}
}

// New makes a filter that has seen nothing.
func New(c Config) *Filter {
	for _, d := range []struct {
		v       *time.Duration
		instead time.Duration
	}{{&c.Gone, 2 * time.Second}, {&c.Settle, 5 * time.Second}, {&c.Recovery, 5 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.instead
		}
	}
	if c.Most == 0 {
		c.Most = 4096
	}
	return &Filter{c: c, tags: map[string]*sight{}, readers: map[string]*reader{}}
}

// Feed takes in one read and tells what came of it: the tag left since it was read last, it came, both or nothing. The events
// are valid until the next call.
func (f *Filter) Feed(r Read) []Event {
	at := r.At - f.held
	f.events = f.events[:0]
	from := f.reader(r.Reader, at)
	f.endAbsences(at)
	from.reads++
	rules := f.c.Readers[r.Reader]
	comes, stays := rules.limit(r.Antenna).allow(r.RSSI)
	s := f.tags[r.Code]
	if s != nil && !f.lies(s, at) {
		f.gone(r.Code, s)
		*s = sight{last: at}
	}
	if !stays {
		return f.events
	}
	if s == nil {
		if s = f.add(r.Code, at); s == nil {
			return f.events
		}
	}
	if s.reader == r.Reader {
		from.turn(s.before)
	}
	s.reader, s.antenna, s.last, s.before = r.Reader, r.Antenna, max(at, s.last), from.reads
	if s.here || !comes || !s.enough(rules, from, at, f.c.Gone) {
		return f.events
	}
	s.here = true
	if at-f.c.Began > f.c.Settle || at-from.first > f.c.Gone {
		f.events = append(f.events, Event{Came, r.Code, r.Reader, r.Antenna, r.At})
	}
	return f.events
}

// Tick lets time go on and tells which tags have left, in any order. The events are valid until the next call.
func (f *Filter) Tick(now time.Duration) []Event {
	f.events = f.events[:0]
	f.sweep(now - f.held)
	return f.events
}

// Baseline says that what shows on the antennas now lay there before: it doesn't come until it left.
func (f *Filter) Baseline(now time.Duration) {
	now -= f.held
	f.endAbsences(now)
	for _, s := range f.tags {
		s.here = s.here || f.lies(s, now)
	}
}

// Tags lists what shows on the antennas now, sorted: what a Baseline would take in.
func (f *Filter) Tags(now time.Duration) []string {
	now -= f.held
	f.endAbsences(now)
	var tags []string
	for code, s := range f.tags {
		if f.lies(s, now) {
			tags = append(tags, code)
		}
	}
	slices.Sort(tags)
	return tags
}

// Lost says that the reader is away: what it saw stays until it is back.
func (f *Filter) Lost(name string, at time.Duration) {
	r, known := f.readers[name]
	if !known {
		return
	}
	at -= f.held
	f.endAbsences(at)
	if !r.lost {
		r.lost, r.since = true, at
	}
	r.ends = 0
}

// Back says that the reader answers again. Its absence ends with its first read, or after Recovery: until then it may be
// starting, and its silence means nothing.
func (f *Filter) Back(name string, at time.Duration) {
	if r := f.readers[name]; r != nil && r.lost {
		r.ends = at - f.held + f.c.Recovery
	}
}

// Excuse says that nothing was read for d: the caller was held up.
func (f *Filter) Excuse(d time.Duration) { f.held += d }

// reader notes that a reader reads.
func (f *Filter) reader(name string, at time.Duration) *reader {
	r := f.readers[name]
	if r == nil {
		r = &reader{first: at}
		f.readers[name] = r
	}
	if r.lost && (r.ends == 0 || r.ends > at) {
		r.ends = at
	}
	return r
}

// endAbsences lets the tags of readers that see again go on as if nothing had been: what lay there has had no time to leave, and
// what had left has.
func (f *Filter) endAbsences(now time.Duration) {
	for name, r := range f.readers {
		if !r.lost || r.ends == 0 || now < r.ends {
			continue
		}
		r.lost = false
		for _, s := range f.tags {
			if s.reader == name {
				s.last += max(0, r.ends-r.since)
			}
		}
	}
}

// sweep forgets the tags that don't show any more.
func (f *Filter) sweep(now time.Duration) {
	f.endAbsences(now)
	for code, s := range f.tags {
		if !f.lies(s, now) {
			delete(f.tags, code)
			f.gone(code, s)
		}
	}
}

// gone tells that a tag left, if it was said to be here.
func (f *Filter) gone(code string, s *sight) {
	if s.here {
		f.events = append(f.events, Event{Left, code, s.reader, s.antenna, s.last + f.held})
	}
}

// lies tells whether a tag still shows. What a lost reader saw does.
func (f *Filter) lies(s *sight, now time.Duration) bool {
	if r := f.readers[s.reader]; r != nil && r.lost {
		now = r.since
	}
	return now-s.last <= f.c.Gone
}

// sweeps is how often room is looked for in the time in which a tag leaves.
const sweeps = 8

// add begins with a tag, if there is room.
func (f *Filter) add(code string, at time.Duration) *sight {
	if len(f.tags) >= f.c.Most && at-f.swept >= f.c.Gone/sweeps { // a reader gone mad gives thousands of new ones a second
		f.sweep(at)
		f.swept = at
	}
	if len(f.tags) >= f.c.Most {
		return nil
	}
	s := &sight{}
	f.tags[code], s.last = s, at
	return s
}

// enough counts a sight and tells whether there were as many as the reader's rules want, in their time. Where a reader is busy with many
// tags, its own pace counts: those that lie there are seen once a round of it, and stray ones are not.
func (s *sight) enough(r Reader, from *reader, at, gone time.Duration) bool {
	want, within := min(max(1, r.Reads), MaxReads), r.Within
	if within == 0 {
		within = 300 * time.Millisecond
	}
	s.recent[s.reads%MaxReads], s.nth[s.reads%MaxReads] = at, from.reads
	s.reads++
	if s.reads < want {
		return false
	}
	first := (s.reads - want) % MaxReads
	took, reads := at-s.recent[first], from.reads-s.nth[first]
	return took <= within || took <= gone*time.Duration(want-1) && took <= busiest*time.Duration(reads) && reads/2 <= from.round/16*uint32(want-1)
}

func (r Reader) limit(antenna int) Limit {
	if l, own := r.Antennas[antenna]; own {
		return l
	}
	return r.Limit
}

// allow tells what a strength is enough for.
func (l Limit) allow(rssi int) (comes, stays bool) {
	if rssi == 0 || l == (Limit{}) {
		return true, true
	}
	return rssi >= l.Come, rssi >= l.Stay
}
