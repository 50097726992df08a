package deliver

import (
	"context"
	"fmt"

	"station-agent/store/record"
)

// round is one pass over a batch: one request if all goes well, more if it has to be taken apart. Answers are aligned with
// the records; one with neither receipt nor refusal is open.
type round struct {
	certyo  Certyo
	limiter *limiter
	records []record.Record
	seqs    []uint64
	answers []record.Delivery
	mixed   bool // an answer left records open and accepted others
	ahead   int  // so many records went ahead of the first that was accepted, in requests of their own; all if none was
	spoils  int  // one more than the place of the record that an answer to it alone left open, 0 if there is none

	tooLarge, tooManyBytes int // records and bytes of the smallest request that was refused for its size
}

// begin makes r the round of a batch, in the memory of the last one.
func (r *round) begin(batch []record.Queued) {
	r.end()
	for i := range batch {
		r.records, r.seqs = append(r.records, batch[i].Record), append(r.seqs, batch[i].Seq)
		r.answers = append(r.answers, record.Delivery{})
	}
	r.ahead = len(batch)
}

// end lets go of the batch.
func (r *round) end() {
	clear(r.records)
	clear(r.answers)
	*r = round{certyo: r.certyo, limiter: r.limiter, records: r.records[:0], seqs: r.seqs[:0], answers: r.answers[:0]}
}

// post sends the records from..to-1. An error means that some stayed open, and that nothing behind them may be posted
// before they are.
func (r *round) post(ctx context.Context, from, to int) error {
	n := to - from
	r.limiter.posts.wait(ctx)
	r.limiter.posts.spend(r.records[from:to])
	answers, err := r.certyo.Post(ctx, r.records[from:to])
	if isTooLarge(err) {
		r.tooLarge, r.tooManyBytes = n, bytesOf(r.records[from:to])
	}
	switch {
	case record.ClassOf(err) == record.ThisOne && n > 1:
		return r.split(ctx, from, to)
	case record.ClassOf(err) == record.ThisOne:
		r.answers[from] = record.Delivery{Refusal: err.Error()}
		return nil
	case err != nil:
		return err
	case len(answers) != n:
		return fmt.Errorf("%w: %d answers came for %d records", errOpen, len(answers), n)
	}
	open, accepted, why := 0, 0, ""
	for _, a := range answers {
		switch {
		case a.Receipt != nil:
			accepted++
		case a.Refusal == "":
			if open++; open == 1 && a.Open != "" {
				why = ": " + a.Open
			}
		}
	}
	if open > 0 && accepted == 0 && n > 1 { // only failures are listed, maybe: smaller requests tell
		return r.split(ctx, from, to)
	}
	copy(r.answers[from:to], answers)
	if accepted > 0 {
		r.ahead = min(r.ahead, from)
	}
	if open > 0 {
		r.mixed = r.mixed || accepted > 0
		if n == 1 {
			r.spoils = from + 1
		}
		return fmt.Errorf("%w: %d of %d, they are posted again%s", errOpen, open, n, why)
	}
	return nil
}

// split posts the two halves one after the other, so that order holds.
func (r *round) split(ctx context.Context, from, to int) error {
	middle := from + (to-from)/2
	if err := r.post(ctx, from, middle); err != nil {
		return err
	}
	return r.post(ctx, middle, to)
}

// count tells how many were accepted and refused, and why the first of those was.
func (r *round) count() (accepted, refused int, reason string) {
	for _, a := range r.answers {
		switch {
		case a.Receipt != nil:
			accepted++
		case a.Refusal != "":
			if refused++; refused == 1 {
				reason = a.Refusal
			}
		}
	}
	return accepted, refused, reason
}

func bytesOf(records []record.Record) (n int) {
	for i := range records {
		n += len(records[i].Payload)
	}
	return n
}
