package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"station-agent/store/record"
)

const testHalf = 8 << 10

func body(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)) }

// bodyOf reads n again.
func bodyOf(t *testing.T, e Event) (n int) {
	t.Helper()
	var v struct{ N int }
	ok(t, json.Unmarshal(e.Body, &v))
	return v.N
}

func testEvents(t testing.TB, dir string) *EventLog {
	t.Helper()
	l := openEvents(filepath.Join(dir, eventsName), testHalf, (&disk{}).open)
	t.Cleanup(func() { l.close() })
	return l
}

// untold gives the numbers of what wasn't told, as the fleet's side asks for them.
func untold(l *EventLog) (seqs []uint64) {
	for e, ok := l.Next(0); ok; e, ok = l.Next(e.Seq) {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

func TestEventsAreNumberedWithoutAGapOverRestarts(t *testing.T) {
	dir := t.TempDir()
	l := testEvents(t, dir)
	if _, any := l.Next(0); any || l.Last() != 0 {
		t.Fatal("something is there")
	}
	ok(t, l.Add(Event{Body: body(1)}, Event{Body: body(2)}))
	<-l.Changed()
	first, _ := l.Next(0)
	if first.Seq != 1 || first.Log == "" || bodyOf(t, first) != 1 || first.Added.IsZero() {
		t.Errorf("%+v", first)
	}
	l.Told(1)
	if got := untold(l); fmt.Sprint(got) != "[2]" {
		t.Errorf("untold %v", got)
	}
	l.Told(77) // not given yet
	if got := untold(l); fmt.Sprint(got) != "[2]" {
		t.Errorf("untold %v", got)
	}
	ok(t, l.close())
	l = testEvents(t, dir)
	ok(t, l.Add(Event{Body: body(3)}))
	two, _ := l.Next(0)
	three, _ := l.Next(2)
	if fmt.Sprint(untold(l)) != "[2 3]" || two.Log != first.Log || three.Log != first.Log || !two.Added.IsZero() || three.Added.IsZero() {
		t.Errorf("%+v %+v", two, three)
	}
	for _, bad := range []json.RawMessage{nil, json.RawMessage("{"), json.RawMessage(`"` + strings.Repeat("x", eventMost) + `"`)} {
		if err := l.Add(Event{Body: bad}); record.ClassOf(err) != record.ThisOne {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
	if l.Last() != 3 || l.Fault() != nil {
		t.Error(l.Last(), l.Fault())
	}
}

// The file never grows, and what it has to keep comes along from half to half.
func TestTheLastWarningsAreKept(t *testing.T) {
	dir := t.TempDir()
	l := openEvents(filepath.Join(dir, eventsName), 64<<10, (&disk{}).open)
	size := cardBytes(l.path)
	ok(t, l.Add(Event{Body: body(0), Raises: "mysql", Warning: true}))
	for n := 1; n <= 1000; n++ {
		ok(t, l.Add(Event{Body: body(n), Warning: n%2 == 0}))
		l.Told(uint64(n))
	}
	if cardBytes(l.path) != size || l.turn < 4 {
		t.Errorf("%d bytes, were %d; turn %d", cardBytes(l.path), size, l.turn)
	}
	check := func(l *EventLog) {
		t.Helper()
		kept := l.Kept()
		if n := len(kept); n != 201 || kept[0].Seq != 1 || kept[1].Seq != 603 || kept[n-1].Seq != 1001 || fmt.Sprint(untold(l)) != "[1001]" {
			t.Errorf("%d kept, %d %d to %d; untold %v", n, kept[0].Seq, kept[1].Seq, kept[n-1].Seq, untold(l))
		}
		if s := l.Standing(); len(s) != 1 || s[0].Seq != 1 || l.Dropped() != 0 {
			t.Errorf("standing %v, dropped %d", s, l.Dropped())
		}
	}
	check(l)
	ok(t, l.file.Close()) // as a power cut leaves it, but for what was told
	l = openEvents(l.path, 64<<10, (&disk{}).open)
	l.Told(1000)
	check(l)
	ok(t, l.Add(Event{Body: body(1), Clears: "mysql"}))
	if len(l.Standing()) != 0 || l.Kept()[0].Seq == 1 {
		t.Errorf("it still stands: %v", l.Standing())
	}
	ok(t, l.close())
}

func TestWhatNobodyTakesIsGivenUpOldestFirstAndCounted(t *testing.T) {
	l := testEvents(t, t.TempDir())
	for n := range 200 {
		ok(t, l.Add(Event{Body: body(n)}))
	}
	left := untold(l)
	if n := uint64(len(left)); n < 20 || n > 100 || left[0] != 201-n || left[n-1] != 200 || l.Dropped() != 200-n {
		t.Errorf("%d left, from %d to %d, dropped %d", n, left[0], left[n-1], l.Dropped())
	}
}

// A full card costs nothing once the file is there; before, events are in memory, and are on the card when there is room.
func TestAFullOrBrokenCardStopsNoEvent(t *testing.T) {
	dir := t.TempDir()
	d := &disk{dir: dir}
	path := filepath.Join(dir, eventsName)
	d.hook = func(op, _ string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	l := openEvents(path, testHalf, d.open)
	if err := l.Add(Event{Body: body(1)}); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") || exists(path) {
		t.Fatal(err)
	}
	if err := l.Add(Event{Body: body(2)}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	memory, _ := l.Next(1)
	if fmt.Sprint(untold(l)) != "[1 2]" {
		t.Fatal(untold(l))
	}
	l.settle()
	if l.Fault() == nil {
		t.Error("no fault")
	}
	d.hook = nil
	l.settle()
	ok(t, l.Fault())
	ok(t, l.Add(Event{Body: body(3)}))
	card, _ := l.Next(2)
	if card.Log == memory.Log {
		t.Error("a number of the memory may be given again")
	}
	d.hook = func(op, _ string) error {
		if op == "datasync" {
			return syscall.EIO
		}
		return nil
	}
	if err := l.Add(Event{Body: body(4)}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.hook = func(op, path string) error { t.Errorf("%s of %s after a failed flush", op, path); return nil }
	if err := l.Add(Event{Body: body(5)}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	l.settle()
	four, _ := l.Next(3)
	five, _ := l.Next(4)
	if four.Log == card.Log || five.Log != four.Log || fmt.Sprint(untold(l)) != "[1 2 3 4 5]" {
		t.Errorf("%+v %+v", four, five)
	}
	d.hook = nil
	l.close()
	l = testEvents(t, dir)
	if got := untold(l); len(got) < 3 || fmt.Sprint(got[:3]) != "[1 2 3]" {
		t.Errorf("after a restart %v", got)
	}
}

// Whatever a card does to the file: no number is given to two events, and none is left out by a power cut.
func TestPowerCutsOfTheEventLog(t *testing.T) {
	if lost := eventPowerCuts(t, &disk{watch: true}); lost != "" {
		t.Fatal(lost)
	}
	if lost := eventPowerCuts(t, &disk{watch: true, lazy: true}); lost == "" {
		t.Fatal("without flushes nothing was lost: the test sees nothing")
	}
}

func eventPowerCuts(t *testing.T, d *disk) (lost string) {
	t.Helper()
	d.dir = t.TempDir()
	path := filepath.Join(d.dir, eventsName)
	given := map[string]int{} // log and number -> which event
	added, states := 0, 0
	d.hook = func(op, _ string) error {
		for _, everything := range []bool{true, false} {
			states++
			if err := eventsSurvive(t, d.power(t, everything), given, added); err != nil && lost == "" {
				lost = fmt.Sprintf("power cut before %s with %d events, unflushed writes kept %v: %v", op, added, everything, err)
			}
		}
		return nil
	}
	l := openEvents(path, testHalf, d.open)
	for n := 1; n <= 70; n++ {
		ok(t, l.Add(Event{Body: body(n), Warning: n%9 == 0}))
		e, _ := l.Next(uint64(n - 1))
		given[fmt.Sprint(e.Log, e.Seq)] = n
		added = n
		if n%3 == 0 {
			l.Told(uint64(n - 2))
			l.settle()
		}
	}
	if l.turn < 3 || states < 200 {
		t.Fatal("not enough happened:", l.turn, states)
	}
	d.hook = nil
	l.close()
	return lost
}

func eventsSurvive(t *testing.T, files map[string][]byte, given map[string]int, added int) error {
	t.Helper()
	dir := folder(t, files)
	defer os.RemoveAll(dir)
	l := openEvents(filepath.Join(dir, eventsName), testHalf, (&disk{}).open)
	defer l.close()
	if l.Last() < uint64(added) || l.Last() > uint64(added)+1 {
		return fmt.Errorf("the last number is %d", l.Last())
	}
	want := uint64(0)
	for _, seq := range untold(l) {
		if want > 0 && seq != want {
			return fmt.Errorf("%d is left out", want)
		}
		want = seq + 1
	}
	if want != l.Last()+1 && added > 0 {
		return fmt.Errorf("the newest is %d, and none above %d is there", l.Last(), want)
	}
	ok(t, l.Add(Event{Body: body(-1)}))
	for _, e := range l.Kept() {
		if n, known := given[fmt.Sprint(e.Log, e.Seq)]; known && bodyOf(t, e) != n {
			return fmt.Errorf("number %d of %s is of two events", e.Seq, e.Log)
		}
	}
	return nil
}

// A damaged file costs what is damaged, and goes on under another id.
func TestADamagedEventLogGoesOnUnderAnotherID(t *testing.T) {
	build := func(dir string) (path, id string) {
		l := testEvents(t, dir)
		for n := 1; n <= 60; n++ {
			ok(t, l.Add(Event{Body: body(n), Warning: true}))
			l.Told(uint64(n))
		}
		ok(t, l.close())
		return l.path, l.id
	}
	whole, id := build(t.TempDir())
	data, err := os.ReadFile(whole)
	ok(t, err)
	if l := testEvents(t, filepath.Dir(whole)); l.id != id || l.Last() != 60 {
		t.Fatal("an undamaged file goes on under another id")
	}
	for off := 0; off < len(data); off += 97 {
		dir := t.TempDir()
		bad := append([]byte(nil), data...)
		bad[off] ^= 0xff
		ok(t, os.WriteFile(filepath.Join(dir, eventsName), bad, 0o600))
		l := openEvents(filepath.Join(dir, eventsName), testHalf, (&disk{}).open)
		ok(t, l.Add(Event{Body: body(-1)}))
		if e, _ := l.Next(l.Last() - 1); e.Log == id && e.Seq != 61 {
			t.Fatalf("damage at %d: number %d of %s is given again", off, e.Seq, e.Log)
		}
		l.close()
	}
	for what, content := range map[string][]byte{"empty": nil, "short": data[:100], "noise": []byte(strings.Repeat("x", 2*testHalf))} {
		dir := t.TempDir()
		ok(t, os.WriteFile(filepath.Join(dir, eventsName), content, 0o600))
		l := openEvents(filepath.Join(dir, eventsName), testHalf, (&disk{}).open)
		if l.Add(Event{Body: body(1)}) != nil || l.id == id || l.Last() != 1 {
			t.Errorf("%s: %v", what, l.Fault())
		}
		l.close()
	}
}

func TestEventsAreInTheStore(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.Events.Add(Event{Body: body(1)}))
	s.Close()
	s = openTest(t, dir)
	if list := s.Events.Kept(); len(list) != 1 || bodyOf(t, list[0]) != 1 {
		t.Errorf("%v", list)
	}
}
