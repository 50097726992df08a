package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// full makes a store refuse while the answer is true.
func full(s *capturetest.Store) *atomic.Bool {
	refuse := new(atomic.Bool)
	s.Fail = func(record.Group) error {
		if refuse.Load() {
			return errors.New("the store is full")
		}
		return nil
	}
	return refuse
}

// backlog commits n changes of ours.
func backlog(source *fakeSource, n int) {
	for i := range n {
		source.commit(time.Now(), RowChange{Op: record.Insert, After: image(fmt.Sprintf("row-%d-%d", time.Now().Unix(), i), here, "")})
	}
}

// begin runs a runner until the end of the test, and wants it to end well.
func begin(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-r.Armed()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// While the store refuses, a group is held and the source waits: nothing is read twice, and there is one alarm and one
// all-clear, however long it lasts.
func TestAFullStoreIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{beat: 2 * time.Second}, &capturetest.Store{}
		runner, cond := newRunner(t, here, nil, source, store, nil)
		refuse := full(store)
		stop := begin(t, runner)
		refuse.Store(true)
		backlog(source, 5000)
		time.Sleep(time.Hour)
		if runs, given := source.did(); runs != 1 || given > groupRecords+ahead+100 {
			t.Errorf("%d streams, %d transactions read ahead", runs, given)
		}
		if alarms, down := cond.Alarms(); alarms != 1 || !down || runner.Stalled() < 59*time.Minute || runner.Lag() < 59*time.Minute {
			t.Errorf("%d alarms, lost %v; it stands still for %v, lag %v", alarms, down, runner.Stalled(), runner.Lag())
		}
		refuse.Store(false)
		time.Sleep(2 * pauseMost)
		if n := len(store.Records()); n != 5000 {
			t.Errorf("%d records", n)
		}
		time.Sleep(steady)
		if alarms, down := cond.Alarms(); alarms != 1 || down || runner.Stalled() > pauseMost {
			t.Errorf("%d alarms, lost %v; it stands still for %v", alarms, down, runner.Stalled())
		}
		if runs, given := source.did(); runs != 1 || given != 5000 {
			t.Errorf("%d streams, %d transactions", runs, given)
		}
		stop()
	})
}

// A full store that sends takes a group now and then: that is no all-clear.
func TestAStoreThatTakesAGroupNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{beat: 2 * time.Second}, &capturetest.Store{}
		runner, cond := newRunner(t, here, nil, source, store, nil)
		stop := begin(t, runner)
		var next time.Time
		store.Fail = func(record.Group) error {
			if time.Now().Before(next) {
				return errors.New("the store is full")
			}
			next = time.Now().Add(20 * time.Second)
			return nil
		}
		backlog(source, 10*groupRecords)
		time.Sleep(time.Hour)
		if alarms, down := cond.Alarms(); alarms != 1 || down || len(store.Records()) != 10*groupRecords {
			t.Errorf("%d alarms, lost %v, %d records", alarms, down, len(store.Records()))
		}
		stop()
	})
}

// A server ends the connection of a reader that doesn't read. It is opened again only when the store takes groups again.
func TestAStreamThatEndsWhileTheStoreIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{beat: 2 * time.Second}, &capturetest.Store{}
		runner, cond := newRunner(t, here, nil, source, store, nil)
		refuse := full(store)
		stop := begin(t, runner)
		source.cut = func(from, i int) error {
			if from == 0 && i == 70 {
				return errors.New("connection lost")
			}
			return nil
		}
		refuse.Store(true)
		backlog(source, 100)
		time.Sleep(time.Hour)
		if runs, _ := source.did(); runs != 1 {
			t.Errorf("%d streams while the store is full", runs)
		}
		refuse.Store(false)
		time.Sleep(time.Minute)
		var want []string
		for i, tx := range source.txs {
			want = append(want, changeKey(fmt.Sprintf("tx-%d", i+1), tx.At, 0, ""))
		}
		if got := keysOf(store.Records()); !slices.Equal(got, want) {
			t.Errorf("%d records, want %d", len(got), len(want))
		}
		if runs, _ := source.did(); runs != 2 {
			t.Errorf("%d streams", runs)
		}
		if alarms, down := cond.Alarms(); alarms != 1 || down {
			t.Errorf("%d alarms, lost %v", alarms, down)
		}
		stop()
	})
}

// The rows are read once, however long the store refuses what was found.
func TestASnapshotIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{beat: 2 * time.Second}, &capturetest.Store{}
		rows := &fakeRows{station: here, rows: func() map[string][]any { return map[string][]any{"a": image("a", here, "")} }}
		runner, cond := newRunner(t, here, nil, source, store, rows)
		refuse := full(store)
		refuse.Store(true)
		time.AfterFunc(time.Hour, func() { refuse.Store(false) })
		stop := begin(t, runner)
		time.Sleep(time.Minute)
		if n := rows.reads.Load(); n != 1 || len(store.Records()) != 1 {
			t.Errorf("the rows were read %d times, %d records", n, len(store.Records()))
		}
		if alarms, down := cond.Alarms(); alarms != 1 || down {
			t.Errorf("%d alarms, lost %v", alarms, down)
		}
		stop()
	})
}

// An unusable store and the end of the program are not waited out.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &capturetest.Store{}
		runner, _ := newRunner(t, here, nil, source, store, nil)
		refuse := full(store)
		stop := begin(t, runner)
		refuse.Store(true)
		backlog(source, 1)
		time.Sleep(time.Hour)
		began := time.Now()
		stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v to stop", took)
		}
		store.Fail = func(record.Group) error { return record.Stop(capturetest.ErrKilled) }
		if err := runner.Run(t.Context()); !errors.Is(err, capturetest.ErrKilled) || !strings.Contains(err.Error(), "store changes") {
			t.Errorf("ended with %v", err)
		}
	})
}
