package certyo

import (
	"net/http"
	"strings"
	"unicode"
)

// verdict is what one result, or a status in it, says of its record; the greater is the worse.
type verdict int

const (
	silent   verdict = iota // nothing is said
	accepted                // it is taken
	open                    // not now: to be posted again
	refused                 // never
)

// result is one element of a bulk answer, with every plausible way to say yes or no.
type result struct {
	Key      loose `json:"idempotencyKey"`
	ID       loose `json:"recordId"`
	Version  loose `json:"recordVersion"`
	Hash     loose `json:"recordHash"`
	At       loose `json:"acceptedAt"`
	Replayed loose `json:"idempotencyReplayed"`
	Snapshot loose `json:"snapshotId"`
	Status   loose `json:"status"` // a number of HTTP or a word
	Code     loose `json:"statusCode"`
	Accepted loose `json:"accepted"`
	Success  loose `json:"success"`
	Error    loose `json:"error"`
	Errors   loose `json:"errors"`
	Message  loose `json:"message"`
}

// verdict weighs the signs: what can be mended by waiting, then what is a no, then what is a yes. A message alone, with no
// sign of acceptance beside it, is a no; a result that says nothing at all is a yes, as its being there is.
func (r result) verdict() verdict {
	status, code := statusVerdict(r.Status), statusVerdict(r.Code)
	said := max(status, code)
	switch {
	case status == open || code == open:
		return open
	case said == refused, r.Error.says(), r.Errors.says(), r.Accepted.no(), r.Success.no():
		return refused
	case said == accepted, r.Hash.says(), r.At.says(), r.Accepted.says(), r.Success.says(), !r.Message.says():
		return accepted
	}
	return refused
}

// text is the reason in the service's words.
func (r result) text() string {
	return join(r.Status, r.Code, r.Error, r.Errors, r.Message)
}

// statusVerdict reads a status given as a number of HTTP or as a word.
func statusVerdict(l loose) verdict {
	if l == "" {
		return silent
	}
	if n, ok := l.number(); ok {
		return codeVerdict(n)
	}
	word := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, clip(string(l), 128))
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(word, p) {
				return true
			}
		}
		return false
	}
	switch {
	case word == "" || word == "true" || word == "false":
		return silent
	case has("retry", "throttl", "toomany", "unavailable", "timeout", "internal", "servererror", "unauthor", "forbidden"):
		return open
	case has("reject", "refus", "fail", "error", "invalid", "badrequest", "conflict", "unprocess", "denied", "notaccepted", "partial"):
		return refused
	}
	return accepted
}

func codeVerdict(n int) verdict {
	switch {
	case n >= 200 && n <= 299:
		return accepted
	case n == http.StatusUnauthorized, n == http.StatusForbidden, n == http.StatusRequestTimeout,
		n == http.StatusTooManyRequests, n >= 500 && n <= 599:
		return open
	case n >= 400 && n <= 499:
		return refused
	}
	return silent
}
