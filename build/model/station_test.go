package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"station-agent/build/bed"
	"station-agent/store"
	"station-agent/store/record"
)

// answer is a verdict as the operator heard it and as the journal has it.
type answer struct {
	code, verdict, step, label, hash string
	count                            int
}

func answerOf(l line) answer {
	return answer{l.Code, l.Verdict, l.Step, l.Package, l.Hash, l.Count}
}

// ready waits until the agent that was started reads its scanner.
func (st *station) ready(ctx context.Context) error {
	for {
		l, err := st.agent.next(ctx, st.read)
		if err != nil {
			return fmt.Errorf("start station %d: %w", st.n, err)
		}
		st.takeLine(l)
		if l.What == "reader scanner" && (l.Msg == "up" || l.Msg == "recovered") {
			return nil
		}
	}
}

func (st *station) takeLine(l line) {
	st.read++
	if l.Msg == "verdict" && l.Verdict != string(record.Fault) {
		st.answers = append(st.answers, answerOf(l))
	}
	st.ledger.take(l)
}

// answerTime is beyond any patience: the agent promises 100 ms, this is a machine with other work to do.
const answerTime = 20 * time.Second

// scan holds a code before the scanner and waits for the answer. Answers to scans that were made before are read on the way.
// It is no error if the agent dies over it: then nobody knows yet.
func (st *station) scan(ctx context.Context, code string) (l line, answered bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if err := st.scanner.Scan(code); err != nil {
		return l, false, err
	}
	st.world.count("scans")
	for {
		l, err = st.agent.next(ctx, st.read)
		switch {
		case errors.Is(err, bed.ErrEnded):
			return l, false, nil
		case err != nil:
			return l, false, fmt.Errorf("station %d: no answer to %q: %w", st.n, code, err)
		}
		st.takeLine(l)
		if l.Msg == "verdict" && l.Code == code {
			return l, true, nil
		}
	}
}

// revive starts the agent after its death. What it did not get to say is read from the journal before.
func (st *station) revive(ctx context.Context) error {
	if err := st.compare(); err != nil {
		return err
	}
	if err := st.agent.Start(); err != nil {
		return err
	}
	if err := st.ready(ctx); err != nil && !errors.Is(err, bed.ErrEnded) {
		return err
	}
	return nil
}

// catchUp reads what is there of the log.
func (st *station) catchUp() error {
	for st.read < st.agent.Mark() {
		l, err := st.agent.next(context.Background(), st.read)
		if err != nil {
			return err
		}
		st.takeLine(l)
	}
	return nil
}

// compare holds the answers of a dead agent against its journal: each is there, and at most one more, which the operator did
// not get to hear.
func (st *station) compare() error {
	if err := st.catchUp(); err != nil {
		return err
	}
	n := 0
	err := store.ReplayDir(st.path("store"), func(e record.Entry) error {
		if e.Scan == nil {
			return nil
		}
		l := lineOf(e)
		switch {
		case n == len(st.answers):
			st.answers = append(st.answers, answerOf(l))
			st.ledger.take(l)
			st.broken("lost answers", l.Time)
		case n >= st.journaled && st.answers[n] != answerOf(l):
			return fmt.Errorf("the operator was told %+v, the journal says %+v", st.answers[n], answerOf(l))
		}
		n++
		st.journaled = max(st.journaled, n)
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("station %d: compare answers with the journal: %w", st.n, err)
	case n < len(st.answers):
		return fmt.Errorf("station %d: %d answers, but only %d are in the journal: green was not on disk", st.n, len(st.answers), n)
	}
	return nil
}

// lineOf is the line that the agent would have written.
func lineOf(e record.Entry) line {
	s := e.Scan
	return line{
		Time: e.At.Wall, Msg: "verdict", Code: s.Code, Verdict: string(s.Verdict), Step: string(s.Step), Package: s.Package,
		Hash: s.Hash, Count: s.Count, Text: s.Text, Raw: fmt.Sprintf("journal entry %d: %+v", e.Seq, *s),
	}
}

// finish ends what is open or gathered, now that nothing breaks any more, and waits until nothing waits for the database.
func (st *station) finish(ctx context.Context, r *rand.Rand) error {
	for st.agent.Ended() {
		if err := st.revive(ctx); err != nil {
			return err
		}
	}
	o := newOperator(st, r)
	for st.ledger.label != "" || len(st.ledger.items) > 0 {
		if _, err := o.ask(ctx, o.ending()); err != nil {
			return err
		}
	}
	for {
		waiting, parked, err := st.agent.intents(ctx)
		if err != nil {
			return err
		}
		st.parked = parked
		if len(waiting) == 0 {
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("station %d: %d intents still wait for a database that answers: %+v", st.n, len(waiting), waiting)
		}
	}
}

// end stops the agent and reads its last words.
func (st *station) end() error {
	if err := st.agent.stop(); err != nil {
		return fmt.Errorf("station %d: %w", st.n, err)
	}
	return st.compare()
}
