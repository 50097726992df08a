package main

import (
	"slices"
	"sync"
	"time"

	"station-agent/station"
	"station-agent/store/record"
)

// mostReads is how many codes are remembered: those that were read last.
const mostReads = 256

// reads remembers what the readers saw lately, whether it meant anything to the bench or not: memory only, for people who
// look whether a reader works.
type reads struct {
	gone  time.Duration
	shown func(record.Tag) record.Tag // what people who look may see of it
	now   func() time.Time

	mu   sync.Mutex
	seen []seenCode           // the newest last
	at   map[string]time.Time // by reader, when it read last
}

type seenCode struct {
	reader, code, bad string
	came, last        time.Time
}

// sighting is one code at one reader, as it is told.
type sighting struct {
	Reader string  `json:"reader"`
	Code   string  `json:"code"`
	Bad    string  `json:"bad,omitempty"` // why it is no code
	CameS  float64 `json:"came_s"`        // how long ago it came: before that it was not seen for a while
	SeenS  float64 `json:"seen_s"`        // how long ago it was read last
}

func newReads(gone time.Duration, r station.Rules) *reads {
	return &reads{gone: gone, shown: r.Shown, now: time.Now, at: map[string]time.Time{}}
}

// saw takes in one read.
func (r *reads) saw(t record.Tag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.at[t.Reader] = now
	t = r.shown(t)
	s := seenCode{t.Reader, t.Code, t.Bad, now, now}
	i := slices.IndexFunc(r.seen, func(o seenCode) bool { return o.reader == s.reader && o.code == s.code && o.bad == s.bad })
	if i >= 0 {
		if now.Sub(r.seen[i].last) <= r.gone {
			s.came = r.seen[i].came
		}
		r.seen = slices.Delete(r.seen, i, i+1)
	}
	if len(r.seen) >= mostReads {
		r.seen = slices.Delete(r.seen, 0, 1)
	}
	r.seen = append(r.seen, s)
}

// last tells how many seconds ago a reader read anything, nil if it never did since the start.
func (r *reads) last(reader string) *float64 {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.at[reader]
	if !ok {
		return nil
	}
	s := round(r.now().Sub(at))
	return &s
}

// list tells what was seen, the newest last.
func (r *reads) list() []sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, list := r.now(), []sighting{}
	for _, s := range r.seen {
		list = append(list, sighting{s.reader, s.code, s.bad, round(now.Sub(s.came)), round(now.Sub(s.last))})
	}
	return list
}
