package deliver

import (
	"context"
	"sync"
	"time"

	"station-agent/store/record"
)

// Budget is how many requests this station may make at Certyo, which has one limit for all stations of a client. The zero value of
// a field stands for its default.
type Budget struct {
	PerMinute int // of all kinds; default 600
	Verify    int // percent of them that are verifications; default 20
}

func (b *Budget) fill() {
	if b.PerMinute <= 0 {
		b.PerMinute = 600
	}
	if b.Verify <= 0 || b.Verify > 90 {
		b.Verify = 20
	}
}

// Hours are the times of the day in which something may be sent, by the local clock: for a link that is paid for or shared.
type Hours []Window

// Window is a stretch of the day, in time since midnight. It goes over midnight if it ends before it begins.
type Window struct{ From, To time.Duration }

// opens tells when the next window opens: now if one is open, or there is none.
func (h Hours) opens(now time.Time) time.Time {
	if len(h) == 0 {
		return now
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	at := now.Sub(midnight)
	first := now.AddDate(0, 0, 1)
	for _, w := range h {
		if w.From <= at && at < w.To || w.To <= w.From && (at >= w.From || at < w.To) {
			return now
		}
		begin := midnight.Add(w.From)
		if begin.Before(now) {
			begin = begin.AddDate(0, 0, 1)
		}
		first = earliest(first, begin)
	}
	return first
}

const (
	postBurst    = 10        // requests that need not be apart, of those that were not made before
	leastShare   = 1.0 / 100 // of the budget
	moreShare    = 1.0 / 500 // of it, for each request that was taken
	requestBytes = 300       // about what a record has beside its payload
	dayLayout    = time.DateOnly
)

// limiter keeps what this station sends within its budget, and within what is left of Certyo's limit for all stations: each 429 halves
// its pace and each request that is taken brings it up a little, so that stations come to like shares of a limit that none of them
// knows.
type limiter struct {
	posts, looks pace
	hours        Hours
	dayBytes     int64

	mu    sync.Mutex
	share float64 // of the budget, 1 is all
	day   string
	spent int64 // bytes of this day
}

func newLimiter(c *Config) *limiter {
	l := &limiter{hours: c.Hours, dayBytes: c.DayBytes, share: 1}
	verify := c.Budget.PerMinute * c.Budget.Verify
	l.looks = pace{limiter: l, every: time.Minute * 100 / time.Duration(verify)}
	l.posts = pace{limiter: l, every: time.Minute * 100 / time.Duration(max(c.Budget.PerMinute*100-verify, 100)), burst: postBurst}
	return l
}

// refused notes that Certyo had enough.
func (l *limiter) refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share = max(l.share/2, leastShare)
}

// granted notes that Certyo took a request.
func (l *limiter) granted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.share = min(l.share+moreShare, 1)
}

func (l *limiter) now() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.share
}

// spend counts what is sent.
func (l *limiter) spend(records []record.Record) {
	n := int64(bytesOf(records) + requestBytes*len(records))
	l.mu.Lock()
	defer l.mu.Unlock()
	if today := time.Now().UTC().Format(dayLayout); today != l.day {
		l.day, l.spent = today, 0
	}
	l.spent += n
}

// opens tells when something may be sent, as far as hours and bytes go: now if it may.
func (l *limiter) opens(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now
	if day := now.UTC(); l.dayBytes > 0 && l.spent >= l.dayBytes && l.day == day.Format(dayLayout) {
		at = time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, time.UTC).In(now.Location())
	}
	return l.hours.opens(at)
}

// pace keeps calls apart, but for a burst of those that were not made before.
type pace struct {
	limiter *limiter
	every   time.Duration // with all of the budget
	burst   int

	mu   sync.Mutex
	next time.Time
}

// wait waits for its turn, or until ctx ends.
func (p *pace) wait(ctx context.Context) {
	if d := time.Until(p.take()); d > 0 {
		pause(ctx, d)
	}
}

// take gives the moment of a turn and takes it.
func (p *pace) take() time.Time {
	share := p.limiter.now()
	every := time.Duration(float64(p.every) / share)
	p.mu.Lock()
	defer p.mu.Unlock()
	earliest := time.Now()
	if share == 1 {
		earliest = earliest.Add(-time.Duration(p.burst) * every)
	}
	if p.next.Before(earliest) {
		p.next = earliest
	}
	turn := p.next
	p.next = p.next.Add(every)
	return turn
}

// ready tells from when on a turn need not be waited for.
func (p *pace) ready() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}
