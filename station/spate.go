package station

import "time"

// How much of what counts for nothing (misreads, and codes that name no item or nothing at all) is told of one reader: so much at once,
// and one more for each time that goes by. Nobody holds codes before a scanner faster; what comes faster is noise on the line, and each
// one told would cost a flush of the card, a line in the log and a look into the database. So of noise hardly any is told until it has
// been calm.
const (
	toldAtOnce = maxItems // a scanner with a memory gives a shift's at once, an antenna a pallet's
	toldAgain  = 10 * time.Millisecond
	noiseAgain = time.Second // a misread, of noise. A code in the midst of it is a piece of it
	calm       = 3 * time.Second
	spateTold  = time.Minute // how often it is said how many were left out
)

// spates bounds what is told of each reader, by name.
type spates map[string]*spate

type spate struct {
	room  int       // what may be told
	at    time.Time // when room was worked out
	noisy time.Time // when there was none for the last time
	left  int       // out, since that was said
	said  time.Time
}

// tells tells whether a misread, or a code that names no item, is told at that moment. Where left is above zero, it is to be said that
// so many were not.
func (s spates) tells(reader string, code bool, now time.Time) (tell bool, left int) {
	one := s[reader]
	if one == nil {
		one = &spate{room: toldAtOnce, at: now}
		s[reader] = one
	}
	again, noise := toldAgain, now.Sub(one.noisy) < calm
	if noise {
		again = noiseAgain
	}
	if more := int64(now.Sub(one.at) / again); more > 0 {
		one.room = int(min(toldAtOnce, int64(one.room)+more))
		one.at = now
	}
	switch {
	case code && noise: // for no longer than misreads, or codes that are too many, make it noise
	case one.room > 0:
		one.room--
		return true, 0
	default:
		one.noisy = now
	}
	one.left++
	if now.Sub(one.said) < spateTold {
		return false, 0
	}
	left, one.left, one.said = one.left, 0, now
	return false, left
}

// tells tells whether something that counts for nothing is to be told.
func (b *Bench) tells(r Read, code bool) bool {
	tell, left := b.spates.tells(r.Reader, code, r.At)
	if left > 0 && b.noisy != nil {
		b.noisy(r.Reader, left)
	}
	return tell
}
