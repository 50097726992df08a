package assign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"station-agent/store/record"
)

// job is what is settled at once: a lone intent, or what one scan wants together. Whole or not at all:
//
//	START TRANSACTION ─ UPDATE … UPDATE ─ COMMIT ──▶ every row shows what is wanted
//	                       │ a row doesn't show what it was taken to show
//	                    ROLLBACK ─ read each row ─┬─ it may be replaced, or shows what is wanted ──▶ once more
//	                                              └─ it must not be replaced, or isn't there ──▶ all are parked
//
// The rows are locked in the order of their hashes, so that two stations that work on the same rows wait for one another
// instead of for ever.
type job []record.Intent

// ending is an intent and what became of it.
type ending struct {
	intent  record.Intent
	outcome record.Outcome
}

// gather makes jobs of intents on different rows. A job stands where the first of its intents stood. What is left of a job
// of which some intents ended (superseded, or noted before a crash) is a job.
func gather(list []record.Intent) []job {
	var jobs []job
	group := map[uint64]int{} // the place of the job by its scan
	for _, i := range list {
		n, begun := group[i.Scan]
		switch {
		case i.Together && begun:
			jobs[n] = append(jobs[n], i)
			continue
		case i.Together:
			group[i.Scan] = len(jobs)
		}
		jobs = append(jobs, job{i})
	}
	for _, j := range jobs {
		sort.Slice(j, func(i, k int) bool { return j[i].Hash < j[k].Hash })
	}
	return jobs
}

func (j job) has(hash string) bool {
	return slices.ContainsFunc(j, func(i record.Intent) bool { return i.Hash == hash })
}

// unfit gives the outcomes of the intents whose value is none that the column can show.
func (j job) unfit() (list []record.Outcome) {
	for _, i := range j {
		if err := fit(i.Package); err != nil {
			list = append(list, refuse(i, failure{i, err}))
		}
	}
	return list
}

// culprit is the intent that err is about; the first one if it is about all of them.
func (j job) culprit(err error) record.Intent {
	if f, ok := errors.AsType[failure](err); ok {
		return f.intent
	}
	return j[0]
}

// park ends a job that can never be done: the culprits as given, the others because of the first of them. The culprits
// stand last. A write that is torn loses its end, and what is left open then must not be written without them.
func (j job) park(culprits []record.Outcome) []ending {
	var others, guilty []ending
	for _, i := range j {
		if n := slices.IndexFunc(culprits, func(o record.Outcome) bool { return o.Intent == i.ID }); n >= 0 {
			guilty = append(guilty, ending{i, culprits[n]})
			continue
		}
		text := fmt.Sprintf("item %q wasn't %s: the package is written as a whole or not at all, and %s",
			i.Hash, put(i.Package), culprits[0].Text)
		others = append(others, ending{i, record.Outcome{Intent: i.ID, Result: record.Refused, Text: text}})
	}
	return append(others, guilty...)
}

// wish is an intent and what its row is taken to show.
type wish struct {
	record.Intent
	expect record.Value
	shown  bool // the row shows what is wanted: nothing to write
}

// wishes guesses what the rows show; sure if there is a guess for each of them.
func (j job) wishes() (list []wish, sure bool) {
	list, sure = make([]wish, len(j)), true
	for n, i := range j {
		expect, worth := guess(i)
		list[n], sure = wish{Intent: i, expect: expect}, sure && worth
	}
	return list, sure
}

// attemptAll does for a job what attempt does for a lone intent.
func (s *Settler) attemptAll(ctx context.Context, j job) ([]ending, error) {
	list, sure := j.wishes()
	for range races {
		if sure {
			done, err := s.exchangeAll(ctx, list)
			if err != nil || done {
				return granted(list), err
			}
		}
		culprits, err := s.review(ctx, list)
		if err != nil {
			return nil, err
		}
		if len(culprits) > 0 {
			return j.park(culprits), nil
		}
		sure = true
	}
	return nil, fmt.Errorf("settle %d items of one scan: somebody else changes the rows all the time: tried again", len(j))
}

func granted(list []wish) []ending {
	ends := make([]ending, len(list))
	for n, w := range list {
		ends[n] = ending{w.Intent, record.Outcome{Intent: w.ID, Result: record.Settled}}
		if w.shown {
			ends[n].outcome.Result = record.SameValue
		}
	}
	return ends
}

// review reads the rows and corrects what they are taken to show. It gives the outcomes of those that can never show what
// is wanted.
func (s *Settler) review(ctx context.Context, list []wish) (culprits []record.Outcome, err error) {
	for n := range list {
		w := &list[n]
		found, there, err := s.read(ctx, w.Intent)
		if err != nil {
			return nil, err
		}
		o, over := judge(w.Intent, found, there)
		if o.Result.Parks() {
			culprits = append(culprits, o)
		}
		w.expect, w.shown = found, over
	}
	return culprits, nil
}

// exchangeAll writes what isn't shown yet in one transaction, if every row shows what it is taken to show, and tells
// whether it did. Without the answer to COMMIT nobody knows, and all of it may still come; without another answer nothing
// was done and never will be, as the server rolls back what it gets no COMMIT for.
func (s *Settler) exchangeAll(ctx context.Context, list []wish) (done bool, err error) {
	list = slices.DeleteFunc(slices.Clone(list), func(w wish) bool { return w.shown })
	if len(list) == 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+time.Duration(len(list))*rowTime)
	defer cancel()
	t, err := begin(ctx, s.cfg.DB, s.cfg.Timeout)
	if err != nil {
		return false, fmt.Errorf("settle %d items of one scan: begin: %w", len(list), s.cfg.Explain(err))
	}
	defer t.end(ctx)
	if done, err := s.swapAll(ctx, t, list); err != nil || !done {
		return false, err
	}
	if err := s.cfg.Explain(t.commit(ctx)); err != nil {
		if !notDone(err) {
			s.doubt(list)
		}
		return false, fmt.Errorf("settle %d items of one scan: commit: %w", len(list), err)
	}
	return true, nil
}

// swapAll writes until a row doesn't show what it was taken to show.
func (s *Settler) swapAll(ctx context.Context, t *transaction, list []wish) (all bool, err error) {
	swap, err := t.prepare(ctx, s.swap.text)
	if err != nil {
		return false, s.explain(list[0].Intent, err)
	}
	defer swap.Close()
	for _, w := range list {
		n, err := t.exec(ctx, swap, w.Package, w.Hash, w.Hash, w.expect)
		if err != nil || n != 1 {
			return false, s.explain(w.Intent, err)
		}
	}
	return true, nil
}

func (s *Settler) doubt(list []wish) {
	until := time.Now().Add(s.grace)
	for _, w := range list {
		s.doubts.add(w.Hash, w.expect, until)
	}
}
