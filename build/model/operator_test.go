package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// operator packs at one station: mostly as one should, often not.
type operator struct {
	*station
	r      *rand.Rand
	last   line   // the last answer
	labels int    // new ones that were taken from the roll
	spoilt string // the item that has to be removed before the package can be closed

	holding string // the item that was scanned though somebody holds its row
	regret  bool   // it is undone with the next scan
}

func newOperator(st *station, r *rand.Rand) *operator { return &operator{station: st, r: r} }

// operate scans until ctx ends, and starts the agent again whenever it died.
func (st *station) operate(ctx context.Context, r *rand.Rand) error {
	o := newOperator(st, r)
	for ctx.Err() == nil {
		if st.agent.Ended() {
			if err := st.revive(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			continue
		}
		l, err := o.ask(ctx, o.next(ctx))
		if err != nil {
			return err
		}
		o.last = l
		o.cutShort(ctx)
	}
	return nil
}

// cutShort breaks the connection over which the station writes a row that somebody holds: at the server the statement waits
// on, and may run when the operator has long undone it.
func (o *operator) cutShort(ctx context.Context) {
	if o.last.Step == "added" && o.last.Hash == o.holding && !o.calm.Load() {
		from := time.Now()
		pause(ctx, between(o.r, 5*time.Millisecond, 30*time.Millisecond))
		o.proxy.Cut()
		o.proxy.Restore()
		o.broken("cut short", from)
		o.regret = o.r.IntN(2) == 0
	}
	o.holding = ""
}

// ask scans a code; the answer is empty if the agent died over it. The breath before it is longer than a trigger bounces.
func (o *operator) ask(ctx context.Context, code string) (line, error) {
	time.Sleep(between(o.r, 5*time.Millisecond, 60*time.Millisecond))
	l, _, err := o.scan(ctx, code)
	return l, err
}

// next is what is scanned next.
func (o *operator) next(ctx context.Context) string {
	switch {
	case o.regret:
		o.regret = false
		return prefix + "UNDO"
	case o.last.Verdict == "question":
		return o.ending()
	case o.last.Verdict == "conflict" && strings.Contains(o.last.Text, "remove it first"):
		o.spoilt = o.last.Hash
		return prefix + "REMOVE"
	case o.last.Verdict == "conflict" && o.r.IntN(3) == 0:
		return prefix + "OVERRIDE"
	case o.last.Step == "armed" && o.spoilt != "":
		defer func() { o.spoilt = "" }()
		return o.spoilt
	case o.last.Step == "armed" && o.last.Code == prefix+"REMOVE" && o.r.IntN(10) > 0:
		return o.inside(ctx)
	case o.last.Step == "armed" && o.r.IntN(10) > 0:
		if label, there := o.world.shared(ctx, o.uuid); there && o.r.IntN(2) == 0 {
			return label
		}
		return o.oldLabel()
	case o.rules.itemsFirst:
		return o.gathering()
	case o.ledger.label == "" && o.r.IntN(5) > 0:
		return o.label()
	default:
		return o.packing()
	}
}

// ending answers a question, or ends what is open or gathered: after a restart the label is asked for.
func (o *operator) ending() string {
	n := o.r.IntN(10)
	switch {
	case n < 2:
		return prefix + "CANCEL"
	case o.ledger.label == "":
		return o.label()
	case n < 5 && o.last.Verdict == "question":
		return o.ledger.label
	default:
		return prefix + "CLOSE"
	}
}

func (o *operator) gathering() string {
	if n := o.r.IntN(100); n < 12 && len(o.ledger.items) > 0 {
		return o.label()
	}
	return o.packing()
}

// packing is an item, or a command.
func (o *operator) packing() string {
	switch n := o.r.IntN(100); {
	case n < 58:
		return o.item()
	case n < 68:
		return o.product()
	case n < 76:
		return prefix + "UNDO"
	case n < 82:
		return prefix + "REMOVE"
	case n < 88:
		return prefix + "CLOSE"
	case n < 91:
		return o.label()
	case n < 93:
		return prefix + "CANCEL"
	case n < 95:
		return prefix + "CLEAR"
	case n < 96:
		return prefix + "STATUS"
	case n < 98:
		return prefix + "REMAINING-ONE"
	case n < 99:
		return prefix + "SET-ASIDE"
	default:
		return prefix + "ACKNOWLEDGE"
	}
}

// item is one by its hash: mostly one that is here, now and then any other, one that somebody holds, or one that never was.
func (o *operator) item() string {
	n := o.r.IntN(100)
	if hash, there := o.world.held(o.n, o.r); there && n < 20 {
		o.holding = hash
		return hash
	}
	if i, here := o.world.on(o.n, o.r); here && n < 80 {
		return i.hash
	}
	if n > 96 {
		return hashOf(-o.r.IntN(1000))
	}
	return o.world.any(o.r).hash
}

// product is one by its EAN, in one spelling or another.
func (o *operator) product() string {
	i, here := o.world.on(o.n, o.r)
	if !here {
		i = o.world.any(o.r)
	}
	switch o.r.IntN(4) {
	case 0:
		return "0" + i.ean
	case 1:
		return "010" + i.ean + "21" + fmt.Sprint(o.r.IntN(1000))
	default:
		return i.ean
	}
}

// inside is an item that is in the open package, mostly: by its own hand or somebody else's.
func (o *operator) inside(ctx context.Context) string {
	items := slices.DeleteFunc(slices.Clone(o.ledger.items), func(p packed) bool { return p.hash == "" })
	n := o.r.IntN(10)
	if hash, there := o.world.inside(ctx, o.ledger.label); there && (n < 3 || len(items) == 0) {
		return hash
	}
	if len(items) == 0 || n > 7 {
		return o.item()
	}
	return items[o.r.IntN(len(items))].hash
}

// label is a package label: mostly a new one from the station's own roll, else one that was used here or that all stations
// use.
func (o *operator) label() string {
	switch n := o.r.IntN(10); {
	case n < 6:
		o.labels++
		return fmt.Sprintf("PKG-%04d-%04d", o.n, o.labels)
	case n < 8:
		return o.oldLabel()
	default:
		return o.world.common(o.r)
	}
}

// common is a label that all stations use at that time, and the second writer.
func (w *world) common(r *rand.Rand) string {
	const some, while = 5, 10 * time.Second
	return fmt.Sprintf("PKG-7777-%04d", some*int(time.Since(w.began)/while)+r.IntN(some))
}

func (o *operator) oldLabel() string {
	if len(o.ledger.labels) == 0 || o.r.IntN(6) == 0 {
		return o.world.common(o.r)
	}
	recent := o.ledger.labels[max(0, len(o.ledger.labels)-5):]
	return recent[o.r.IntN(len(recent))]
}
