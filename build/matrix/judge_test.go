package matrix

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// slack is what the clock of a log and ours may differ by, and its whole seconds.
const slack = 1500 * time.Millisecond

// judge holds the records of one cell against what was committed.
type judge struct {
	*cell
	rows    map[string]*trail
	faults  []string
	records []record.Record
	told    int
	seen    int // records of changes that were seen to happen
	passed  int // changes that were missed in gaps

	gaps []gap          // the beginning, and what was named, in order
	runs map[string]int // the gap by the run that compared the rows after it; the beginning's has none
	now  int            // how many gaps were named so far, with the beginning
}

// gap is a time of which a record says that changes were missed.
type gap struct {
	run, reason string
	from, to    time.Time
}

// trail is how far the records of one row have told its changes.
type trail struct {
	row     string
	changes []change
	next    int // the first change that was not told one by one yet
	found   int // the change whose state was found last, -1 for none since next moved
	gaps    int // how many gaps were known when the row's last record came that was seen to happen
	last    *record.Record
	states  map[string]bool // that were told
}

const faultsMost = 10

func (j *judge) fault(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// judgement is what is wrong with the records of a cell, nothing if they keep what the way promises.
func judgement(c *cell, m *model, records []record.Record) *judge {
	j := &judge{cell: c, rows: make(map[string]*trail), gaps: []gap{{reason: "the beginning", to: c.begun}}, runs: make(map[string]int), now: 1, records: records}
	for row, list := range m.rows {
		if captured(row, c.tables) {
			j.rows[row] = &trail{row: row, changes: list, found: -1, states: make(map[string]bool)}
		}
	}
	for i := range records {
		j.named(&records[i])
	}
	keys := make(map[string]bool)
	for i := range records {
		r := &records[i]
		if keys[r.Key] {
			j.fault("the key %s comes twice", r.Key)
		}
		keys[r.Key] = true
		j.record(r)
	}
	j.end(m)
	return j
}

// reasons are those of the gaps that were named.
func (j *judge) reasons() (list []string) {
	for _, g := range j.gaps[1:] {
		list = append(list, g.reason)
	}
	return list
}

// expected holds that the gaps are those that had to be named, and no others. The position of a MySQL whose history is empty has
// no GTID yet, which is one gap more as soon as it isn't empty.
func (j *judge) expected(t *testing.T) {
	got := j.reasons()
	for i := len(got) - 1; i > 0; i-- {
		if strings.Contains(got[i], "the stored position has no GTID") && goneUnder.MatchString(got[i-1]) {
			got = slices.Delete(got, i, i+1)
		}
	}
	for i := range max(len(got), len(j.cell.gaps)) {
		if i >= len(got) || i >= len(j.cell.gaps) || !j.cell.gaps[i].MatchString(got[i]) {
			t.Errorf("gaps\n%s\nwant\n%s", strings.Join(got, "\n"), j.cell.gaps)
			return
		}
	}
}

// record judges the next record.
func (j *judge) record(r *record.Record) {
	if r.Collection == capture.Gaps {
		if j.runs[r.ID] > 0 {
			j.now++
		}
		return
	}
	t := j.rows[rowOf(r.Collection, r.ID)]
	if t == nil {
		j.fault("a record of what never was: %s", brief(r))
		return
	}
	j.told++
	if t.last != nil && !later(r.Version, t.last.Version) && !j.anew(t.last, r) {
		j.fault("the version doesn't rise: %s after %s", brief(r), brief(t.last))
	}
	switch seen := strings.HasPrefix(r.Key, "b:") || strings.HasPrefix(r.Key, "q:"); {
	case j.way == byPolling:
		j.polled(t, r)
	case seen:
		j.happened(t, r)
	default:
		j.found(t, r)
	}
	t.last = r
	t.states[stateOf(r)] = true
}

// anew tells whether MariaDB's numbers began anew within the second in which a row was deleted and came back: its version, which
// has the number within the second, doesn't rise then (package capture, Versions).
func (j *judge) anew(last, r *record.Record) bool {
	return last.Op == record.Delete && last.At.Truncate(time.Second).Equal(r.At.Truncate(time.Second)) &&
		slices.ContainsFunc(j.gaps[1:], func(g gap) bool { return goneUnder.MatchString(g.reason) && g.to.Sub(r.At).Abs() < 2*time.Second })
}

// stateOf is the state that a record tells.
func stateOf(r *record.Record) string {
	if r.Op == record.Delete {
		return ""
	}
	return plain(string(r.Payload))
}

// named takes note of a gap.
func (j *judge) named(r *record.Record) {
	if r.Collection != capture.Gaps {
		return
	}
	var said struct {
		Reason string
		From   struct{ At time.Time }
		To     struct{ At time.Time }
	}
	if err := json.Unmarshal(r.Payload, &said); err != nil || said.Reason == "" {
		j.fault("a gap without a reason: %s", brief(r))
	}
	if said.Reason == "observed missing" {
		return
	}
	j.runs[r.ID] = len(j.gaps)
	j.gaps = append(j.gaps, gap{r.ID, said.Reason, said.From.At, said.To.At})
}

// happened is a record of a change that was seen to happen: it must be the row's next one, or lie behind a gap that holds those
// between.
func (j *judge) happened(t *trail, r *record.Record) {
	j.seen++
	for i := t.next; i < len(t.changes); i++ {
		c := &t.changes[i]
		if (c.mine || j.unknown(t, i)) && j.tells(r, c) {
			j.missed(t, t.next, i)
			t.next, t.found, t.gaps = i+1, -1, j.now
			return
		}
	}
	j.fault("a record of no change that is still to come: %s; next is %s", brief(r), t.expects(r))
}

// tells tells whether a record is of a change. A row that goes to and fro has the same change twice, and if one of them lies in a
// gap it counts which: MariaDB's names of transactions tell, or the times, which MySQL's log has of the commit and a queue of the
// statement.
func (j *judge) tells(r *record.Record, c *change) bool {
	from, name, logged := c.opened, "", strings.HasPrefix(r.Key, "b:")
	if logged {
		from, name = c.began, c.tx
	}
	switch {
	case c.op != r.Op || c.payload != string(r.Payload):
		return false
	case name != "":
		return strings.HasPrefix(r.Key, "b:"+name+"/")
	}
	return !r.At.Before(from.Add(-j.blur)) && !r.At.After(c.done.Add(j.blur))
}

// missed holds that the changes from one to another lie in gaps that were named since the row's last record.
func (j *judge) missed(t *trail, from, to int) {
	for i := from; i < to; i++ {
		c := &t.changes[i]
		within := func(g gap) bool { return c.done.After(g.from.Add(-slack)) && c.began.Before(g.to.Add(slack)) }
		if !c.mine || j.unknown(t, i) {
			continue
		}
		if j.passed++; !slices.ContainsFunc(j.gaps[t.gaps:j.now], within) {
			j.fault("lost: %s of %.300s, committed at %s%s", c.op, c.payload, c.done.Format(time.StampMilli), j.tale(t.row, t))
		}
	}
}

// unknown tells whether nobody can know the owner of a change: the product stands nowhere, and there was a gap since it stood at a
// station (capture.Scope, its limits).
func (j *judge) unknown(t *trail, i int) bool {
	if !t.changes[i].vague {
		return false
	}
	var stood time.Time
	for ; i >= 0 && stood.IsZero(); i-- {
		if c := &t.changes[i]; !c.vague {
			stood = c.began
		}
	}
	return slices.ContainsFunc(j.gaps, func(g gap) bool { return g.to.Add(slack).After(stood) })
}

// found is a record of a state that was found after a gap: it was true then or later, and was not told before.
func (j *judge) found(t *trail, r *record.Record) {
	if !strings.HasPrefix(r.Key, "s:") || r.Op != record.Upsert && r.Op != record.Delete {
		j.fault("a record of neither a change nor a state: %s", brief(r))
	}
	run, _, _ := strings.Cut(strings.TrimPrefix(r.Key, "s:"), "/")
	at := j.runs[strings.TrimSuffix(run, "-")]
	if at < t.gaps {
		j.fault("a state was found without a gap: %s", brief(r))
		return
	}
	state := stateOf(r)
	if t.last != nil && stateOf(t.last) == state || t.last == nil && state == "" {
		j.fault("told twice: %s", brief(r))
	}
	for i := max(t.next-1, t.found, 0); i < len(t.changes); i++ {
		over := i+1 < len(t.changes) && t.changes[i+1].done.Before(j.gaps[at].to.Add(-slack))
		if plain(t.changes[i].state()) == state && !over {
			t.found = i
			return
		}
	}
	j.fault("a state that the row didn't have: %s; next is %s", brief(r), t.expects(r))
}

// polled is a record of a state that a look found: the states of a row come in their order, and none is called a change that was
// seen.
func (j *judge) polled(t *trail, r *record.Record) {
	if r.Op == record.Insert || !strings.HasPrefix(r.Key, "p:") && !strings.HasPrefix(r.Key, "s:") {
		j.fault("a poll claims to have seen a change: %s", brief(r))
	}
	state := stateOf(r)
	if t.last != nil && stateOf(t.last) == state {
		j.fault("told twice: %s", brief(r))
	}
	for i := max(t.found, 0); i < len(t.changes); i++ {
		if plain(t.changes[i].state()) == state {
			t.found = i
			return
		}
	}
	j.fault("a state that the row didn't have, or had before: %s", brief(r))
}

// end judges what is left when all records were read: each row's last record tells how it is.
func (j *judge) end(m *model) {
	for row, t := range j.rows {
		last := &t.changes[len(t.changes)-1]
		if j.way != byPolling {
			j.missed(t, t.next, len(t.changes))
		}
		state, is := "", plain(last.state())
		if t.last != nil {
			state = stateOf(t.last)
		}
		if state != is && j.ends(row, t) {
			j.fault("the last record of %s doesn't tell how it is: %.200s, but %.200s%s", row, is, state, j.tale(row, t))
		}
		if !captured(row, []string{goodsTable}) {
			continue
		}
		for n, rest := range m.rests {
			if s, was := rest[row]; was && s != "" && !t.states[s] {
				j.fault("%s stayed a while at rest %d and nothing was told of it: %.200s%s", row, n, s, j.tale(row, t))
			}
		}
	}
	slices.Sort(j.faults)
}

// ends tells whether the last record of a row must tell how it is: not that of a product which isn't on the station, for another
// one may speak for it. What came and went between two looks, or in a gap, is known to nobody.
func (j *judge) ends(row string, t *trail) bool {
	last := &t.changes[len(t.changes)-1]
	switch {
	case captured(row, []string{goodsTable}):
		return true
	case last.op == record.Delete:
		left := slices.ContainsFunc(t.changes[t.next:], func(c change) bool { return !c.mine }) // in a gap, and came back there
		return last.mine && !left && !j.unknown(t, len(t.changes)-1) && t.last != nil && j.way != byPolling
	}
	return last.station == here
}

// expects tells what should have come in place of a record: the next change, or how a change of the same number differs.
func (t *trail) expects(r *record.Record) string {
	number := regexp.MustCompile(`"(n|buylo_name)":"\d+"`)
	n := number.FindString(string(r.Payload))
	for i, c := range t.changes {
		if number.FindString(c.payload) == n && c.op == r.Op {
			return fmt.Sprintf("change %d of %d (%s at %s), and %d comes next; it differs in %s", i, len(t.changes), c.tx, c.done.Format(time.StampMicro), t.next,
				differences(c.payload, string(r.Payload)))
		}
	}
	if t.next == len(t.changes) {
		return "nothing"
	}
	return fmt.Sprintf("%s %.300s", t.changes[t.next].op, t.changes[t.next].payload)
}

// differences are the fields of two payloads that differ.
func differences(a, b string) string {
	x, y := strings.Split(a, `,"`), strings.Split(b, `,"`)
	var list []string
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i] != y[i] {
			list = append(list, strings.Join(x[min(i, len(x)):min(i+1, len(x))], "")+" and "+strings.Join(y[min(i, len(y)):min(i+1, len(y))], ""))
		}
	}
	return strings.Join(list, "; ")
}

// later compares versions, which are decimal numbers.
func later(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

func brief(r *record.Record) string {
	return fmt.Sprintf("%s %s %s of %s at %s: %.100s", r.Key, r.Op, r.ID, r.Collection, r.At.Format(time.RFC3339), r.Payload)
}

// tale is what happened to a row and what was told of it, for a fault.
func (j *judge) tale(row string, t *trail) string {
	var b strings.Builder
	for _, c := range t.changes {
		fmt.Fprintf(&b, "\n    %s %s %s, mine %t: %s", c.done.Format("15:04:05.000"), c.tx, c.op, c.mine, short(c.payload))
	}
	for _, g := range j.gaps {
		fmt.Fprintf(&b, "\n    gap %s from %s to %s: %.100s", g.run, g.from.Format("15:04:05.000"), g.to.Format("15:04:05.000"), g.reason)
	}
	for i := range j.records {
		if r := &j.records[i]; rowOf(r.Collection, r.ID) == row || r.Collection == capture.Gaps {
			fmt.Fprintf(&b, "\n    told %s %s as of %s: %s", r.Key, r.Op, r.At.Format("15:04:05.000"), short(string(r.Payload)))
		}
	}
	return b.String()
}

// short is the end of a payload, where the columns are that tell its versions apart.
func short(payload string) string { return payload[max(0, len(payload)-150):] }
