package station

import "time"

// How much of what counts for nothing is told of one reader: so much at once, and one more for each time that goes by. Nobody holds
// codes before a scanner faster; what comes faster is noise on the line, and each one told would cost a flush of the card, a line in
// the log and a look into the database.
const (
	misreadsAtOnce = 20
	strangeAtOnce  = maxItems // codes that name nothing: a scanner with a memory gives a shift's at once, an antenna a pallet's
	tellAgain      = time.Second
	calm           = 3 * time.Second // after a misread that was left out: a code that names nothing is a piece of the same noise until then
	spateTold      = time.Minute     // how often it is said how many were left out
)

// spates bounds what is told of each reader, by name.
type spates map[string]*spate

type spate struct {
	misreads, strange room
	noisy             time.Time // when a misread was left out last
	left              int       // out, since that was said
	said              time.Time
}

// room is what may be told. The zero room is one that nothing was told in yet.
type room struct {
	left int
	at   time.Time // when that was worked out
}

// takes tells whether there is room for one more, of so many at once.
func (r *room) takes(most int, now time.Time) bool {
	if more := now.Sub(r.at) / tellAgain; more > 0 {
		r.left, r.at = int(min(int64(most), int64(r.left)+int64(more))), now
	}
	if r.left == 0 {
		return false
	}
	r.left--
	return true
}

// misread tells whether a misread at that moment is told. Where left is above zero, it is to be said that so many were not.
func (s spates) misread(reader string, now time.Time) (tell bool, left int) {
	one := s.of(reader)
	if one.misreads.takes(misreadsAtOnce, now) {
		return true, 0
	}
	one.noisy = now
	return false, one.leaves(now)
}

// strange tells the same of a code that names nothing.
func (s spates) strange(reader string, now time.Time) (tell bool, left int) {
	one := s.of(reader)
	if now.Sub(one.noisy) >= calm && one.strange.takes(strangeAtOnce, now) {
		return true, 0
	}
	return false, one.leaves(now)
}

func (s spates) of(reader string) *spate {
	if s[reader] == nil {
		s[reader] = &spate{}
	}
	return s[reader]
}

// leaves one out, and tells how many there are now if that is to be said.
func (s *spate) leaves(now time.Time) (say int) {
	s.left++
	if now.Sub(s.said) < spateTold {
		return 0
	}
	say, s.left, s.said = s.left, 0, now
	return say
}

// tells tells whether something that counts for nothing is to be told.
func (b *Bench) tells(room func(reader string, now time.Time) (tell bool, left int), r Read) bool {
	tell, left := room(r.Reader, r.At)
	if left > 0 && b.noisy != nil {
		b.noisy(r.Reader, left)
	}
	return tell
}
