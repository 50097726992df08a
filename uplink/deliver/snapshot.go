package deliver

import (
	"context"

	"station-agent/store/record"
)

// groups puts together what is in one snapshot by its receipts, in the order of the first of each. A record whose receipt names
// none, or that is in trouble, is alone.
func (c *Courier) groups(due []record.Unproven) (groups [][]record.Unproven) {
	at := map[string]int{}
	for _, u := range due {
		alone := c.snapshots == nil || u.Receipt.Snapshot == "" || u.State != record.Pending
		n, begun := at[u.Receipt.Snapshot]
		if begun && !alone {
			groups[n] = append(groups[n], u)
			continue
		}
		if !alone {
			at[u.Receipt.Snapshot] = len(groups)
		}
		groups = append(groups, []record.Unproven{u})
	}
	return groups
}

// lookAtGroup verifies records of one snapshot: by two requests, if their answers leave no doubt, else one by one. An answer about
// the snapshot says nothing of the content of its records, so the first of them is asked for by itself, with its payload: what the
// snapshot and that one are alike, anchored or not yet, the others are too.
func (c *Courier) lookAtGroup(ctx context.Context, group []record.Unproven) ([]record.Look, error) {
	if len(group) == 1 || c.snapshots == nil {
		return c.lookAtEach(ctx, group)
	}
	c.pace.wait(ctx)
	state, answer, err := c.snapshots.VerifySnapshot(ctx, group[0].Receipt.Snapshot)
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case record.ClassOf(err) == record.ThisOne: // this service has no such question
		c.snapshots = nil
		return c.lookAtEach(ctx, group)
	case err != nil:
		return nil, err
	case state != record.Anchored && (state != record.Pending || c.anyOverdue(group)):
		return c.lookAtEach(ctx, group)
	}
	looks, err := c.lookAtEach(ctx, group[:1])
	if err != nil || len(looks) == 0 {
		return looks, err
	}
	var more []record.Look
	if looks[0].State == state {
		more, err = c.lookOfAll(group[1:], state, answer)
	} else {
		more, err = c.lookAtEach(ctx, group[1:])
	}
	return append(looks, more...), err
}

// lookOfAll gives all records one answer.
func (c *Courier) lookOfAll(group []record.Unproven, state record.Anchoring, answer []byte) (looks []record.Look, err error) {
	for i := range group {
		l, err := c.lookOf(&group[i], state, answer, nil)
		if err != nil {
			return looks, err
		}
		looks = append(looks, l)
	}
	return looks, nil
}

// anyOverdue tells whether one of them is to be asked for by itself, as it may be missing.
func (c *Courier) anyOverdue(group []record.Unproven) bool {
	for i := range group {
		if isOverdue(&group[i], c.cfg.Overdue) {
			return true
		}
	}
	return false
}
