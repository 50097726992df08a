package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"station-agent/uplink/fleet/message"
)

// Why a command that is signed rightly isn't taken.
var (
	ErrLate     = errors.New("it is too late")
	ErrAhead    = errors.New("it ends too far ahead")
	ErrReplayed = errors.New("it was taken before")
	ErrFloor    = errors.New("it ends before commands that are not remembered any more, so that nobody can tell whether it was taken")
)

const mostTaken = 1000

// Taken are the commands that were taken and might come again. Its JSON is what has to be on disk before one is done.
//
//	   forgotten          │ remembered, by nonce
//	───────────────────────┼──────────────────────────▶ expiry
//	                     Floor                  now + 10 min
//
// Nothing that expires at Floor or before is taken. So one that is forgotten, because it is over or there are too many, can't
// come again when the clock is set back.
type Taken struct {
	Floor time.Time `json:"floor"`
	List  []One     `json:"list"` // the one that expires first is the first
}

// One is a command that was taken.
type One struct {
	Key     string    `json:"key"`
	Nonce   string    `json:"nonce"`
	Expires time.Time `json:"expires"`
}

// Has tells whether a command of this key was taken and is remembered.
func (t Taken) Has(key, nonce string) bool {
	return slices.ContainsFunc(t.List, func(o One) bool { return o.Key == key && o.Nonce == nonce })
}

// Check tells why a command isn't taken now, by a clock that is trusted.
func (t Taken) Check(key string, c message.Command, now time.Time) error {
	switch {
	case t.Has(key, c.Nonce):
		return ErrReplayed
	case !c.Expires.After(now):
		return fmt.Errorf("%w: it ended %s, and here it is %s: sign it anew, and compare the clocks", ErrLate, clock(c.Expires), clock(now))
	case c.Expires.After(now.Add(Ahead)):
		return fmt.Errorf("%w: it ends %s, and here it is %s: let it end within %v, and compare the clocks", ErrAhead, clock(c.Expires), clock(now), Ahead)
	case !c.Expires.After(t.Floor):
		return ErrFloor
	}
	return nil
}

// With gives t with one more, without those that are over and the first of too many.
func (t Taken) With(key string, c message.Command, now time.Time) Taken {
	list := append(slices.Clone(t.List), One{key, c.Nonce, c.Expires.UTC()})
	sort.Slice(list, func(i, k int) bool { return list[i].Expires.Before(list[k].Expires) })
	for len(list) > mostTaken || len(list) > 0 && list[0].Expires.Before(now) {
		if list[0].Expires.After(t.Floor) {
			t.Floor = list[0].Expires
		}
		list = list[1:]
	}
	return Taken{t.Floor, list}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ChallengeFor is how long a challenge opens.
const ChallengeFor = time.Minute

const mostGiven = 64

// Challenges are those that this run of the agent gave and nobody has used. They live in memory: a restart makes all of them void.
// It is used by one goroutine at a time.
type Challenges struct{ given []given }

type given struct {
	key, nonce, text string
	at               time.Time // with the monotonic clock
}

// Give gives the challenge for a command, which any command of the key may use: the same one until it is used or too old, so that who
// repeats a command gets no more.
func (c *Challenges) Give(key, nonce string, now time.Time) string {
	c.drop(now)
	for _, g := range c.given {
		if g.key == key && g.nonce == nonce {
			return g.text
		}
	}
	if len(c.given) == mostGiven {
		c.given = c.given[1:]
	}
	g := given{key, nonce, rand.Text(), now}
	c.given = append(c.given, g)
	return g.text
}

// Use uses the challenge of a command up. The command may have another nonce than the one that the challenge was given for.
func (c *Challenges) Use(key string, cmd message.Command, now time.Time) error {
	c.drop(now)
	i := slices.IndexFunc(c.given, func(g given) bool { return g.key == key && g.text == cmd.Challenge })
	if i < 0 {
		return fmt.Errorf("%w: this station gave the key no such challenge within the last %v, or it was used: ask for another one", ErrLate, ChallengeFor)
	}
	c.given = slices.Delete(c.given, i, i+1)
	return nil
}

func (c *Challenges) drop(now time.Time) {
	c.given = slices.DeleteFunc(c.given, func(g given) bool { return now.Sub(g.at) > ChallengeFor })
}
