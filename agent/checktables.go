package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"station-agent/uplink/capture"
	"station-agent/uplink/capture/check"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/mysql"
)

// checkTable is one [[table]] of the customer's own.
type checkTable struct {
	Table    string          `json:"table"`
	Source   string          `json:"source"`        // what is configured
	Way      check.Way       `json:"way,omitempty"` // by which its changes are found then; none if it doesn't fit
	Fits     bool            `json:"fits"`
	Why      string          `json:"why"`
	Findings []check.Finding `json:"findings"`
}

// needs are the rights that the [[table]]s take. Who may see a table's triggers may make some: it is the customer's own.
func (c *config) needs() (list []check.Need) {
	for _, t := range c.tables()[1:] {
		table := check.Table{Schema: t.Schema, Name: t.Name}
		if t.Tracked {
			list = append(list, check.Need{Table: table, Rights: t.written()})
		}
		if t.queue == "" {
			list = append(list, check.Need{Table: table, Rights: []string{"SELECT"}})
			continue
		}
		list = append(list, check.Need{Table: table, Rights: []string{"SELECT", "TRIGGER"}},
			check.Need{Table: t.queueTable(), Rights: []string{"SELECT", "DELETE", "UPDATE (taken)"}})
	}
	return list
}

// written are the rights that the write-back into the table's tracking columns takes.
func (t *tracked) written() (list []string) {
	for _, c := range append(capture.Tracking(), t.Updated) {
		if c != "" {
			list = append(list, "UPDATE ("+c+")")
		}
	}
	return list
}

func (t *tracked) queueTable() check.Table {
	name, _ := queue.ParseName(t.queue) // which was checked with the configuration
	return check.Table{Schema: name.Schema, Name: name.Table}
}

// ownWays are the ways by which the table may be captured, in the order in which they are tried.
func (t *tracked) ownWays() []check.Way {
	switch {
	case t.way != byAuto:
		return []check.Way{check.Way(t.way)}
	case t.queue != "":
		return []check.Way{check.Binlog, check.Queue, check.Polling}
	}
	return []check.Way{check.Binlog, check.Polling}
}

// lookAtTables checks each [[table]], as the account that captures. Nothing can be told if that account can't log in.
func (r *siteCheck) lookAtTables(ctx context.Context, c *config, w check.Wanted) {
	if r.Source == byNone {
		return
	}
	as := r.Accounts[len(r.Accounts)-1]
	for _, t := range c.tables()[1:] {
		own := checkTable{Table: t.Spec.String(), Source: t.way}
		w.Ways = t.ownWays()
		var err error
		if as.Facts != nil {
			own.Findings, err = c.lookAtTable(ctx, t, w)
		}
		if as.Facts == nil || err != nil {
			f := check.Finding{Code: "table.login", State: check.Fault, Fact: fmt.Sprintf("the database can't be asked as %s (%s)", as.names, as.Field)}
			if err != nil {
				f.Fact = oneLine(fmt.Sprintf("%s: %v", f.Fact, err))
			}
			own.Findings = []check.Finding{f}
		}
		own.choose(w.Ways)
		r.Tables = append(r.Tables, own)
		if !own.Fits {
			r.Fits = false
			r.Why += fmt.Sprintf("; %s: %s", own.Table, own.Why)
		}
	}
}

// lookAtTable asks about one table. What the account may not see is a finding, and no error.
func (c *config) lookAtTable(ctx context.Context, t *tracked, w check.Wanted) ([]check.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	db, err := c.openAs(c.Capture.User, c.Capture.PasswordFile)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	facts, err := check.Look(ctx, db, check.Own(t.Spec))
	if err != nil {
		return nil, mysql.Explain(err)
	}
	var asked check.Asked
	if _, asked.Unfit = capture.ReadTable(ctx, db, t.Spec); asked.Unfit != nil || facts.Engine == "" { // a view has neither keys nor triggers
		return check.JudgeOwn(facts, w, asked), nil
	}
	keys, err := queue.Cascades(ctx, db, t.Spec)
	if err != nil {
		asked.Cascades = []string{fmt.Sprintf("whether foreign keys change rows of %s on their own isn't known: %v", t.Spec, mysql.Explain(err))}
	}
	for _, k := range keys {
		asked.Cascades = append(asked.Cascades, k.Text)
	}
	if slices.Contains(w.Ways, check.Queue) {
		c.askQueue(ctx, db, t, keys, &asked)
	}
	return check.JudgeOwn(facts, w, asked), nil
}

// askQueue compares the queue with what it should be. The foreign keys are told of already.
func (c *config) askQueue(ctx context.Context, db capture.Querier, t *tracked, keys []queue.Fault, asked *check.Asked) {
	asked.Queue = t.queueTable()
	faults, err := queue.Check(ctx, db, t.Spec, queue.Name{Schema: asked.Queue.Schema, Table: asked.Queue.Name})
	if err != nil {
		asked.Broken = []string{fmt.Sprintf("the queue of %s can't be checked: %v", t.Spec, mysql.Explain(err))}
	}
	for _, f := range faults {
		switch {
		case f.Serious:
			asked.Broken = append(asked.Broken, f.Text)
		case !slices.Contains(keys, f):
			asked.Unsure = append(asked.Unsure, f.Text)
		}
	}
}

// choose takes the first way that nothing keeps from being used.
func (t *checkTable) choose(ways []check.Way) {
	if f := t.fault(""); f != nil {
		t.Why = f.Fact
		return
	}
	var why []string // better ones won't do
	for _, w := range ways {
		f := t.fault(w)
		if f == nil {
			t.Way, t.Fits = w, true
			why = append([]string{fmt.Sprintf("%s takes %s", t.Source, w)}, why...)
			break
		}
		why = append(why, fmt.Sprintf("%s won't do: %s", w, f.Fact))
	}
	t.Why = strings.Join(why, "; ")
}

// fault is the first that keeps a way from being used, or each of them.
func (t *checkTable) fault(w check.Way) *check.Finding {
	i := slices.IndexFunc(t.Findings, func(f check.Finding) bool { return f.Way == w && f.State == check.Fault })
	if i < 0 {
		return nil
	}
	return &t.Findings[i]
}

func (t *checkTable) print(out io.Writer, all bool) {
	fmt.Fprintf(out, "\ntable %s by %s (%s)\n", t.Table, cmp.Or(string(t.Way), "no way"), tally(t.Findings))
	if t.Source == byAuto {
		fmt.Fprintf(out, "  %s\n", oneLine(t.Why))
	}
	printFindings(out, t.Findings, all)
}
