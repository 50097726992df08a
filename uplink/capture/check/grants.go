package check

import (
	"slices"
	"strings"
)

// Right is one right that the account has.
type Right struct {
	Name   string `json:"right"`             // as the server prints it: "SELECT", "ALL PRIVILEGES", "GRANT OPTION"
	Column string `json:"column,omitempty"`  // "" for all of the object
	On     string `json:"on"`                // the object, to the letter: "*.*", "`ext\_%`.*", "FUNCTION `s`.`f`"
	Of     string `json:"through,omitempty"` // the role that has it, quoted; "" for the account itself
	Taken  bool   `json:"taken,omitempty"`   // by a partial revoke: an exception from the others

	schema, table string // without quotes, "*" for all
	other         bool   // on no table: a routine, or another account's place
}

// grantee is whom a line is about.
type grantee struct{ quoted, user, host string }

// line is what one line of SHOW GRANTS says.
type line struct {
	rights []Right
	roles  []string // quoted
	to     grantee
}

// token is a word, a sign, or a quoted name without its quotes.
type token struct {
	text   string
	quoted bool
	at     int // where it begins, and where the next thing does
	end    int
}

func (t token) is(word string) bool { return !t.quoted && t.text == word }

// tokens cuts a line. A quote within a quoted name is doubled.
func tokens(s string) (list []token) {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ':
			i++
		case c == '`' || c == '\'' || c == '"':
			name, end := quoted(s, i)
			list = append(list, token{name, true, i, end})
			i = end
		case strings.IndexByte("(),.*@", c) >= 0:
			list = append(list, token{s[i : i+1], false, i, i + 1})
			i++
		default:
			end := i
			for end < len(s) && strings.IndexByte(" `'\"(),.*@", s[end]) < 0 {
				end++
			}
			list = append(list, token{s[i:end], false, i, end})
			i = end
		}
	}
	return list
}

func quoted(s string, from int) (name string, end int) {
	var b strings.Builder
	q := s[from]
	for i := from + 1; i < len(s); i++ {
		if s[i] == q && (i+1 == len(s) || s[i+1] != q) {
			return b.String(), i + 1
		}
		if s[i] == q {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), len(s)
}

// parseGrant understands one line of SHOW GRANTS of MySQL 5.7 to 9 and MariaDB:
//
//	GRANT SELECT, UPDATE (`a`, `b`) ON `s`.`t` TO `u`@`h` [IDENTIFIED BY PASSWORD '…'] [REQUIRE …] [WITH GRANT OPTION …]
//	GRANT AUDIT_ADMIN,BINLOG_ADMIN ON *.* TO …     GRANT EXECUTE ON FUNCTION `s`.`f` TO …     GRANT PROXY ON `x`@`y` TO …
//	GRANT `role`[@`%`],… TO …                      REVOKE INSERT ON `s`.* FROM …              SET DEFAULT ROLE …
//
// It is false for a line of another form.
func parseGrant(s string) (l line, ok bool) {
	t := tokens(s)
	if len(t) == 0 || t[0].is("SET") {
		return l, len(t) > 0
	}
	taken := t[0].is("REVOKE")
	word := "TO"
	if taken {
		word = "FROM"
	}
	to := slices.IndexFunc(t, func(t token) bool { return t.is(word) })
	if !taken && !t[0].is("GRANT") || to < 0 || to+1 >= len(t) {
		return l, false
	}
	l.to = readGrantee(s, t[to+1:])
	on := slices.IndexFunc(t[:to], func(t token) bool { return t.is("ON") })
	if on < 0 {
		l.roles = readRoles(s, t[1:to])
		return l, len(l.roles) > 0
	}
	object, ok := readObject(s, t[on+1:to])
	if !ok {
		return l, false
	}
	object.Taken = taken
	l.rights = readRights(t[1:on], object)
	for i, w := range t[to:] {
		if w.is("WITH") && grantOption(t[to+i:]) {
			object.Name = "GRANT OPTION"
			l.rights = append(l.rights, object)
		}
	}
	return l, len(l.rights) > 0
}

func grantOption(t []token) bool {
	i := slices.IndexFunc(t, func(t token) bool { return t.is("GRANT") })
	return i >= 0 && i+1 < len(t) && t[i+1].is("OPTION")
}

func readGrantee(s string, t []token) grantee {
	g := grantee{quoted: quoteName(t[0].text), user: t[0].text}
	if !t[0].quoted && t[0].is("PUBLIC") {
		g.quoted = "PUBLIC"
	}
	if len(t) > 2 && t[1].is("@") {
		g.host = t[2].text
		g.quoted += "@" + quoteName(g.host)
	}
	return g
}

func readRoles(s string, t []token) (roles []string) {
	for len(t) > 0 {
		next := slices.IndexFunc(t, func(t token) bool { return t.is(",") })
		if next < 0 {
			next = len(t)
		}
		if next > 0 {
			roles = append(roles, readGrantee(s, t[:next]).quoted)
		}
		t = t[min(next+1, len(t)):]
	}
	return roles
}

func readObject(s string, t []token) (r Right, ok bool) {
	if len(t) == 0 {
		return r, false
	}
	r.On = s[t[0].at:t[len(t)-1].end]
	dot := slices.IndexFunc(t, func(t token) bool { return t.is(".") })
	if dot < 1 || dot+1 >= len(t) {
		r.other = true // GRANT PROXY ON an account
		return r, true
	}
	r.other = dot > 1 // FUNCTION, PROCEDURE, PACKAGE BODY
	r.schema, r.table = t[dot-1].text, t[dot+1].text
	return r, true
}

// readRights reads a list of rights, each of one word or more, and perhaps with columns.
func readRights(t []token, object Right) (rights []Right) {
	var words []string
	end := func() {
		if len(words) > 0 {
			object.Name = strings.Join(words, " ")
			rights = append(rights, object)
		}
		words = nil
	}
	for i := 0; i < len(t); i++ {
		switch {
		case t[i].is(","):
			end()
		case t[i].quoted || t[i].is("(") && len(words) == 0:
			return nil // no right has such a name
		case t[i].is("("):
			object.Name = strings.Join(words, " ")
			words = nil
			for i++; i < len(t) && !t[i].is(")"); i++ {
				if !t[i].is(",") {
					r := object
					r.Column = t[i].text
					rights = append(rights, r)
				}
			}
		default:
			words = append(words, t[i].text)
		}
	}
	end()
	return rights
}
