package certyo

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"station-agent/store/record"
)

const (
	correlation = "X-Correlation-Id" // the id that Certyo's support asks for (reference)
	maxText     = 1 << 10            // of a foreign text in an error, in bytes
	maxWait     = 24 * time.Hour
)

// Error is a request that brought no usable answer. Its class:
//
//	no answer, 408, 429, 5xx                 try again
//	401, 403, or no key to send              try again, and Held: nothing helps but a person with a key
//	400, 409, 415, 422                       record.Never: this request is refused for what it holds
//	413                                      record.Never, and TooLarge: half of it may be taken
//	3xx, 404 and all other statuses          try again: the address is wrong, not the record
//
// Only 400, 401, 403, 429 and 500 are published; the rest is what a web service commonly means by it.
type Error struct {
	Op            string        // "post 12 records to www.certyos.com"
	Status        int           // 0 if no answer came
	CorrelationID string        // as the service gave it, "" if it didn't
	Text          string        // reason and what to do, fit for a terminal
	Retry         time.Duration // how long the service asked to be left alone

	held  bool
	cause error
}

// Error is what was tried, and why it brought nothing.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
		if name := http.StatusText(e.Status); name != "" {
			b.WriteString(" " + name)
		}
	}
	if e.CorrelationID != "" {
		fmt.Fprintf(&b, " (correlation id %s)", e.CorrelationID)
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// Unwrap gives the network's error, if there was one.
func (e *Error) Unwrap() error { return e.cause }

// RetryAfter tells how long the service asked to be left alone, 0 if it didn't say.
func (e *Error) RetryAfter() time.Duration { return e.Retry }

// Held tells that the service wants another key than the one it was given.
func (e *Error) Held() bool { return e.held }

// TooLarge tells that the request was refused for its size alone: fewer records may be taken, and later requests should not be
// larger than those.
func (e *Error) TooLarge() bool { return e.Status == http.StatusRequestEntityTooLarge }

// Faulty tells that the service failed in doing what it was asked, which may be for what the request holds: 500. The other 5xx tell of
// the way there.
func (e *Error) Faulty() bool { return e.Status == http.StatusInternalServerError }

// Limited tells that this client made more requests than Certyo allows it, from all its stations together.
func (e *Error) Limited() bool { return e.Status == http.StatusTooManyRequests }

func classify(e *Error) error {
	switch e.Status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return record.Never(e)
	}
	return e
}

// refusal makes the error of an answer that is no success.
func (c *Client) refusal(op string, a answer, k apiKey) *Error {
	e := &Error{
		Op: op, Status: a.status, CorrelationID: clip(printable(a.header.Get(correlation)), 128),
		Text: problem(a.body), Retry: retryAfter(a.header, time.Now()),
	}
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		e.held = true
		e.add(fmt.Sprintf("Certyo refused the key in %s: put a valid one for tenant %q there", k.place, c.cfg.Tenant))
	case a.status == http.StatusProxyAuthRequired:
		e.add("the proxy wants an account: certyo.proxy_user and certyo.proxy_password_file")
	case a.status == http.StatusRequestEntityTooLarge:
		e.add("the request is too large for Certyo")
	case a.status >= 300 && a.status <= 399:
		e.add(fmt.Sprintf("it points to %s; redirects are not followed, since the key would go along: correct certyo.url",
			target(a.header.Get("Location"))))
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed:
		e.add("check certyo.url")
	}
	return e
}

func (e *Error) add(text string) {
	if e.Text != "" {
		e.Text += "; "
	}
	e.Text += text
}

// target shows where a redirect points, without anything that could be a secret.
func target(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "nowhere"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return clip(printable(u.String()), 256)
}

// problem reads the text out of an error's body: application/problem+json as .NET services commonly answer, else the text
// as it is.
func problem(body []byte) string {
	var p struct{ Title, Detail, Message, Error, Errors loose }
	if json.Valid(body) {
		_ = json.Unmarshal(body, &p) // a field of another type is left out
		if text := join(p.Title, p.Detail, p.Message, p.Error, p.Errors); text != "" {
			return text
		}
	}
	return clip(printable(strings.TrimSpace(clip(string(body), maxText))), maxText)
}

// join strings the texts together that say something, each once.
func join(parts ...loose) string {
	var said []string
	for _, p := range parts {
		text := strings.TrimSpace(clip(string(p), maxText))
		if p.says() && (len(said) == 0 || said[len(said)-1] != text) {
			said = append(said, text)
		}
	}
	return clip(printable(strings.Join(said, ": ")), maxText)
}

// retryAfter reads Retry-After in seconds or as a date. A date is taken against the answer's own Date, as a station may
// have no clock yet.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxWait)
}

// advice says what to do about an error of the network where that is known.
func advice(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "; check the network and certyo.url"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "; check this machine's clock"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "; check certyo.url and certyo.ca_file"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "proxyconnect" || err != nil && err.Error() == http.StatusText(http.StatusProxyAuthRequired) {
		return "; check the proxy: certyo.proxy, or HTTPS_PROXY of the service"
	}
	return ""
}

// printable escapes what would break a line or a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// clip cuts s to at most n bytes, between two characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
