package check

import (
	"fmt"
	"slices"
	"strings"
)

// most is how many rights of one object are named and taken one by one. Whoever has more has about all.
const most = 12

// excess finds the rights that the account doesn't need, one finding for each object and holder.
func (j *judge) excess() {
	if j.unread("grants", "excess", "what the account may do too much") {
		return
	}
	type holder struct{ on, of string }
	groups, order := map[holder][]Right{}, []holder{}
	for _, r := range j.Rights {
		if r.Taken || j.needed(r) {
			continue
		}
		h := holder{r.On, r.Of}
		if groups[h] == nil {
			order = append(order, h)
		}
		groups[h] = append(groups[h], r)
	}
	for _, h := range order {
		j.tooMuch(h.of, groups[h])
	}
	if len(order) == 0 {
		j.add(Finding{Code: "excess", State: OK, Fact: j.account() + " may do nothing that it doesn't need"})
	}
}

// needed tells whether some way needs the right, or whether it is the customer's own business.
func (j *judge) needed(r Right) bool {
	ours, follows := j.spec.Table(), slices.Contains(j.wanted.Serves, Binlog)
	at := func(t Table) bool { return !r.other && r.schema == t.Schema && r.table == t.Name }
	switch {
	case r.Name == "USAGE":
		return true
	case r.Name == "GRANT OPTION", r.Name == "PROXY":
		return false
	case slices.ContainsFunc(j.wanted.Workspaces, func(s string) bool { return plainName(r) == s }):
		return true
	case at(ours):
		return r.Name == "SELECT" || r.Name == "UPDATE" && r.Column == j.spec.Package
	case slices.ContainsFunc(j.wanted.Needs, func(n Need) bool { return at(n.Table) && slices.Contains(n.Rights, r.words()) }):
		return true
	case r.schema == "*" && !r.other && follows:
		return slices.Contains([]string{"REPLICATION SLAVE", "REPLICATION REPLICA", "REPLICATION CLIENT", "BINLOG MONITOR",
			"SLAVE MONITOR", "REPLICA MONITOR"}, r.Name)
	}
	return false
}

// words names it without its object.
func (r Right) words() string {
	if r.Column == "" {
		return r.Name
	}
	return r.Name + " (" + r.Column + ")"
}

// plainName is the one schema that a right is about, "" if it may be about several.
func plainName(r Right) string {
	name := strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(r.schema)
	if r.table == "*" && strings.Contains(strings.ReplaceAll(r.schema, `\%`, ""), "%") {
		return ""
	}
	return name
}

// tooMuch is the finding of one object. Taking a right from a whole table takes it from the columns, too, so what is needed
// is given again behind it.
func (j *judge) tooMuch(of string, rights []Right) {
	holder, through := of, ", through "+of
	if of == "" {
		holder, through = j.account(), ""
	}
	f := Finding{
		Code: "excess", State: Warning, Fact: fmt.Sprintf("%s has %s on %s%s", j.account(), brief(rights), rights[0].On, through),
		Why: "whoever takes the station's card can do all that with the shared data, and no station needs it",
		Fix: j.revoke(holder, rights),
	}
	if !rights[0].other && j.covers(Right{schema: rights[0].schema, table: rights[0].table}, j.spec.Table()) {
		f.Fix = append(f.Fix, j.grant(j.tableRights(), j.spec.Table().quoted()))
	}
	f.Fix = append(f.Fix, j.again(rights)...)
	if rights[0].On == "*.*" && slices.Contains(j.wanted.Serves, Binlog) {
		f.Fix = append(f.Fix, j.grant("REPLICATION SLAVE, "+j.Server.replicationClient(), "*.*"))
	}
	j.add(f)
}

// again gives back what the account needs of the rights that are taken.
func (j *judge) again(taken []Right) (fix []string) {
	for _, n := range j.wanted.Needs {
		if taken[0].other || !j.covers(Right{schema: taken[0].schema, table: taken[0].table}, n.Table) {
			continue
		}
		back := slices.DeleteFunc(slices.Clone(n.Rights), func(words string) bool {
			name, _, _ := strings.Cut(words, " (")
			return !slices.ContainsFunc(taken, func(r Right) bool { return r.Column == "" && r.gives(name) })
		})
		if len(back) > 0 {
			fix = append(fix, j.grant(strings.Join(back, ", "), n.Table.quoted()))
		}
	}
	return fix
}

// tableRights are what the ways need on the shared table.
func (j *judge) tableRights() string {
	if !slices.Contains(j.wanted.Serves, Packing) {
		return "SELECT"
	}
	return "SELECT, UPDATE (" + quoteName(j.spec.Package) + ")"
}

func (j *judge) revoke(holder string, rights []Right) (fix []string) {
	on, from := " ON "+rights[0].On, " FROM "+holder
	if len(rights) > most && !rights[0].other {
		fix = []string{"REVOKE ALL PRIVILEGES" + on + from}
		if slices.ContainsFunc(rights, func(r Right) bool { return r.Name == "GRANT OPTION" }) {
			fix = append(fix, "REVOKE GRANT OPTION"+on+from)
		}
		return fix
	}
	var list []string
	for _, r := range named(rights) {
		if r == "ALL PRIVILEGES" || r == "GRANT OPTION" { // in a list of others they mean something else
			fix = append(fix, "REVOKE "+r+on+from)
		} else {
			list = append(list, r)
		}
	}
	if len(list) > 0 {
		fix = append(fix, "REVOKE "+strings.Join(list, ", ")+on+from)
	}
	return fix
}

// named gives rights in the words of GRANT, those of columns together.
func named(rights []Right) (list []string) {
	columns := map[string][]string{}
	for _, r := range rights {
		switch {
		case r.Column == "":
			list = append(list, r.Name)
		case columns[r.Name] == nil:
			list = append(list, r.Name+" (")
			fallthrough
		default:
			columns[r.Name] = append(columns[r.Name], quoteName(r.Column))
		}
	}
	for i, name := range list {
		if right, ok := strings.CutSuffix(name, " ("); ok {
			list[i] = name + strings.Join(columns[right], ", ") + ")"
		}
	}
	return list
}

func brief(rights []Right) string {
	list := named(rights)
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more rights", strings.Join(list[:most], ", "), len(list)-most)
}
