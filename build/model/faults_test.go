package model

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// breakThings lets one fault after another come upon the station, and leaves its network whole. Now and then the agent is
// killed in the middle of another fault, so that it starts into it. Once in a while the network is away for so long that the
// station knows that it is offline.
func (st *station) breakThings(ctx context.Context, r *rand.Rand) error {
	defer st.proxy.Restore()
	defer st.calm.Store(true)
	offline := time.Now().Add(between(r, 0, 3*time.Second))
	long := time.Now().Add(45 * time.Second)
	for pause(ctx, between(r, 100*time.Millisecond, 1200*time.Millisecond)) {
		var err error
		switch n := r.IntN(100); {
		case time.Now().After(offline):
			st.fault(ctx, r, "offline", []func(){st.proxy.Cut, st.proxy.BlackHole}[r.IntN(2)], between(r, 3500*time.Millisecond, 5500*time.Millisecond))
			offline = time.Now().Add(between(r, 5*time.Second, 15*time.Second))
		case n < 25:
			st.fault(ctx, r, "cuts", st.proxy.Cut, between(r, 50*time.Millisecond, 1200*time.Millisecond))
		case n < 48:
			st.fault(ctx, r, "black holes", st.proxy.BlackHole, between(r, 50*time.Millisecond, 2200*time.Millisecond))
		case n < 50 && time.Now().After(long): // longer than anybody waits for an answer
			st.fault(ctx, r, "long black holes", st.proxy.BlackHole, between(r, 11*time.Second, 25*time.Second))
			long = time.Now().Add(45 * time.Second)
		case n < 68:
			err = st.rotate(ctx, r)
		case n < 80:
			err = st.breakConnections(ctx)
		default:
			st.killAgent()
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// fault does something to the network for a while.
func (st *station) fault(ctx context.Context, r *rand.Rand, kind string, begin func(), d time.Duration) {
	from := time.Now()
	begin()
	if r.IntN(4) == 0 {
		pause(ctx, d/2)
		st.killAgent()
	}
	pause(ctx, d/2)
	st.proxy.Restore()
	st.broken(kind, from)
}

func (st *station) killAgent() {
	if !st.agent.Ended() {
		st.agent.Kill()
		st.broken("kills", time.Now())
	}
}

// rotate gives the account a new password, as Buylo does: the old one dies at once, and so do its connections. A station
// with a next password has it before; another one gets its file a moment too late.
func (st *station) rotate(ctx context.Context, r *rand.Rand) error {
	from := time.Now()
	defer func() { st.broken("rotations", from) }()
	st.passwordsChanged++
	if err := st.put("next-password", st.password()); err != nil {
		return err
	}
	alter := fmt.Sprintf("ALTER USER '%s'@'%%' IDENTIFIED BY '%s'", st.user, st.password())
	_, err := st.db.Root().ExecContext(context.WithoutCancel(ctx), alter)
	err = errors.Join(err, st.disconnect(context.WithoutCancel(ctx)))
	pause(ctx, between(r, 0, 500*time.Millisecond))
	return errors.Join(err, st.put("password", st.password()))
}

// breakConnections lets the server end the station's connections, whatever they are doing.
func (st *station) breakConnections(ctx context.Context) error {
	defer st.broken("broken connections", time.Now())
	return st.disconnect(ctx)
}

func (st *station) disconnect(ctx context.Context) error {
	root := st.db.Root()
	rows, err := root.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE user = ?", st.user)
	if err != nil {
		return fmt.Errorf("list connections of station %d: %w", st.n, err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range ids {
		_, _ = root.ExecContext(ctx, fmt.Sprintf("KILL %d", id)) // it may have ended by itself
	}
	return nil
}
