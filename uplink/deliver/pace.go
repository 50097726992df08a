package deliver

import (
	"context"
	"time"
)

// Budget is how many requests this station may make at Certyo, which has one limit for all stations of a client. The zero value of
// a field stands for its default.
type Budget struct {
	PerMinute int // of all kinds; default 600
	Verify    int // percent of them that are verifications; default 20
}

func (b *Budget) fill() {
	if b.PerMinute <= 0 {
		b.PerMinute = 600
	}
	if b.Verify <= 0 || b.Verify > 100 {
		b.Verify = 20
	}
}

// verifications is the pace of verification. It is its own: what delivery does never waits for it.
func (b Budget) verifications() pace {
	return pace{every: time.Minute * 100 / time.Duration(b.PerMinute*b.Verify)}
}

// pace keeps calls at least every apart.
type pace struct {
	every time.Duration
	next  time.Time
}

func (p *pace) wait(ctx context.Context) {
	if d := time.Until(p.next); d > 0 {
		pause(ctx, d)
	}
	p.next = time.Now().Add(p.every)
}
