package station

import "time"

// How many misreads of one reader are told: so many at once, and one more for each time that goes by. Nobody holds codes before a
// scanner faster; what comes faster is noise on the line, and each one told would cost a flush of the card and a line in the log.
const (
	misreadsAtOnce = 200
	misreadAgain   = 10 * time.Millisecond
	spateTold      = time.Minute // how often it is said how many were left out
)

// spates bounds the misreads of each reader, by name.
type spates map[string]*spate

type spate struct {
	room int       // misreads that may be told
	at   time.Time // when room was worked out
	left int       // out, since that was said
	said time.Time
}

// tells tells whether a misread at that moment is told. Where left is above zero, it is to be said that so many were not.
func (s spates) tells(reader string, now time.Time) (tell bool, left int) {
	one := s[reader]
	if one == nil {
		one = &spate{room: misreadsAtOnce, at: now}
		s[reader] = one
	}
	if more := int(now.Sub(one.at) / misreadAgain); more > 0 {
		one.room = min(misreadsAtOnce, one.room+min(more, misreadsAtOnce))
		one.at = now
	}
	if one.room > 0 {
		one.room--
		return true, 0
	}
	one.left++
	if now.Sub(one.said) < spateTold {
		return false, 0
	}
	left, one.left, one.said = one.left, 0, now
	return false, left
}
