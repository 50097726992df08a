package certyo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Two keys may be there: while one is replaced at Certyo, both work, then the old one ends. The key that worked last goes
// first, the other one is tried within the same call when that is refused with 401. So a rotation stops nothing, whichever
// of the two files the new key was put into.

// apiKey is one place of a key.
type apiKey struct {
	read  func() (string, error)
	place string
}

// withKey calls try with the key that worked last, and with the other one if the first can't be read or is refused.
func (c *Client) withKey(ctx context.Context, op string, try func(context.Context, apiKey, string) (answer, error)) (answer, error) {
	last := int(c.worked.Load())
	var failed *Error
	sent := ""
	for i := range c.keys {
		at := (last + i) % len(c.keys)
		k := c.keys[at]
		text, err := k.get()
		if err == nil && text == sent { // both places hold the same one
			continue
		}
		if err != nil {
			failed = failed.and(&Error{Op: op, Text: err.Error(), held: true, cause: err})
			continue
		}
		sent = text
		a, err := try(ctx, k, text)
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnauthorized {
			failed = failed.and(e)
			continue
		}
		if err == nil && at != last && c.worked.CompareAndSwap(int32(last), int32(at)) && c.cfg.Switched != nil {
			c.cfg.Switched(k.place)
		}
		return a, err
	}
	return answer{}, failed
}

// and joins two reasons for which there is no key. What the service said counts more than what could not be asked.
func (e *Error) and(other *Error) *Error {
	switch {
	case e == nil:
		return other
	case e.Status == 0 && other.Status != 0:
		e, other = other, e
	}
	e.add(other.Text)
	return e
}

// KeyPlace is the place of the key that worked last.
func (c *Client) KeyPlace() string { return c.keys[c.worked.Load()].place }

// get reads the key. What it refuses could not be sent in a header, and net/http must not get to quote it.
func (k apiKey) get() (string, error) {
	if k.read == nil {
		return "", errors.New("no key is configured")
	}
	key, err := k.read()
	if err != nil {
		return "", err
	}
	key = strings.TrimSpace(key)
	if len(key) < minKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("what %s holds is no key (at least %d printable characters without spaces): put Certyo's key there",
			k.place, minKey)
	}
	return key, nil
}

const (
	minKey  = 8 // below that, blotting it out would tear answers apart
	blotted = "[key]"
)

func blot(text, key string) string { return strings.ReplaceAll(text, key, blotted) }
