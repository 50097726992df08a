package assign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"station-agent/store/record"
)

const columnWidth = 64 // of external_package_id, in characters (Buylo's external integration guide, section 3)

// failure is an error of the row that an intent is about.
type failure struct {
	intent record.Intent
	err    error
}

func (f failure) Error() string { return fmt.Sprintf("settle item %q: %v", f.intent.Hash, f.err) }
func (f failure) Unwrap() error { return f.err }

func refuse(i record.Intent, err error) record.Outcome {
	return record.Outcome{Intent: i.ID, Result: record.Refused, Text: err.Error()}
}

// attempt guesses what the row of a lone intent shows and swaps it, which is one statement for the usual intent. A wrong
// guess changes nothing; then the row is read and judged.
func (s *Settler) attempt(ctx context.Context, j job) ([]ending, error) {
	i := j[0]
	expect, worth := guess(i)
	for range races {
		if worth {
			done, err := s.exchange(ctx, i, expect)
			if err != nil || done {
				return []ending{{i, record.Outcome{Intent: i.ID, Result: record.Settled}}}, err
			}
		}
		found, there, err := s.read(ctx, i)
		if err != nil {
			return nil, err
		}
		if o, over := judge(i, found, there); over {
			return []ending{{i, o}}, nil
		}
		expect, worth = found, true
	}
	return nil, failure{i, errors.New("somebody else changes the row all the time: tried again")}
}

// fit refuses what the column would take and show differently: "" is never meant, and blanks beyond the width are cut
// without an error in any mode of the server.
func fit(p record.Value) error {
	switch {
	case p == nil:
		return nil
	case *p == "":
		return errors.New("write package: an empty name is never written; to clear an item is another intent")
	case utf8.RuneCountInString(*p) > columnWidth:
		return fmt.Errorf("write package %q: longer than %d characters", *p, columnWidth)
	}
	return nil
}

// guess is the value the row most likely shows: of those that may be replaced, the one named last.
func guess(i record.Intent) (v record.Value, ok bool) {
	for _, r := range slices.Backward(i.Replaces) {
		if !record.Same(r, i.Package) {
			return r, true
		}
	}
	return nil, false
}

// judge is the answer of a row to an intent; it isn't over while the row shows a value that may be replaced.
func judge(i record.Intent, found record.Value, there bool) (o record.Outcome, over bool) {
	o.Intent = i.ID
	switch {
	case !there:
		o.Result, o.Text = record.NoSuchRow, fmt.Sprintf("item %q isn't in the table: it was removed upstream, or the code is wrong", i.Hash)
	case record.Same(found, i.Package):
		o.Result = record.SameValue
	case i.May(found):
		return o, false
	default:
		o.Result, o.Found = record.OtherValue, found
		o.Text = fmt.Sprintf("item %q is %s, so it wasn't %s: look at the item", i.Hash, inside(found), put(i.Package))
	}
	return o, true
}

func inside(v record.Value) string {
	if v == nil {
		return "in no package"
	}
	return fmt.Sprintf("in package %q", *v)
}

func put(v record.Value) string {
	if v == nil {
		return "cleared"
	}
	return fmt.Sprintf("put into %q", *v)
}

// exchange writes the wanted value if the row shows expect, and tells whether it did. expect differs from the wanted
// value, so a row that matched is a row that changed. Without an answer it may still run.
func (s *Settler) exchange(ctx context.Context, i record.Intent, expect record.Value) (done bool, err error) {
	err = s.swap.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		res, err := stmt.ExecContext(ctx, i.Package, i.Hash, i.Hash, expect)
		if err = s.cfg.Explain(err); err != nil {
			if !notDone(err) {
				s.doubts.add(i.Hash, expect, time.Now().Add(s.grace))
			}
			return err
		}
		n, err := res.RowsAffected()
		done = n == 1
		return err
	})
	return done, s.explain(i, err)
}

// read gives the value of the row that carries exactly the hash of i.
func (s *Settler) read(ctx context.Context, i record.Intent) (v record.Value, there bool, err error) {
	err = s.look.use(ctx, func(ctx context.Context, stmt *sql.Stmt) error {
		var name string
		err := stmt.QueryRowContext(ctx, i.Hash).Scan(&name, &v)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		there = name == i.Hash
		return err
	})
	return v, there, s.explain(i, err)
}

// explain gives err its class and text, and says which row it is about.
func (s *Settler) explain(i record.Intent, err error) error {
	if err == nil {
		return nil
	}
	return failure{i, s.cfg.Explain(err)}
}
