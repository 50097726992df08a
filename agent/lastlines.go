package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// lastLines keeps the last of what the log said, in memory.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	bytes int
}

const mostLast = 64 << 10

// Write takes one line, as slog's handlers write them.
func (l *lastLines) Write(b []byte) (int, error) {
	line := time.Now().UTC().Format("2006-01-02T15:04:05.000Z ") + strings.ToValidUTF8(cut(string(b), 4<<10), "?") // journald has a time of its own, and we don't
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines, l.bytes = append(l.lines, line), l.bytes+len(line)
	for l.bytes > mostLast {
		l.bytes -= len(l.lines[0])
		l.lines = l.lines[1:]
	}
	return len(b), nil
}

// text gives them, the oldest first.
func (l *lastLines) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []byte(strings.Join(l.lines, ""))
}

// scrub takes secrets out of a text. It knows those that are in use, and those that were while it looked.
type scrub struct {
	mu    sync.Mutex
	known []string
}

const mostKnown = 64

// learn reads the secrets of a configuration as they are now.
func (s *scrub) learn(c *config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range c.secrets() {
		if *f.at == "" {
			continue
		}
		places := []secret{*f.at, secret(f.at.String())} // the one that was sent, and the one it took the place of
		for _, place := range places {
			if text, err := place.read(); err == nil && !slices.Contains(s.known, text) {
				s.known = append(s.known, text)
			}
		}
	}
	s.known = s.known[max(0, len(s.known)-mostKnown):]
}

var login = regexp.MustCompile(`://[^/\s"@]*@`)

// clean gives the text without them, in any form in which a message may hold one, and without the logins of addresses.
func (s *scrub) clean(text []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.known {
		quoted, _ := json.Marshal(secret) // a string can't fail
		for _, form := range []string{secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
			strings.TrimRight(base64.RawURLEncoding.EncodeToString([]byte(secret)), "=")} {
			text = bytes.ReplaceAll(text, []byte(form), []byte("[secret]"))
		}
	}
	return login.ReplaceAll(text, []byte("://[secret]@"))
}
