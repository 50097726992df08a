package model

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// trial is a small history: lines of one or two stations' logs and changes of the table, a second apart.
type trial struct {
	court
	clock time.Time
}

func newTrial(r ...rules) *trial {
	t := &trial{clock: time.Unix(1_800_000_000, 0)}
	t.changes = map[string][]change{}
	for n, rule := range r {
		t.benches = append(t.benches, bench{account: fmt.Sprintf("bench%d", n), ledger: newLedger(rule)})
	}
	return t
}

func (t *trial) tick() time.Time {
	t.clock = t.clock.Add(10 * time.Second) // beyond any slack
	return t.clock
}

// says is an answer of station n: "added,PKG-1,h,1" for step, package, item and number of items; then its text.
func (t *trial) says(n int, answer string, text ...string) *trial {
	f := strings.Split(answer, ",")
	l := line{Time: t.tick(), Msg: "verdict", Verdict: "accepted", Step: f[0], Package: f[1], Hash: f[2], Text: strings.Join(text, "")}
	fmt.Sscan(f[3], &l.Count)
	if f[0] == "conflict" {
		l.Verdict, l.Step = "conflict", ""
	}
	if f[0] == "added" && l.Text == "override" {
		l.Code = prefix + "OVERRIDE"
	}
	t.benches[n].take(l)
	return t
}

func (t *trial) calls(n int, hash, value, result string) *trial {
	t.benches[n].take(line{Time: t.tick(), Msg: "call back", Hash: hash, Package: value, Result: result})
	return t
}

// writes is a change of the table.
func (t *trial) writes(by, hash, from, to string) *trial {
	t.changes[hash] = append(t.changes[hash], change{id: int64(len(t.changes[hash])), at: t.tick(), by: by, hash: hash, from: from, to: to})
	return t
}

func (t *trial) breaks(n int) *trial {
	at := t.tick()
	t.benches[n].broken = append(t.benches[n].broken, period{at, at})
	return t
}

func (t *trial) needs(n int, hash, value string) *trial {
	t.benches[n].parked = append(t.benches[n].parked, intent{Hash: hash, Package: &value})
	return t
}

// packed is an item in a package, asked for and written.
func (t *trial) packed() *trial {
	return t.writes("root", "h", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1").writes("bench0", "h", null, "P")
}

// TestCourt holds that the judge finds what it is there to find, and lets pass what is right.
func TestCourt(t *testing.T) {
	item, together, first := rules{}, rules{together: true}, rules{itemsFirst: true}
	conflict := `"Item" is in package "F" and stays there`
	for name, c := range map[string]struct {
		*trial
		want string // within the fault; "" for none
	}{
		"packed":                 {newTrial(item).packed(), ""},
		"packed by nobody":       {newTrial(item).writes("root", "h", gone, null).writes("bench0", "h", null, "P"), "nobody there asked"},
		"packed wrongly":         {newTrial(item).packed().writes("bench0", "h", "P", "Q"), "nobody there asked"},
		"written before":         {newTrial(item).writes("root", "h", gone, null).writes("bench0", "h", null, "P").says(0, "opened,P,,0").says(0, "added,P,h,1"), "nobody there asked"},
		"by the other operator":  {newTrial(item, item).packed().writes("bench1", "h", "P", null), "nobody there asked"},
		"never written":          {newTrial(item).writes("root", "h", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1"), "never showed"},
		"never written, called":  {newTrial(item).writes("root", "h", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1").calls(0, "h", "P", "conflict"), ""},
		"called for another":     {newTrial(item).writes("root", "h", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1").calls(0, "h", "Q", "conflict"), "never showed"},
		"not called":             {newTrial(item).packed().needs(0, "h", "P"), "nobody was called"},
		"cleared by another":     {newTrial(item).packed().writes("root", "h", "P", null), ""},
		"deleted":                {newTrial(item).packed().writes("root", "h", "P", gone), ""},
		"undone":                 {newTrial(item).packed().says(0, "undone,P,h,0").writes("bench0", "h", "P", null), ""},
		"undone, but not there":  {newTrial(item).packed().says(0, "undone,P,h,0"), "never showed"},
		"undone and written":     {newTrial(item).packed().says(0, "undone,P,h,0").writes("bench0", "h", "P", null).writes("bench0", "h", null, "P"), "nobody there asked"},
		"undone, written late":   {newTrial(item).packed().breaks(0).says(0, "undone,P,h,0").writes("bench0", "h", "P", null).breaks(0).writes("bench0", "h", null, "P"), "the station itself took it away"},
		"late, and put right":    {newTrial(item).packed().breaks(0).says(0, "undone,P,h,0").writes("bench0", "h", "P", null).breaks(0).writes("bench0", "h", null, "P").writes("bench0", "h", "P", null), ""},
		"overwritten":            {newTrial(item).writes("root", "h", null, "F").says(0, "opened,P,,0").says(0, "added,P,h,1").writes("bench0", "h", "F", "P"), "not its own"},
		"twin overwritten":       {newTrial(item).packed().writes("root", "h", "P", "p ").says(0, "undone,P,h,0").writes("bench0", "h", "p ", null), "not its own"},
		"empty text overwritten": {newTrial(item).writes("root", "h", null, "").says(0, "opened,P,,0").says(0, "added,P,h,1").writes("bench0", "h", "", "P"), "not its own"},
		"overridden": {newTrial(item).writes("root", "h", null, "F").says(0, "opened,P,,0").says(0, "conflict,P,h,0", conflict).
			says(0, "added,P,h,1", "override").writes("bench0", "h", "F", "P").says(0, "undone,P,h,0").writes("bench0", "h", "P", "F"), ""},
		"another was named": {newTrial(item).writes("root", "h", null, "G").says(0, "opened,P,,0").says(0, "conflict,P,h,0", conflict).
			says(0, "added,P,h,1", "override").writes("bench0", "h", "G", "P"), "not its own"},
		"written at close":            {newTrial(together).writes("root", "h", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1").says(0, "closed,P,,1").writes("bench0", "h", null, "P"), ""},
		"written before close":        {newTrial(together).packed().says(0, "cancelled,P,,0", "taken back: 1 item; no package is open"), "nobody there asked"},
		"half of a package":           {newTrial(together).two("closed,P,,2").writes("bench0", "h", null, "P").calls(0, "i", "P", "conflict"), "some rows of one scan"},
		"the whole package":           {newTrial(together).two("closed,P,,2").writes("bench0", "h", null, "P").at(0).writes("bench0", "i", null, "P"), ""},
		"none of a package":           {newTrial(together).two("closed,P,,2").calls(0, "h", "P", "refused").calls(0, "i", "P", "conflict"), ""},
		"assigned":                    {newTrial(first).gathered().says(0, "assigned,P,,1").writes("bench0", "h", null, "P"), ""},
		"gathered only":               {newTrial(first).gathered(), ""},
		"gathered and written":        {newTrial(first).gathered().writes("bench0", "h", null, "P"), "nobody there asked"},
		"cleared":                     {newTrial(item).packed().says(0, "cleared,P,,0", `taken out of package "P": 1 item`).writes("bench0", "h", "P", null), ""},
		"cleared, but not there":      {newTrial(item).packed().says(0, "cleared,P,,0", `taken out of package "P": 1 item`), "never showed"},
		"clearing undone":             {newTrial(item).packed().says(0, "cleared,P,,0", `taken out of package "P": 1 item`).writes("bench0", "h", "P", null).says(0, "undone,P,,1", "was undone").writes("bench0", "h", null, "P"), ""},
		"added twice":                 {newTrial(item).packed().says(0, "added,P,h,1"), "added twice"},
		"added again when it was out": {newTrial(item).packed().writes("root", "h", "P", null).says(0, "added,P,h,1").writes("bench0", "h", null, "P"), ""},
		"closed with another number":  {newTrial(item).packed().says(0, "closed,P,,2"), "add up to"},
		"another number of items":     {newTrial(item).packed().says(0, "added,P,i,3").writes("bench0", "i", null, "P"), "add up to"},
	} {
		c.judge()
		got := strings.Join(c.faults, "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: want a fault with %q, got %q", name, c.want, got)
		}
	}
}

// two items in an open package, and how that ended.
func (t *trial) two(end string) *trial {
	return t.writes("root", "h", gone, null).writes("root", "i", gone, null).says(0, "opened,P,,0").says(0, "added,P,h,1").says(0, "added,P,i,2").says(0, end)
}

func (t *trial) gathered() *trial { return t.writes("root", "h", gone, null).says(0, "added,,h,1") }

// at lets the next event happen so long after the last one.
func (t *trial) at(d time.Duration) *trial {
	t.clock = t.clock.Add(d - 10*time.Second)
	return t
}
