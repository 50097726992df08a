package check

import (
	"time"

	"station-agent/uplink/capture"
)

// Spec is a table, by the names of what is needed in it.
type Spec struct {
	*capture.Spec
	Package string // the one column that is written
	Changed string // when the row was changed last
}

// Buylo is the preset for the table that Buylo's bridge shares.
func Buylo(schema string) Spec {
	return Spec{Spec: capture.Buylo(schema), Package: "external_package_id", Changed: "updated_at"}
}

// Table is schema and name alone.
func (s Spec) Table() Table { return Table{s.Schema, s.Name} }

// Wanted is what one account is to serve.
type Wanted struct {
	Ways       []Way         // to judge
	Serves     []Way         // those that are really used: what only the others need is too much
	Outage     time.Duration // the longest that a station is expected to be away
	ByGTID     bool          // the configuration demands GTIDs
	Needs      []Need        // what the account may do besides, such as reading a map of tags
	Workspaces []string      // schemas of the customer's own, in which it may do anything
}

// Need is what an account may do with one table, in the words of GRANT: "SELECT", "UPDATE (taken)".
type Need struct {
	Table  Table
	Rights []string
}

// Facts are what the server says, as one account sees it.
type Facts struct {
	Server  Server            `json:"server"`
	User    string            `json:"user"` // by CURRENT_USER(), as are grants
	Host    string            `json:"host"`
	Vars    map[string]string `json:"variables"`
	Rights  []Right           `json:"rights"`
	Columns []Column          `json:"columns"` // of the table; none if the account can't see it
	Indexes []Index           `json:"indexes"`
	Rows    int64             `json:"rows_about"` // of it, as the server reckons; -1 if it doesn't say
	Engine  string            `json:"engine"`     // "" of a view
	Zone    string            `json:"time_zone"`  // of the server
	Shift   time.Duration     `json:"shift_ns"`   // of the clock of our own connections from UTC
	Away    time.Duration     `json:"away_ns"`    // of the server's clock from this machine's
	Replica *bool             `json:"replica"`    // of another server; nil if it doesn't say
	Logged  *Logged           `json:"logged"`     // nil if it doesn't say
	Limited string            `json:"limited"`    // why a statement with a time limit was refused; "" if it was taken
	Unread  map[string]string `json:"unread"`     // questions without an answer, with the reason

	spec Spec
}

// Column is one column of the table.
type Column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`   // "varchar(64)"
	Length int64  `json:"length"` // in characters; 0 for what isn't text
	Null   bool   `json:"null"`
	Extra  string `json:"extra"` // "on update current_timestamp()"
	Define string `json:"-"`     // character set and collation, in the words of a column's definition
}

// Index is one index of the table.
type Index struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Hidden  bool     `json:"hidden,omitempty"` // statements don't use it: invisible (MySQL), ignored (MariaDB)
	Unique  bool     `json:"unique,omitempty"`
}

// Logged is which schemas go into the binary log: all if both are empty.
type Logged struct {
	Only   string `json:"only"`
	Except string `json:"except"`
}

func (f *Facts) column(name string) *Column {
	for i := range f.Columns {
		if f.Columns[i].Name == name {
			return &f.Columns[i]
		}
	}
	return nil
}

// indexed gives an index that begins with the column, a hidden one if there is no other.
func (f *Facts) indexed(column string) (found *Index) {
	for i := range f.Indexes {
		if x := &f.Indexes[i]; x.Columns[0] == column && (found == nil || found.Hidden) {
			found = x
		}
	}
	return found
}
