package matrix

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// TestJudgeKnowsWhichOfEqualChangesWasTold has a row become x, y and x again around the end of a gap, and then z.
func TestJudgeKnowsWhichOfEqualChangesWasTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     [4]float64 // when they were committed, in seconds behind the beginning of the gap, which lasts ten
		told   []int      // which of them have a record
		faults string
	}{
		{"all told", [...]float64{14, 14.1, 14.2, 15}, []int{0, 1, 2, 3}, ""},
		{"x and y in the gap", [...]float64{9, 9.1, 14, 15}, []int{2, 3}, ""},
		{"x, y and x in the gap", [...]float64{9, 9.1, 9.2, 15}, []int{3}, ""},
		{"y and x lost shortly behind the gap", [...]float64{10.5, 10.6, 10.7, 15}, []int{0, 3}, "lost.*lost"},
		{"x and y lost long behind the gap", [...]float64{14, 14.1, 14.2, 15}, []int{2, 3}, "lost.*lost"},
		{"x told twice", [...]float64{9, 9.1, 14, 15}, []int{2, 2, 3}, "of no change that is still to come.*comes twice"},
	} {
		for _, kind := range []string{"mariadb", "mysql", "queue"} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				row := judged{kind: kind}
				row.change(record.Insert, "a", began.Add(-time.Minute))
				row.tell(0)
				row.gap(began, began.Add(10*time.Second))
				for i, state := range [...]string{"x", "y", "x", "z"} {
					row.change(record.Update, state, began.Add(time.Duration(c.at[i]*float64(time.Second))))
				}
				for _, i := range c.told {
					row.tell(1 + i)
				}
				faults := strings.Join(row.judge().faults, "\n")
				if !regexp.MustCompile("(?s)"+c.faults).MatchString(faults) || c.faults == "" && faults != "" {
					t.Errorf("faults\n%s\nwant %q", faults, c.faults)
				}
			})
		}
	}
}

// judged is the one row of a judgement, by what its records are of: MariaDB's log, which has names of transactions that the clerks
// know and whole seconds, MySQL's log, or a queue.
type judged struct {
	kind    string
	changes []change
	records []record.Record
}

// change has the row changed by a transaction that takes a while.
func (d *judged) change(op record.Op, state string, at time.Time) {
	c := change{op: op, payload: fmt.Sprintf(`{"state":%q}`, state), mine: true, opened: at.Add(-50 * time.Millisecond), began: at.Add(-time.Millisecond), done: at.Add(time.Millisecond)}
	if d.kind == "mariadb" {
		c.tx = fmt.Sprintf("0-1-%d", len(d.changes)+1)
	}
	d.changes = append(d.changes, c)
}

// tell makes the record of a change.
func (d *judged) tell(i int) {
	c := &d.changes[i]
	r := record.Record{Collection: goodsTable, ID: "1", Version: fmt.Sprint(1000 + len(d.records)), Op: c.op, Payload: []byte(c.payload)}
	switch d.kind {
	case "mariadb":
		r.At = c.began.Truncate(time.Second)
		r.Key = fmt.Sprintf("b:%s/%d/0", c.tx, r.At.UnixMicro())
	case "mysql":
		r.At = c.began.Add(time.Millisecond)
		r.Key = fmt.Sprintf("b:uuid:%d/%d/0", i+1, r.At.UnixMicro())
	default:
		r.At = c.opened.Add(time.Millisecond)
		r.Key = fmt.Sprintf("q:random%d", i)
	}
	d.records = append(d.records, r)
}

// gap makes the record that names a gap.
func (d *judged) gap(from, to time.Time) {
	at := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	d.records = append(d.records, record.Record{
		Collection: capture.Gaps, ID: "run", Key: "s:run/gap", At: to,
		Payload: fmt.Appendf(nil, `{"reason":"purged","from":{"at":%q},"to":{"at":%q}}`, at(from), at(to)),
	})
}

func (d *judged) judge() *judge {
	c := &cell{way: byPosition, tables: []string{goodsTable}, blur: slack, begun: d.changes[0].began}
	if d.kind != "mariadb" {
		c.blur = 5 * time.Millisecond
	}
	return judgement(c, &model{rows: map[string][]change{rowOf(goodsTable, "1"): d.changes}}, d.records)
}
