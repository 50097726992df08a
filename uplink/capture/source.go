package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"station-agent/store/record"
)

// ErrGap says that the stream can't go on from the given position: what lies between it and the rows of now can only be
// found by comparing. Its text is the reason.
var ErrGap = errors.New("changes were missed")

// Gap is an ErrGap with its reason.
func Gap(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrGap}, args...)...)
}

// OtherWay is the gap behind a position of a source of another kind.
func OtherWay(was, is string) error {
	return Gap("changes were found another way before: by %s, and are now by %s", cmp.Or(was, "binlog"), cmp.Or(is, "binlog"))
}

// Source streams the committed transactions of a database.
type Source interface {
	// Snapshot tells where now is and reads rows of each table: those on this station and, besides, those with the given ids
	// wherever they are; each row once. The rows show every change before that position; they may show later ones, which
	// Run gives too. Of a table without stations it reads nothing: the position then makes Run sweep it under the given run.
	Snapshot(ctx context.Context, want []Want, run string) (record.Position, []State, error)

	// Run gives sink every transaction behind from, whole and in the order of commit, until ctx ends or it fails. It never
	// calls sink twice at a time. Rows that keep refuses are left out; of the others keep takes what it needs, and they may come to
	// sink without their images. With no keep all rows come, whole. An error that is ErrGap means that from is no
	// good any more; every other error is to be tried again from the last position. An error of sink ends Run and is
	// returned.
	Run(ctx context.Context, from record.Position, keep func(*RowChange) bool, sink func(Tx) error) error
}

// Want is a table of which a snapshot is taken, and the ids of rows that are wanted wherever they are.
type Want struct {
	Table *Spec
	IDs   []string
	Quiet bool // a sweep's rows that nobody knew are to be noted, not reported
	All   bool // each of a sweep's rows is to be reported
}

// Tx is one committed transaction, or what was found by looking at the rows, or a sign of life (ID is empty).
type Tx struct {
	Position record.Position // behind it; zero if unknown (a sign of life)
	ID       string          // identity for the key, the same for every reader and every way of reading
	At       time.Time       // commit time by the source, UTC
	Tick     int64           // rises from transaction to transaction as far as the source can tell; for recordVersion
	Rows     []RowChange     // rows of wanted tables; may be empty
	Idle     bool            // nothing lies behind this one now

	// What was found: no older than what the transactions before it showed. Run is the sweep's, "" for a poll.
	Found   []State
	Missing []Absence
	Run     string
	Quiet   bool // rows that nobody knew are noted, not reported
	All     bool // each row is reported, also one that the Shadow has
}

// Absence is a row of the Shadow that is not in its table any more.
type Absence struct {
	Table    *Spec
	ID       string
	From, To time.Time // it was deleted between these, by the server's clock; From is zero if that isn't known
}

// RowChange is what happened to one row.
type RowChange struct {
	Table   *Table
	Ordinal int       // of the row in its transaction, over all tables, before any filter
	Op      record.Op // Insert, Update or Delete
	Before  []any     // nil for an insert; values as Column says
	After   []any     // nil for a delete
	Key     string    // the name of the change, if the source gives each its own; else it follows from Tx and Ordinal

	mapped *change // what keep made of it
	err    error   // why it could not
}

// Retainer is a Source that knows how long its log is kept.
type Retainer interface {
	// Retention tells how long what lies behind from is kept. ErrGap means that a part of it is gone.
	Retention(ctx context.Context, from record.Position) (Retention, error)
}

// Retention is how long a source keeps what lies behind a position, if nobody removes it by hand. Zero: as long as it is
// left alone, or nothing lies there.
type Retention struct {
	Kept  time.Duration // how old a part of the log gets; 0: age doesn't matter
	Left  time.Duration // so long it is kept for certain, often longer; negative: it may go any moment
	Bytes uint64        // the log is also cut at this size, however young it is; 0: size doesn't matter
	Size  uint64        // of the log from the position on
	Names string        // of the settings, for people
}
