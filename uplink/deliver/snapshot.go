package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strings"

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

// lookAtGroup verifies records of one snapshot: by one request, as far as its answer leaves no doubt, else one by one. An anchored
// snapshot proves those records that the answer names with the very hash of their receipts: that is the hash of what was sent. If
// it isn't anchored yet, and one of them isn't either, none of them is.
func (c *Courier) lookAtGroup(ctx context.Context, group []record.Unproven) ([]record.Look, error) {
	if len(group) == 1 || c.snapshots == nil {
		return c.lookAtEach(ctx, group)
	}
	c.limiter.looks.wait(ctx)
	state, answer, err := c.snapshots.VerifySnapshot(ctx, group[0].Receipt.Snapshot)
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case record.ClassOf(err) == record.ThisOne: // this service has no such question
		c.snapshots = nil
		return c.lookAtEach(ctx, group)
	case err != nil:
		return nil, err
	}
	c.limiter.grantedLook()
	switch {
	case state == record.Anchored:
		return c.lookAtNamed(ctx, group, answer)
	case state != record.Pending || c.anyOverdue(group):
		return c.lookAtEach(ctx, group)
	}
	looks, err := c.lookAtEach(ctx, group[:1])
	if err != nil || len(looks) == 0 {
		return looks, err
	}
	var more []record.Look
	if looks[0].State == record.Pending {
		more, err = c.lookOfAll(group[1:], record.Pending, answer)
	} else {
		more, err = c.lookAtEach(ctx, group[1:])
	}
	return append(looks, more...), err
}

// lookAtNamed takes those that the answer about an anchored snapshot proves, and verifies the others one by one.
func (c *Courier) lookAtNamed(ctx context.Context, group []record.Unproven, answer json.RawMessage) (looks []record.Look, err error) {
	var rest []record.Unproven
	leaves := readLeaves(answer)
	for i := range group {
		proof, named := leaves.proof(&group[i])
		if !named {
			rest = append(rest, group[i])
			continue
		}
		l, err := c.lookOf(&group[i], record.Anchored, proof, nil)
		if err != nil {
			return looks, err
		}
		looks = append(looks, l)
	}
	more, err := c.lookAtEach(ctx, rest)
	return append(looks, more...), err
}

// leaf is what the answer about a snapshot says of one record.
type leaf struct {
	ID      string `json:"recordId"`
	Version string `json:"recordVersion"`
	Hash    string `json:"recordHash"`
	raw     json.RawMessage
}

// leaves are what such an answer says, by the ids of the records. Its form isn't published: objects with an id and a hash are looked
// for, wherever they stand in it.
type leaves struct {
	head map[string]json.RawMessage // of the answer, without what is long
	of   map[string][]leaf
}

const longField = 1024 // bytes; the lists of records are longer, and would be kept with each of them

func readLeaves(answer json.RawMessage) *leaves {
	l := &leaves{of: map[string][]leaf{}}
	_ = json.Unmarshal(answer, &l.head) // else there is none
	for name, value := range l.head {
		if len(value) > longField {
			delete(l.head, name)
		}
	}
	l.read(answer)
	return l
}

func (l *leaves) read(raw json.RawMessage) {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0:
	case raw[0] == '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list)
		for _, one := range list {
			l.read(one)
		}
	case raw[0] == '{':
		one := leaf{raw: raw}
		if json.Unmarshal(raw, &one) == nil && one.ID != "" && one.Hash != "" {
			l.of[one.ID] = append(l.of[one.ID], one)
			return
		}
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(raw, &fields)
		for _, value := range fields {
			l.read(value)
		}
	}
}

// proof gives what is kept as the proof of a record, if the answer names it with the hash of its receipt and with no other.
func (l *leaves) proof(u *record.Unproven) (answer json.RawMessage, named bool) {
	for _, one := range l.of[u.Record.ID] {
		if one.Version != "" && one.Version != u.Record.Version {
			continue
		}
		if u.Receipt.Hash == "" || plainHash(one.Hash) != plainHash(u.Receipt.Hash) {
			return nil, false
		}
		head := maps.Clone(l.head)
		if head == nil {
			head = map[string]json.RawMessage{}
		}
		head["record"] = one.raw
		answer, _ = json.Marshal(head) // it was JSON
		named = true
	}
	return answer, named
}

// plainHash makes the two ways to write one hash equal.
func plainHash(hash string) string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(hash)), "sha256:")
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
