package mysql

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	paceLeast = time.Second
	paceMost  = 15 * time.Second
)

// pace leaves a server alone that refused every login: it may lock an account after a number of wrong passwords. Until
// then a connect gets the same answer again. A login that is new is asked at once.
type pace struct {
	logins []login
	answer error
	until  time.Time
	delay  time.Duration // doubles from paceLeast to paceMost; of it at least a half, so that stations don't march in step
}

// answered gives what logins were answered a moment ago, nil if the server is to be asked.
func (p *pace) answered(logins []login, now time.Time) error {
	if p.counts(logins, now) {
		return p.answer
	}
	return nil
}

func (p *pace) counts(logins []login, now time.Time) bool {
	return now.Before(p.until) && slices.EqualFunc(p.logins, logins, login.same)
}

// refused notes an answer.
func (p *pace) refused(logins []login, answer error, now time.Time) {
	if p.counts(logins, now) {
		return // two asked side by side
	}
	if !slices.EqualFunc(p.logins, logins, login.same) {
		p.delay = 0
	}
	p.delay = min(max(2*p.delay, paceLeast), paceMost)
	p.logins, p.answer = logins, answer
	p.until = now.Add(p.delay/2 + rand.N(p.delay/2+1))
}
