package capture

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// keeper is a Source that keeps its log for a time, from the position on.
type keeper struct {
	bed
	mu    sync.Mutex
	kept  time.Duration
	err   error
	looks int
}

func (k *keeper) Retention(_ context.Context, from record.Position) (Retention, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looks++
	return Retention{Kept: k.kept, Left: k.kept - time.Since(from.At), Names: "the_setting"}, k.err
}

func (k *keeper) set(kept time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.err = kept, err
}

func (k *keeper) looked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.looks
}

// While the store is full, the time that is left until the log goes is said once, then that it is gone; the all-clear
// comes when capture goes on. While it goes on, nobody asks.
func TestALogThatIsAboutToGoIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{beat: 2 * time.Second}, &capturetest.Store{}
		k := &keeper{bed: bed{source, &fakeRows{station: here, rows: func() map[string][]any { return nil }}}, kept: 10 * day}
		runner, err := New(Config{Tables: []*Spec{testSpec}, Scope: Scope{Station: here}}, k, store, &capturetest.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		refuse := full(store)
		stop := begin(t, runner)
		cond := &capturetest.Condition{}
		watch := NewPurge(runner, cond)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- watch.Run(ctx) }()
		for range 90 { // while changes come, and while none do
			time.Sleep(time.Minute)
			backlog(source, 1)
		}
		time.Sleep(time.Hour)
		if k.looked() != 1 {
			t.Errorf("asked %d times while capture goes on", k.looked())
		}

		refuse.Store(true)
		backlog(source, 1)
		time.Sleep(5*day - 3*time.Hour)
		synctest.Wait()
		if alarms, _ := cond.Alarms(); alarms != 0 {
			t.Errorf("%d alarms with more than half of the time left", alarms)
		}
		if n := k.looked(); n < 5*24*60-200 || n > 5*24*60 {
			t.Errorf("asked %d times in five days", n)
		}
		time.Sleep(4 * time.Hour)
		k.set(10*day, errors.New("the server is away")) // says nothing
		time.Sleep(time.Hour)
		said, _ := cond.Said()
		if alarms, down := cond.Alarms(); alarms != 1 || !down || !strings.Contains(said[len(said)-1], "in 4 days") || !strings.Contains(said[0], "the_setting") {
			t.Errorf("%d alarms, lost %v: %q", alarms, down, said)
		}
		k.set(10*day, Gap("purged"))
		time.Sleep(2 * time.Minute)
		said, _ = cond.Said()
		if alarms, _ := cond.Alarms(); alarms != 1 || !strings.Contains(said[len(said)-1], "purged") {
			t.Errorf("%d alarms: %q", alarms, said[len(said)-1])
		}
		refuse.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if alarms, down := cond.Alarms(); alarms != 1 || down {
			t.Errorf("%d alarms, lost %v", alarms, down)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop()
	})
}

// The all-clear also comes when the log is kept longer, and a source that can't tell is left alone.
func TestALogThatIsKeptLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, store := &fakeSource{}, &capturetest.Store{}
		k := &keeper{bed: bed{log: source}, kept: day}
		runner, err := New(Config{Tables: []*Spec{testSpec}, Scope: Scope{Station: here}}, k, store, &capturetest.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(record.Group{Position: place(0, time.Now())}); err != nil {
			t.Fatal(err)
		}
		source.cut = func(int, int) error { return errors.New("no") }
		stop := begin(t, runner)
		cond := &capturetest.Condition{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- NewPurge(runner, cond).Run(ctx) }()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if alarms, down := cond.Alarms(); alarms != 1 || !down {
			t.Errorf("%d alarms, lost %v", alarms, down)
		}
		k.set(30*day, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if alarms, down := cond.Alarms(); alarms != 1 || down {
			t.Errorf("%d alarms, lost %v", alarms, down)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop()
		deaf, _ := newRunner(t, here, nil, source, store, nil)
		if err := NewPurge(deaf, cond).Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDanger(t *testing.T) {
	for _, c := range []struct {
		name  string
		r     Retention
		still time.Duration
		want  string
	}{
		{"kept for ever", Retention{}, day, ""},
		{"half and more", Retention{Kept: 10 * day, Left: 5 * day}, day, ""},
		{"less than half", Retention{Kept: 10 * day, Left: 5*day - 1}, day, "keeps its log for 10 days and may remove in 4 days"},
		{"a short time", Retention{Kept: 30 * time.Hour, Left: 23*time.Hour + 59*time.Minute}, day, "for 30 h 00 min and may remove in 23 h 59 min"},
		{"a short time, not paused", Retention{Kept: 30 * time.Hour, Left: 23 * time.Hour}, 0, ""},
		{"little, not paused", Retention{Kept: 10 * day, Left: day}, 0, "in 24 h 00 min"},
		{"over", Retention{Kept: day, Left: -time.Hour, Names: "this_one"}, day, "at any moment what is still to be read: see why capture stands still (if the card is full, make room), or have this_one raised"},
		{"small", Retention{Bytes: 1 << 30, Size: 512 << 20}, day, ""},
		{"big", Retention{Bytes: 1 << 30, Size: 600 << 20}, day, "600 MiB of the server's log are still to be read, and it removes the oldest when there are more than 1024"},
		{"big and old", Retention{Kept: 10 * day, Left: 9 * day, Bytes: 10, Size: 9}, day, "0 MiB"},
	} {
		err := c.r.danger(c.still)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if d, ok := errors.AsType[Danger](err); ok != (strings.Contains(c.want, "may remove") || strings.HasPrefix(c.want, "in ") || c.name == "over") || ok && d.Left() != max(0, c.r.Left) {
			t.Errorf("%s: it tells a time: %v, %v", c.name, ok, err)
		}
	}
}
