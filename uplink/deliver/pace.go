package deliver

import (
	"context"
	"math/rand/v2"
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
	carefulRate  = 6   // requests a minute that a careful start begins with
	leastRate    = 2   // requests a minute, however often Certyo had enough
	moreRate     = 0.2 // requests a minute, for each that was taken
	requestBytes = 300 // about what a record has beside its payload
	dayLayout    = time.DateOnly
)

// limiter keeps what this station sends within its budget, and within what is left of Certyo's limit for all stations: each 429 halves
// its pace and each request that is taken brings it up a little, so that stations come to like shares of a limit that none of them
// knows. Verifications may be kept to a lower pace than posts, as their limit may be another. A careful start begins slowly, as all
// stations may be back at the same moment.
type limiter struct {
	posts, looks pace
	hours        Hours
	dayBytes     int64
	all          float64 // requests a minute, all of the budget
	careful      bool

	mu        sync.Mutex
	rate      float64 // requests a minute, now
	looksRate float64 // the same as verifications are kept to it: no more, as a limit may be for them alone
	day       string
	spent     int64 // bytes of this day
	wish      wish
}

func newLimiter(c *Config) *limiter {
	l := &limiter{hours: c.Hours, dayBytes: c.DayBytes, all: float64(c.Budget.PerMinute), careful: c.Spread > 0}
	l.rate, l.looksRate = l.all, l.all
	l.begin()
	share := float64(c.Budget.Verify) / 100
	l.looks = pace{limiter: l, share: share, most: int64(share * float64(c.DayBytes))}
	l.posts = pace{limiter: l, share: 1 - share, most: c.DayBytes}
	return l
}

// begin begins anew, carefully if that is wanted.
func (l *limiter) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.careful && l.rate > carefulRate {
		l.rate = carefulRate
		l.looksRate = min(l.looksRate, l.rate)
	}
}

// refused notes that Certyo had enough of posts, and so of all requests.
func (l *limiter) refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = l.half(l.rate)
	l.looksRate = min(l.half(l.looksRate), l.rate)
}

// refusedLook notes that Certyo had enough of verifications: delivery doesn't wait for that, it has answers of its own.
func (l *limiter) refusedLook() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looksRate = l.half(l.looksRate)
}

func (l *limiter) half(rate float64) float64 { return max(rate/2, min(leastRate, l.all)) }

// granted notes that Certyo took a request.
func (l *limiter) granted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = min(l.rate+moreRate, l.all)
	l.looksRate = min(l.looksRate+moreRate, l.rate)
}

// grantedLook notes that Certyo took a verification.
func (l *limiter) grantedLook() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = min(l.rate+moreRate, l.all)
	l.looksRate = min(l.looksRate+moreRate, l.rate)
}

// gap is the time between two requests of a share of them.
func (l *limiter) gap(share float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return every(l.rate * share)
}

// every is the time between two of so many requests a minute.
func every(perMinute float64) time.Duration {
	return time.Duration(float64(time.Minute) / perMinute).Truncate(time.Microsecond)
}

// after429 is how long a post waits once Certyo had enough: as long as it asked for, and then at random, so that those who were
// refused together don't come together.
func (l *limiter) after429(err error) time.Duration {
	return min(record.RetryAfter(err), longestAsk) + rand.N(2*l.gap(1)+1)
}

// spend counts what is sent on a day, and gives what was sent on it before.
func (l *limiter) spend(n int64, p *pace) (all, own int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if today := time.Now().UTC().Format(dayLayout); today != l.day {
		l.day, l.spent, l.looks.spent, l.posts.spent = today, 0, 0, 0
	}
	l.spent, p.spent = l.spent+n, p.spent+n
	return l.spent, p.spent
}

// pace keeps calls apart.
type pace struct {
	limiter *limiter
	share   float64 // of the budget
	most    int64   // bytes of a day, 0: no limit
	spent   int64   // of them; guarded by the limiter's mu

	mu   sync.Mutex
	next time.Time
}

// spend counts what is sent.
func (p *pace) spend(records []record.Record) {
	p.limiter.spend(int64(bytesOf(records)+requestBytes*len(records)), p)
}

// opens tells when something may be sent, as far as hours, bytes and wishes go: now if it may.
func (p *pace) opens(now time.Time) time.Time {
	at, wish := now, p.limiter.wished()
	if wish.rest.After(at) {
		at = wish.rest
	}
	if all, own := p.limiter.spend(0, p); p.most > 0 && (own >= p.most || all >= p.limiter.dayBytes) {
		day := now.UTC()
		if next := time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, time.UTC).In(now.Location()); next.After(at) {
			at = next
		}
	}
	if wish.now {
		return at
	}
	return p.limiter.hours.opens(at)
}

// shut tells when to look again if nothing may be sent now, zero if something may: soon, as the clock may be set meanwhile.
func (p *pace) shut(now time.Time) time.Time {
	if opens := p.opens(now); opens.After(now) {
		return earliest(opens, now.Add(askAgain))
	}
	return time.Time{}
}

// wait waits for its turn, or until ctx ends.
func (p *pace) wait(ctx context.Context) {
	if d := time.Until(p.take()); d > 0 {
		pause(ctx, d)
	}
}

// gap is the time between two of its requests.
func (p *pace) gap() time.Duration {
	l := p.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if p == &l.looks {
		return every(l.looksRate * p.share)
	}
	return every(l.rate * p.share)
}

// take gives the moment of a turn and takes it.
func (p *pace) take() time.Time {
	gap := p.gap()
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := time.Now()
	if p.next.After(turn) {
		turn = p.next
	}
	p.next = turn.Add(gap)
	return turn
}

// ready tells from when on a turn need not be waited for.
func (p *pace) ready() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}
