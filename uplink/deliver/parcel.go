package deliver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"station-agent/store/record"
)

// forgets is the age from which Certyo may not know an idempotency key any more, with an hour to spare (guide: 24 hours).
const forgets = 23 * time.Hour

// askMost is how many records of one parcel are looked up, as each takes a request.
const askMost = 50

// parcel is what goes in one request, or in the few that follow while it is taken apart. Its memory is used again.
type parcel struct {
	round
	head    []record.Queued
	ends    []int             // of the requests
	known   []record.Delivery // what Certyo had already
	began   time.Time
	tries   row      // the suspect that is tried, zero for none
	doubted []uint64 // sequences of what it may have
	err     error
}

// stale tells whether a record may have been posted so long ago that Certyo may not know its key any more.
func stale(q *record.Queued) bool {
	return q.Again && (q.First.IsZero() || time.Since(q.First) > forgets)
}

// fresh cuts a batch before the record that would be one too many to look up.
func fresh(head []record.Queued) []record.Queued {
	n := 0
	for i := range head {
		if stale(&head[i]) {
			if n++; n > askMost {
				return head[:i]
			}
		}
	}
	return head
}

// end lets go of the records.
func (p *parcel) end() {
	p.round.end()
	clear(p.head)
	*p = parcel{round: p.round, head: p.head[:0], ends: p.ends[:0]}
}

// send makes one request, and the next ones only as long as everything is refused: a record that can't share a
// request with those behind it finds its company there.
func (p *parcel) send(ctx context.Context, lookup Lookup) error {
	if err := p.ask(ctx, lookup); err != nil {
		return err
	}
	from := 0
	for _, end := range p.ends {
		if from == end {
			continue
		}
		if err := p.post(ctx, from, end); err != nil {
			return err
		}
		if accepted, _, _ := p.count(); accepted > 0 {
			break
		}
		from = end
	}
	return nil
}

// ask looks at Certyo for those records whose key it may have forgotten. What it has is settled with the receipt that it tells;
// what it may have is posted and marked.
func (p *parcel) ask(ctx context.Context, lookup Lookup) error {
	for i := range p.head {
		q := &p.head[i]
		if !stale(q) {
			continue
		}
		known, receipt := record.KnownUnclear, (*record.Receipt)(nil)
		if lookup != nil {
			p.limiter.posts.wait(ctx)
			var err error
			if known, receipt, err = lookup.Lookup(ctx, q.Record); err != nil && record.ClassOf(err) != record.ThisOne {
				return fmt.Errorf("ask whether Certyo has a record that may have been posted more than %s ago: %w", forgets, err)
			}
			p.limiter.granted()
		}
		switch {
		case known == record.KnownYes && receipt != nil:
			p.takeOut(record.Delivery{Seq: q.Seq, Receipt: receipt})
		case known != record.KnownNo:
			p.doubted = append(p.doubted, q.Seq)
		}
	}
	return nil
}

// takeOut takes a record out of the requests that are to be made, as it was accepted before.
func (p *parcel) takeOut(y record.Delivery) {
	p.known = append(p.known, y)
	at := slices.Index(p.seqs, y.Seq)
	p.records, p.seqs, p.answers = slices.Delete(p.records, at, at+1), slices.Delete(p.seqs, at, at+1), slices.Delete(p.answers, at, at+1)
	for i := range p.ends {
		if p.ends[i] > at {
			p.ends[i]--
		}
	}
}

// receipt gives a receipt its mark if the record may be at Certyo twice.
func (p *parcel) receipt(seq uint64, r *record.Receipt) *record.Receipt {
	if len(p.doubted) > 0 && !r.Replayed && slices.Contains(p.doubted, seq) {
		marked := *r
		marked.Doubled = true
		return &marked
	}
	return r
}
