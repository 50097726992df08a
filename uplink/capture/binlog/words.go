package binlog

import "strings"

// word is one token of a statement.
type word struct {
	text  string
	plain bool // not quoted: it may be a keyword
	name  bool // it may be a name
}

// is tells whether the word is one of these keywords.
func (w word) is(keywords ...string) bool {
	for _, k := range keywords {
		if w.plain && strings.EqualFold(w.text, k) {
			return true
		}
	}
	return false
}

// words cuts a statement into its words: comments fall away, what stands in a version's comment (/*!50000 … */) stays, text
// in single quotes becomes an empty word. It doesn't know the session's modes: what depends on them is not ok.
func words(q string) (list []word, ok bool) {
	for q != "" {
		var w word
		switch c := q[0]; {
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			q = q[1:]
			continue
		case c == '#' || strings.HasPrefix(q, "--") && len(q) > 2 && q[2] <= ' ':
			_, q, _ = strings.Cut(q, "\n")
			continue
		case strings.HasPrefix(q, "/*!"), strings.HasPrefix(q, "/*M!"):
			_, q, _ = strings.Cut(q, "!")
			q = strings.TrimLeft(q, "0123456789")
			continue
		case strings.HasPrefix(q, "*/"):
			q = q[2:]
			continue
		case strings.HasPrefix(q, "/*"):
			if _, q, ok = strings.Cut(q[2:], "*/"); !ok {
				return nil, false
			}
			continue
		case c == '`' || c == '"' || c == '\'':
			if w.text, q, ok = quoted(q[1:], c); !ok {
				return nil, false
			}
			if w.name = c != '\''; !w.name {
				w.text = ""
			}
		case inName(c):
			n := 1
			for n < len(q) && inName(q[n]) {
				n++
			}
			w, q = word{q[:n], true, true}, q[n:]
		default:
			w, q = word{text: q[:1]}, q[1:]
		}
		list = append(list, w)
	}
	return list, true
}

func inName(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '$' || c >= 0x80
}

// quoted reads up to the closing quote; a doubled one is one of the text. A backslash may or may not quote.
func quoted(q string, quote byte) (text, rest string, ok bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(q, quote)
		if i < 0 || quote != '`' && strings.IndexByte(q[:i], '\\') >= 0 {
			return "", "", false
		}
		b.WriteString(q[:i])
		q = q[i+1:]
		if q == "" || q[0] != quote {
			return b.String(), q, true
		}
		b.WriteByte(quote)
		q = q[1:]
	}
}
