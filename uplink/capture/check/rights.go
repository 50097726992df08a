package check

import (
	"slices"
	"strings"
)

// Table names a table.
type Table struct{ Schema, Name string }

// String is schema and table for a person.
func (t Table) String() string { return t.Schema + "." + t.Name }

func (t Table) quoted() string { return quoteName(t.Schema) + "." + quoteName(t.Name) }

// covers tells whether the right's object is the table or holds it.
func (f *Facts) covers(r Right, t Table) bool {
	if r.other || !f.matches(r, t.Schema) {
		return false
	}
	return r.table == "*" || f.sameName(r.table, t.Name)
}

// matches tells whether the right's object is the schema, lies in it or holds it. The name of a schema is a pattern where all
// of it is granted, unless partial revokes are on; the server takes the most fitting one alone, which is not told here.
func (f *Facts) matches(r Right, schema string) bool {
	switch {
	case r.schema == "*":
		return true
	case r.table != "*" || f.Vars["partial_revokes"] == "ON":
		return f.sameName(r.schema, schema)
	}
	return like(f.fold(r.schema), f.fold(schema))
}

// fold is the form in which the server compares names of schemas and tables.
func (f *Facts) fold(name string) string {
	if v := f.Vars["lower_case_table_names"]; v == "1" || v == "2" {
		return strings.ToLower(name)
	}
	return name
}

func (f *Facts) sameName(a, b string) bool { return f.fold(a) == f.fold(b) }

// like is LIKE: % is any number of characters, _ is one, a backslash takes the meaning from the next.
func like(pattern, s string) bool {
	for len(pattern) > 0 {
		switch c := pattern[0]; {
		case c == '%':
			for i := 0; i <= len(s); i++ {
				if like(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case c == '\\' && len(pattern) > 1:
			pattern = pattern[1:]
			if len(s) == 0 || s[0] != pattern[0] {
				return false
			}
		case len(s) == 0 || c != '_' && c != s[0]:
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}

func (r Right) gives(name string) bool {
	return r.Name == name || name != "GRANT OPTION" && slices.Contains([]string{"ALL PRIVILEGES", "ALL"}, r.Name)
}

// may tells whether the account has a right on a column of the table. "" asks for all of it: columns one by one don't count
// for that, as there may be others, which the account can't see.
func (f *Facts) may(name string, t Table, column string) bool {
	for _, r := range f.Rights {
		if r.Taken || !r.gives(name) || !f.covers(r, t) || r.schema == "*" && f.taken(name, t) {
			continue
		}
		if r.Column == "" || strings.EqualFold(r.Column, column) {
			return true
		}
	}
	return false
}

// taken tells whether a partial revoke keeps a global right from the table.
func (f *Facts) taken(name string, t Table) bool {
	return slices.ContainsFunc(f.Rights, func(r Right) bool { return r.Taken && r.gives(name) && f.covers(r, t) })
}

// mayAll tells whether the account has one of some rights on the whole server.
func (f *Facts) mayAll(names ...string) bool {
	return slices.ContainsFunc(f.Rights, func(r Right) bool {
		return !r.Taken && !r.other && r.schema == "*" && r.table == "*" && slices.ContainsFunc(names, r.gives)
	})
}

func (f *Facts) mayFollow() bool { return f.mayAll("REPLICATION SLAVE", "REPLICATION REPLICA") }

func (f *Facts) mayAskLog() bool { return f.mayAll("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") }

// account is the account as a statement names it.
func (f *Facts) account() string { return quoteName(f.User) + "@" + quoteName(f.Host) }

func (f *Facts) grant(rights, on string) string {
	return "GRANT " + rights + " ON " + on + " TO " + f.account()
}
