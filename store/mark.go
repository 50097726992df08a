package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"station-agent/store/record"
)

// mark is what a text about a record is likely to repeat; "" is not looked for.
type mark struct {
	id   string
	sum  string // SHA-256 of the payload, in hexadecimal
	hash string // the one in its receipt, without what stands before the digits
}

func markOf(r *record.Record) mark {
	sum := sha256.Sum256(r.Payload)
	return mark{id: r.ID, sum: hex.EncodeToString(sum[:])}
}

// with gives the mark of an answer that came behind a receipt.
func (m mark) with(hash string) mark {
	digits := strings.TrimRight(hash, "0123456789abcdefABCDEF")
	if hash = hash[len(digits):]; len(hash) >= 2*leastID {
		m.hash = hash
	}
	return m
}

const (
	idMark   = 1
	sumMark  = 2
	hashMark = 3
	escaped  = 4
	leastID  = 6 // shorter ones are not worth looking for
)

// shorten puts one byte in place of what m names. It loses nothing: those bytes are escaped where they stand for themselves.
func shorten(text []byte, m mark) []byte {
	if hasMark(text) {
		var safe []byte
		for _, c := range text {
			if c >= idMark && c <= escaped {
				safe = append(safe, escaped)
			}
			safe = append(safe, c)
		}
		return safe
	}
	if len(m.id) >= leastID && !hasMark([]byte(m.id)) {
		text = substitute(text, m.id, idMark)
	}
	text = substitute(text, m.sum, sumMark)
	return substitute(text, m.hash, hashMark)
}

// substitute puts by in place of every name, and copies nothing if there is none.
func substitute(text []byte, name string, by byte) []byte {
	if name == "" || !bytes.Contains(text, []byte(name)) {
		return text
	}
	return appendSubstituted(make([]byte, 0, len(text)-len(name)+1), text, name, by)
}

// appendSubstituted appends text with by in place of every name.
func appendSubstituted(dst, text []byte, name string, by byte) []byte {
	for {
		before, behind, found := bytes.Cut(text, []byte(name))
		if dst = append(dst, before...); !found {
			return dst
		}
		dst, text = append(dst, by), behind
	}
}

// hasMark tells whether one of the bytes stands in text that take the place of something.
func hasMark(text []byte) bool {
	for c := byte(idMark); c <= escaped; c++ {
		if bytes.IndexByte(text, c) >= 0 {
			return true
		}
	}
	return false
}

// expand undoes shorten, given the same mark.
func expand(text []byte, m mark) []byte {
	if !hasMark(text) {
		return bytes.Clone(text)
	}
	out := make([]byte, 0, len(text)+len(m.id)+len(m.sum)+len(m.hash))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == idMark:
			out = append(out, m.id...)
		case c == sumMark:
			out = append(out, m.sum...)
		case c == hashMark:
			out = append(out, m.hash...)
		case c == escaped && i+1 < len(text):
			i++
			out = append(out, text[i])
		default:
			out = append(out, c)
		}
	}
	return out
}
