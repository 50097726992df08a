package check

import (
	"slices"
	"sort"
	"strings"
)

// Way is one way of using the database.
type Way string

// The ways.
const (
	Packing Way = "packing"
	Binlog  Way = "binlog"
	Polling Way = "polling"
	Queue   Way = "queue" // of a customer's own table only: Buylo's server refuses triggers on its
)

// State is what a Finding comes to.
type State string

// The states. Only a Fault keeps a way from being used.
const (
	Fault   State = "fault"
	Warning State = "warning"
	Unknown State = "unknown" // the server didn't say
	OK      State = "ok"
)

// Administrator runs what mends a finding.
const Administrator = "administrator"

// Finding is one precondition of one way. What mends it is the Fix, the lines of Config, and for what no statement does the
// Advice.
type Finding struct {
	Code   string   `json:"code"`          // stable: "binlog.row_image"
	Way    Way      `json:"way,omitempty"` // none: it is the same for each
	State  State    `json:"state"`
	Fact   string   `json:"fact"`
	Why    string   `json:"why,omitempty"`
	Fix    []string `json:"fix,omitempty"`    // statements, to be run in this order
	Config []string `json:"config,omitempty"` // lines below [mysqld] of the server's configuration file
	Advice string   `json:"advice,omitempty"`
	Who    string   `json:"who,omitempty"`
}

// Judge tells how the facts fit what is wanted: for each way the faults first, then the warnings.
func Judge(f *Facts, w Wanted) []Finding {
	var all []Finding
	for n, way := range w.Ways {
		j := &judge{Facts: f, wanted: w, way: way, about: string(way)}
		switch way {
		case Packing:
			j.packing()
		case Binlog:
			j.binlog()
		case Polling:
			j.polling()
		}
		if n == 0 { // of the account, which serves them all
			j.excess()
		}
		all = append(all, j.sorted()...)
	}
	return all
}

// Usable tells whether nothing in list keeps the way from being used.
func Usable(list []Finding, way Way) bool {
	return !slices.ContainsFunc(list, func(f Finding) bool { return f.Way == way && f.State == Fault })
}

// sorted gives what was found, the worst first.
func (j *judge) sorted() []Finding {
	sort.SliceStable(j.found, func(i, k int) bool { return j.found[i].State.rank() < j.found[k].State.rank() })
	return j.found
}

func (s State) rank() int { return slices.Index([]State{Fault, Warning, Unknown, OK}, s) }

// judge collects the findings of one way.
type judge struct {
	*Facts
	wanted Wanted
	way    Way
	about  string // what the codes begin with
	found  []Finding
}

// add adds a finding of this way, and who is to mend it.
func (j *judge) add(f Finding) {
	f.Way, f.Code = j.way, j.about+"."+f.Code
	if f.State == OK {
		f.Why, f.Fix, f.Config, f.Advice = "", nil, nil, ""
	}
	if len(f.Fix)+len(f.Config) > 0 {
		f.Who = Administrator
	}
	j.found = append(j.found, f)
}

// state is OK if that is right, else bad.
func state(right bool, bad State) State {
	if right {
		return OK
	}
	return bad
}

// mend is what mends one variable.
func (f Finding) mend(s Server, name, value string) Finding {
	fix, config := s.set(name, value)
	f.Fix, f.Config = append(f.Fix, fix...), append(f.Config, config...)
	return f
}

// quoteName quotes a name for a statement of either server.
func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// quoteText quotes a text for a statement.
func quoteText(s string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(s) + "'"
}
