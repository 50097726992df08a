package check

import (
	"fmt"
	"slices"
	"strings"

	"station-agent/uplink/capture"
)

// Own is the Spec of a table of the customer's own, which is only read.
func Own(t *capture.Spec) Spec { return Spec{Spec: t, Changed: t.Updated} }

// Asked is what others asked about a table of the customer's own.
type Asked struct {
	Unfit    error    // why its rows can't be captured; nil if they can
	Cascades []string // what is to be said of foreign keys that change its rows on their own
	Queue    Table    // that its triggers fill, if it is read from one
	Broken   []string // what is to be said of that queue if changes get lost
	Unsure   []string // and if nobody can tell
}

// JudgeOwn tells how a table of the customer's own fits the ways that are wanted, the faults first. What has no way is the
// same for each. That the log itself won't do is one finding: what is wrong with it is told where Buylo's table is judged.
func JudgeOwn(f *Facts, w Wanted, a Asked) []Finding {
	j := &judge{Facts: f, wanted: w, about: "table"}
	if !j.read(a.Unfit) {
		return j.found
	}
	j.ownKey()
	j.engine()
	for _, j.way = range w.Ways {
		switch j.way {
		case Binlog:
			j.server((*judge).log)
			j.stored()
			j.schemas()
			if j.hasJSON() {
				j.partialJSON()
			}
		case Queue:
			j.stored()
			j.queue(a)
		case Polling:
			j.server((*judge).serverClock)
			j.moves()
		}
	}
	j.cascades(a.Cascades)
	return j.sorted()
}

// read finds whether the account may read the table, and whether it has what the configuration names.
func (j *judge) read(unfit error) bool {
	t := j.spec.Table()
	f := Finding{Code: "read", State: OK, Fact: fmt.Sprintf("%s may read %s, which has all that is named", j.account(), t), Why: "what can't be read can't be captured"}
	_, unread := j.Unread["grants"]
	may := unread || j.may("SELECT", t, "")
	switch {
	case unfit != nil:
		f.State, f.Fact = Fault, unfit.Error()
	case !may:
		f.State, f.Fact = Fault, fmt.Sprintf("%s lacks SELECT on %s", j.account(), t)
	case unread:
		f.State, f.Fact = Unknown, "whether the account may read the table isn't known: "+j.Unread["grants"]
	}
	if !may {
		f.Fix = []string{j.grant("SELECT", t.quoted())}
		f.Advice = "if there is no such table, mend schema and name in the [[table]]"
	}
	j.add(f)
	return unfit == nil
}

// ownKey finds whether the key is one by which rows are told apart.
func (j *judge) ownKey() {
	if j.unread("indexes", "key", "whether the key is unique") {
		return
	}
	t, key := j.spec.Table(), j.spec.Key
	f := Finding{Code: "key", State: Warning, Why: "rows are told apart by it: twice the same value, and two rows are one"}
	primary := slices.IndexFunc(j.Indexes, func(i Index) bool { return i.Name == "PRIMARY" })
	unique := slices.IndexFunc(j.Indexes, func(i Index) bool { return i.Unique && sameSet(i.Columns, key) })
	null := slices.DeleteFunc(slices.Clone(key), func(name string) bool { c := j.column(name); return c == nil || !c.Null })
	switch {
	case unique >= 0 && len(null) == 0 && slices.Equal(j.Indexes[unique].Columns, key):
		f.State, f.Fact = OK, fmt.Sprintf("%s is unique in %s (index %s)", strings.Join(key, ", "), t, j.Indexes[unique].Name)
	case unique >= 0 && len(null) == 0:
		f.Fact = fmt.Sprintf("index %s of %s has the columns of the key in another order", j.Indexes[unique].Name, t)
		f.Why = "the table is read in the key's order, which the server has to sort by then"
		f.Advice = fmt.Sprintf("write key = [%s] in the [[table]] before anything is captured: it is in the ids of the records", quoteAll(j.Indexes[unique].Columns))
	case primary < 0:
		f.Fact = fmt.Sprintf("%s has no primary key", t)
		f.Fix = []string{fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", t.quoted(), quoteNames(key))}
	default:
		f.Fact = fmt.Sprintf("the primary key of %s is %s, and %s is not unique, or may be NULL", t, strings.Join(j.Indexes[primary].Columns, ", "), strings.Join(key, ", "))
		f.Advice = fmt.Sprintf("or write key = [%s] in the [[table]]", quoteAll(j.Indexes[primary].Columns))
		f.Fix = j.makeUnique(null, unique < 0)
	}
	j.add(f)
}

// makeUnique gives the statements for a key beside the primary one.
func (j *judge) makeUnique(null []string, index bool) (fix []string) {
	alter := "ALTER TABLE " + j.spec.Table().quoted()
	for _, name := range null {
		c := j.column(name)
		fix = append(fix, alter+" MODIFY COLUMN "+quoteName(name)+" "+c.Type+c.Define+" NOT NULL")
	}
	if index {
		fix = append(fix, alter+" ADD UNIQUE INDEX "+quoteName("station_agent_key")+" ("+quoteNames(j.spec.Key)+")")
	}
	return fix
}

func sameSet(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func quoteNames(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = quoteName(n)
	}
	return strings.Join(list, ", ")
}

// quoteAll writes names as the configuration has them.
func quoteAll(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(list, ", ")
}

// engine finds whether the table has transactions.
func (j *judge) engine() {
	if j.Engine == "" || j.unread("rows", "engine", "whether the table has transactions") {
		return // a view is told of where it matters
	}
	f := Finding{Code: "engine", State: state(strings.EqualFold(j.Engine, "InnoDB"), Warning), Fact: fmt.Sprintf("%s is stored by %s", j.spec.Table(), j.Engine),
		Why: "without transactions a change is recorded though the rest of what the application did failed, and a crash may lose what was recorded",
		Fix: []string{"ALTER TABLE " + j.spec.Table().quoted() + " ENGINE = InnoDB"}}
	j.add(f)
}

// stored finds whether it is a table at all.
func (j *judge) stored() {
	if _, unread := j.Unread["rows"]; j.Engine == "" && !unread {
		j.add(Finding{Code: "engine", State: Fault, Fact: fmt.Sprintf("%s is a view", j.spec.Table()),
			Why: "its rows change in other tables: neither the log nor a trigger tells of it", Advice: "name those tables, or poll"})
	}
}

// server finds whether something keeps the way from being used for any table of this server.
func (j *judge) server(judged func(*judge)) {
	s := &judge{Facts: j.Facts, wanted: j.wanted, way: j.way, about: string(j.way)}
	judged(s)
	f := Finding{Code: "way", State: OK, Fact: fmt.Sprintf("%s works on this server", j.way)}
	if worst := s.sorted()[0]; worst.State == Fault {
		f = Finding{Code: "way", State: Fault, Fact: fmt.Sprintf("%s works for no table here: %s [%s]", j.way, worst.Fact, worst.Code), Why: worst.Why,
			Fix: worst.Fix, Config: worst.Config, Advice: worst.Advice}
	}
	j.add(f)
}

// moves finds whether changed rows can be found by a column: that of their time, or that of the station.
func (j *judge) moves() {
	t := j.spec.Table()
	if j.spec.Station != "" {
		j.index("station_index", j.spec.Station, "the rows on the station are read again and again, and without it the server looks at every row for that")
		return
	}
	c := j.column(j.spec.Changed)
	if c == nil {
		j.add(j.nameless())
		return
	}
	j.index("updated_index", c.Name, "changes are looked for by their time, and without it the server looks at every row for that")
	f := Finding{Code: "updated", State: OK, Fact: fmt.Sprintf("%s is %s and moves when a row changes", c.Name, c.Type)}
	switch {
	case !movesItself(c):
		f = Finding{Code: "updated", State: Warning, Fact: c.Name + " doesn't move by itself when a row changes",
			Why: "a change whose writer doesn't set it is found only when the whole table has been read once more", Fix: []string{moving(t, *c)}}
	case strings.HasPrefix(strings.ToLower(c.Type), "datetime") && !j.utc():
		f = Finding{Code: "updated", State: Warning, Fact: fmt.Sprintf("%s is %s, a time without its zone; it is taken to be in the server's, %s", c.Name, c.Type, j.Zone),
			Why: "a writer whose connection has another zone sets it to another time, and an hour comes twice when clocks are set back: such a change is found late"}
		f.Advice = "make it a TIMESTAMP, in a session with the zone in which it was written"
	}
	j.add(f)
}

// nameless is that no column of times is named.
func (j *judge) nameless() Finding {
	t := j.spec.Table()
	f := Finding{Code: "updated", State: Fault, Fact: "no column with the time of the last change is named for " + t.String(), Why: "polling finds changes by it",
		Advice: `then write updated = "updated_at" in the [[table]]`}
	if i := slices.IndexFunc(j.Columns, func(c Column) bool { return movesItself(&c) }); i >= 0 {
		f.Advice = fmt.Sprintf("write updated = %q in the [[table]]", j.Columns[i].Name)
		return f
	}
	f.Fix = []string{"ALTER TABLE " + t.quoted() + " ADD COLUMN `updated_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"}
	return f
}

func movesItself(c *Column) bool { return strings.Contains(strings.ToLower(c.Extra), "on update") }

// moving gives the statement after which a column of times moves by itself. Its precision has to be said each time.
func moving(t Table, c Column) string {
	now, null := "CURRENT_TIMESTAMP", " NOT NULL"
	if _, digits, ok := strings.Cut(c.Type, "("); ok {
		now += "(" + digits
	}
	if c.Null {
		null = " NULL"
	}
	return fmt.Sprintf("ALTER TABLE %s MODIFY COLUMN %s %s%s DEFAULT %s ON UPDATE %s", t.quoted(), quoteName(c.Name), c.Type, null, now, now)
}

// queue finds whether triggers fill a queue that the account may empty.
func (j *judge) queue(a Asked) {
	t := j.spec.Table()
	const lost, print = "changes get lost, or pile up", "station-agent queue ddl prints what it should be"
	for _, text := range a.Broken {
		j.add(Finding{Code: "queue", State: Fault, Fact: text, Why: lost, Advice: print})
	}
	for _, text := range a.Unsure {
		f := Finding{Code: "queue", State: Warning, Fact: text, Why: "nobody can tell whether changes get lost", Fix: []string{j.grant("TRIGGER", t.quoted())}}
		if j.may("TRIGGER", t, "") { // then there is nothing to be seen
			f = Finding{Code: "queue", State: Fault, Fact: fmt.Sprintf("%s has no triggers", t), Why: lost, Advice: print}
		}
		j.add(f)
	}
	if len(a.Broken)+len(a.Unsure) == 0 {
		j.add(Finding{Code: "queue", State: OK, Fact: fmt.Sprintf("%s and the triggers of %s are as they should be", a.Queue, t)})
	}
	if j.unread("grants", "queue_grants", "whether the queue can be read and emptied") {
		return
	}
	f := Finding{Code: "queue_grants", State: OK, Fact: fmt.Sprintf("%s may read and empty %s", j.account(), a.Queue), Why: "what was read is marked and removed then"}
	var lacks []string
	for _, r := range []struct{ name, column, words string }{{"SELECT", "", "SELECT"}, {"DELETE", "", "DELETE"}, {"UPDATE", "taken", "UPDATE (`taken`)"}} {
		if !j.may(r.name, a.Queue, r.column) {
			lacks = append(lacks, r.words)
		}
	}
	if len(lacks) > 0 {
		f.State, f.Fact = Fault, fmt.Sprintf("%s lacks %s on %s", j.account(), strings.Join(lacks, ", "), a.Queue)
		f.Fix = []string{j.grant(strings.Join(lacks, ", "), a.Queue.quoted())}
	}
	j.add(f)
}

// cascades tells of foreign keys once, with the first way that doesn't see what they do. MySQL since 9.6 has them in its log.
func (j *judge) cascades(list []string) {
	i := slices.IndexFunc(j.wanted.Ways, func(w Way) bool { return w == Queue || w == Binlog && j.Vars["innodb_native_foreign_keys"] != "OFF" })
	if i < 0 {
		return
	}
	j.way = j.wanted.Ways[i]
	for _, text := range list {
		j.add(Finding{Code: "cascade", State: Warning, Fact: text, Why: "what it does is found only when the whole table is compared"})
	}
}
