// Package assign keeps the bench and Buylo's table in step: the Settler brings the rows to what the journal's intents
// want, the Watcher reads the rows on this station.
//
//	journal ── open intents ──▶ Settler ── UPDATE one column of one row ──▶ buylo_products
//	   ▲                          │        (of all rows of a package)          │
//	   └──────── outcomes ────────┘          Picture ◀── rows ── Watcher ◀─────┤
//	                                                             station_agent_epc, a map of tags in a schema of our own
//
// It promises:
//   - A value is only ever replaced by compare-and-set, in the database, against a value that the intent names. What somebody
//     else wrote stays, however late the intent comes.
//   - Hashes, packages and the station are compared byte by byte. The table's collation, under which 'pkg-1  ' equals
//     'PKG-1', only helps to find the row by its key.
//   - An intent ends only when the database answered for its row, a newer one replaced it, or its package is none that the
//     column can show; whatever else happens, it stays in the journal. After a crash the row decides: an UPDATE that was
//     done and not noted is found done.
//   - An intent doesn't end while an earlier statement that got no answer may still run and replace the value it wants: the
//     row is looked at again each second until that time is over (lock wait and statement time, 15 s by default).
//   - What one scan wants together is written in one transaction, whole or not at all. If one row can never show it, nothing
//     is written and every intent is parked, with a text that names that row. If the station is lost in the middle, the server
//     frees the rows within the time of one statement (10 s by default).
//   - A refusal ends an intent: the column never takes the value, or the account has no right to write it. It is parked with
//     what is missing in its text, for a person who mends that and tries it again. All else is tried again here. The Watcher
//     waits for every right that it lacks.
//   - A map of tags that can't be read costs the rows their newest tags and nothing else.
//   - NULL and the empty string are different values, and the empty string is never written.
//   - Every statement has an end, so that a network that swallows everything can't delay the stop of the agent.
//
// It never writes another column, another row or another table, never reads inside a transaction, and never has more than one
// statement of each kind under way.
package assign

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
)

// Condition is the state of one thing outside: it is lost with a reason, or it is back. Both may be called as often as you
// like.
type Condition interface {
	Lost(err error)
	Back()
}

const statementTime = 10 * time.Second // default end of one statement

// quote checks a table's name, SCHEMA.TABLE or TABLE, and puts it between backticks ("external" is a reserved word).
func quote(table string) (string, error) {
	if !regexp.MustCompile(`^([A-Za-z0-9_$]{1,64}\.)?[A-Za-z0-9_$]{1,64}$`).MatchString(table) {
		return "", fmt.Errorf("use table %q: not a name: write SCHEMA.TABLE in letters, digits, _ and $", table)
	}
	return "`" + strings.ReplaceAll(table, ".", "`.`") + "`", nil
}

// statement is prepared at its first use, as the database may be away before, and kept until it fails.
type statement struct {
	db    *sql.DB
	text  string
	limit time.Duration // of one use
	stmt  *sql.Stmt
}

// use runs f with the prepared statement and a context that ends.
func (s *statement) use(ctx context.Context, f func(context.Context, *sql.Stmt) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	if s.stmt == nil {
		stmt, err := s.db.PrepareContext(ctx, s.text)
		if err != nil {
			return err
		}
		s.stmt = stmt
	}
	err := f(ctx, s.stmt)
	if err != nil {
		s.close()
	}
	return err
}

func (s *statement) close() {
	if s.stmt != nil {
		s.stmt.Close() // tells the server to forget it; nobody waits for an answer
		s.stmt = nil
	}
}

// backoff is the pause after failures: it doubles from 250 ms to max, and a random part keeps stations apart that lost the
// same server.
type backoff struct {
	least time.Duration // where the random part begins; 0 for the half
	max   time.Duration
	d     time.Duration
}

func (b *backoff) next() time.Duration {
	b.d = min(max(2*b.d, 250*time.Millisecond), b.max)
	least := cmp.Or(b.least, b.d/2)
	return least + rand.N(b.d-least+1)
}

func (b *backoff) reset() { b.d = 0 }
