package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
)

// Faults that were in the store once.

// After a restart of the machine the ledger is never looked at, and verification spins: due is now.Mono, the caller's now
// was taken a moment earlier.
func TestDueAfterAReboot(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	began := time.Now()
	boot := "first"
	cfg.Now = func() record.Stamp { // as agent/clock.go
		return record.Stamp{Boot: boot, Mono: time.Since(began), Wall: time.Now().UTC(), Trusted: true}
	}
	s, err := Open(cfg)
	ok(t, err)
	ok(t, s.DB.Put(group(0, 3)))
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{Hash: "h"}}}))
	ok(t, s.Close())
	boot = "second"
	s, err = Open(cfg)
	ok(t, err)
	defer s.Close()
	for range 1000 {
		due, next, err := s.DB.Due(time.Now(), 100)
		ok(t, err)
		if len(due) > 0 {
			return
		}
		if next.IsZero() {
			t.Fatal("nothing is due ever")
		}
	}
	t.Fatal("asked a thousand times: always due at once, never due")
}

// Rows are taken into d.shadow after turns was let go: a flush between notes their commit as applied without them, and its
// clear throws them away.
func TestRowsFlushedBesideAPut(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	stop := make(chan struct{})
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.DB.flushRows()
			}
		}
	})
	lost := 0
	for n := range 400 {
		r := rec(n)
		ok(t, s.DB.Put(record.Group{Records: []record.Record{r}, Shadow: []record.ShadowRow{{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload}}}))
	}
	close(stop)
	flusher.Wait()
	for n := range 400 {
		rows, err := s.DB.Shadow("buylo_products", []string{rec(n).ID})
		ok(t, err)
		if len(rows) == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("%d of 400 rows are gone from the shadow", lost)
	}
}

// A commit with receipts that can't be read: the records, which read well and which Certyo has, are given up.
func TestALostReceiptIsNoLostRecord(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 10)))
	var out []record.Delivery
	for seq := range uint64(10) {
		out = append(out, record.Delivery{Seq: seq + 1, Receipt: &record.Receipt{Hash: fmt.Sprint("hash ", seq)}})
	}
	ok(t, s.DB.Settle(out))
	ok(t, s.DB.Flush())
	in, _ := s.DB.standing(1)
	ok(t, s.DB.Put(bigGroup(10, 20))) // the receipts move on, no copy stays at the root
	s.DB.log.turnNext = true
	ok(t, s.DB.Put(group(20, 21)))
	path := s.DB.log.files[0].path
	ok(t, s.Close())
	spoilCommit(t, path, in.In.Number)
	s = openTest(t, dir)
	due, _, err := s.DB.Due(testNow().Wall.AddDate(1, 0, 0), 100)
	ok(t, err)
	if len(due) != 10 || s.DB.Stats().Lost > 0 {
		t.Fatalf("%d of 10 are verified, %d lost: %v", len(due), s.DB.Stats().Lost, s.Losses())
	}
}

// spoilCommit breaks every copy of a commit.
func spoilCommit(t *testing.T, path string, number uint64) {
	t.Helper()
	b := read(t, path)
	n := 0
	ok(t, scanCommits(bytes.NewReader(bytes.Clone(b)), int64(len(b)), func(off int64, c *commit) error {
		if c.number == number {
			b[off+commitHead+3] ^= 0x55
			n++
		}
		return nil
	}))
	if n == 0 {
		t.Fatal("no such commit", number)
	}
	ok(t, os.WriteFile(path, b, 0o600))
}

// What is larger than maxPlain is written durably and can never be read again.
func TestALargeGroupReadsBack(t *testing.T) {
	s := openTest(t, t.TempDir())
	g := group(0, 70)
	for i := range g.Records {
		g.Records[i].Payload = bytes.Repeat([]byte{' '}, 1<<20)
	}
	err := s.DB.Put(g)
	if err != nil {
		return // refusing it is fine
	}
	q, err := s.DB.Head(nil, 1, 1)
	if err != nil || len(q) != 1 {
		t.Fatal(len(q), err, s.Losses())
	}
}

// A lazy commit met a full card. When there is room again nobody tries it again, and the error is told to nobody.
func TestALazyCommitIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(testConfig(dir, here))
		ok(t, err)
		ok(t, s.DB.Put(group(0, 3)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.DB.Run(ctx) }()
		s.DB.turns.Lock()
		last := s.DB.log.last()
		last.bolt.MaxSize = 1
		s.DB.turns.Unlock()
		ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{Hash: noise(1, 60<<10)}}}))
		time.Sleep(6 * time.Second)
		s.DB.turns.Lock()
		s.DB.mu.Lock()
		failed, told := s.DB.pending != nil, s.DB.trouble
		s.DB.mu.Unlock()
		last.bolt.MaxSize = 0
		s.DB.turns.Unlock()
		if !failed {
			t.Fatal("the commit didn't fail, the test sees nothing")
		}
		time.Sleep(time.Hour)
		s.DB.mu.Lock()
		still := s.DB.pending != nil
		s.DB.mu.Unlock()
		cancel()
		<-done
		ok(t, s.Close())
		if still {
			t.Fatalf("an hour after there was room the receipt is not on the card; told: %v", told)
		}
	})
}

// anchorAll anchors all that waits but the records of keep.
func anchorAll(t *testing.T, d *DB, keep ...uint64) {
	t.Helper()
	var out []record.Delivery
	var looks []record.Look
	for _, q := range head(t, d) {
		if !slices.Contains(keep, q.Seq) {
			out = append(out, record.Delivery{Seq: q.Seq, Receipt: &record.Receipt{Hash: "h"}})
			looks = append(looks, record.Look{Seq: q.Seq, State: record.Anchored, Answer: json.RawMessage(`{"x":1}`)})
		}
	}
	ok(t, d.Settle(out))
	ok(t, d.Look(looks))
	ok(t, d.Flush())
}

func nextFile(t *testing.T, d *DB) {
	t.Helper()
	d.turns.Lock()
	d.log.turnNext = true
	d.turns.Unlock()
	ok(t, d.commit(func(*commit) error { return nil }))
}

// A straggler is carried on and proven later: its evidence is in the span of no file, and goes without export.
func TestCarriedEvidenceIsExported(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.ExportDir = t.TempDir()
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	anchorAll(t, d, 5)
	nextFile(t, d)
	ok(t, d.Put(group(10, 20)))
	_, err = d.sacrifice() // 5 is carried into the second file
	ok(t, err)
	anchorAll(t, d)
	nextFile(t, d)
	ok(t, d.Put(group(20, 21)))
	_, err = d.sacrifice()
	ok(t, err)
	lines := exported(t, cfg.ExportDir)
	for seq := uint64(1); seq <= 20; seq++ {
		if !lines[seq] {
			t.Errorf("the evidence of record %d went without export", seq)
		}
	}
}

// A slow walk over the outbox (a person's list) meets a file that went meanwhile: records that were carried on are given up.
func TestASlowWalkLosesNothing(t *testing.T) {
	s := openTest(t, t.TempDir())
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	for n := 10; n < 100; n += 10 {
		ok(t, d.Put(group(n, n+10)))
	}
	nextFile(t, d)
	ok(t, d.Put(group(100, 110)))
	first := true
	ok(t, d.Waiting(func(q record.Queued) error {
		if first {
			first = false
			anchorAll(t, d, 51, 52, 53)
			gone, err := d.sacrifice()
			if err != nil || !gone {
				t.Fatal(gone, err)
			}
		}
		return nil
	}))
	if n := len(head(t, d)); n != 3 || d.Stats().Lost > 0 {
		t.Fatalf("%d of 3 wait, %d are said to be lost: %v", n, d.Stats().Lost, s.Losses())
	}
}

// Due reads with places that it noted before: a carry meanwhile makes it give up what was carried.
func TestDueBesideACarry(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	var hook func()
	cfg.Now = func() record.Stamp {
		if hook != nil {
			hook()
		}
		return testNow()
	}
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	var out []record.Delivery
	for seq := range uint64(10) {
		out = append(out, record.Delivery{Seq: seq + 1, Receipt: &record.Receipt{Hash: "h"}})
	}
	ok(t, d.Settle(out))
	ok(t, d.Flush())
	nextFile(t, d)
	ok(t, d.Put(group(10, 20)))
	calls := 0
	hook = func() { // the second call is in the first record's unproven, with no lock held
		if calls++; calls == 2 {
			hook = nil
			gone, err := d.sacrifice()
			if err != nil || !gone {
				t.Error(gone, err)
			}
		}
	}
	due, _, err := d.Due(testNow().Wall.AddDate(1, 0, 0), 100)
	ok(t, err)
	if st := d.Stats(); len(due) != 10 || st.Lost > 0 || st.Unanchored != 10 {
		t.Fatalf("%d of 10 are due, %d in the ledger, %d said to be lost", len(due), st.Unanchored, st.Lost)
	}
}

// The rows file is gone; the agent is killed after a new one was made and before the first commit. The next start knows of
// nothing.
func TestLostRowsAreNotForgotten(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	g := group(0, 3)
	for _, r := range g.Records {
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload})
	}
	ok(t, s.DB.Put(g))
	id := s.ID()
	ok(t, s.Close())
	ok(t, os.Remove(filepath.Join(dir, rowsName)))
	c := testConfig(dir, here).filled()
	d, err := openDB(dbConfig{dir: dir, id: id, now: c.Now, probe: c.Probe, maxBytes: c.MaxBytes, fileBytes: c.FileBytes, evidenceDays: 30, firstLook: c.FirstLook, tell: func(Loss) {}})
	ok(t, err)
	if missed, _ := d.Missed(); missed == "" {
		t.Fatal("not even this opening knows")
	}
	d.close() // killed before begin
	s = openTest(t, dir)
	rows, err := s.DB.Shadow("buylo_products", []string{rec(0).ID})
	ok(t, err)
	if missed, _ := s.DB.Missed(); missed == "" && len(rows) == 0 {
		t.Fatal("the shadow is empty and nobody compares the rows")
	}
}

// The file before the last holds rows that the rows file doesn't have, and is damaged.
func TestRowsOfADamagedFileAreMissed(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	var number uint64
	for n := range 3 {
		r := rec(n)
		ok(t, s.DB.Put(record.Group{Position: record.Position{File: "f", Pos: uint64(n + 1)}, Records: []record.Record{r},
			Shadow: []record.ShadowRow{{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload}}}))
		if n == 1 {
			number = s.DB.state.Number
		}
	}
	nextFile(t, s.DB)
	path := s.DB.log.files[0].path
	copied := filepath.Join(t.TempDir(), "store") // killed before the rows file was brought up
	ok(t, os.CopyFS(copied, os.DirFS(dir)))
	spoilCommit(t, filepath.Join(copied, recordsFolder, filepath.Base(path)), number)
	c := openTest(t, copied)
	rows, err := c.DB.Shadow("buylo_products", []string{rec(0).ID, rec(1).ID, rec(2).ID})
	ok(t, err)
	missed, _ := c.DB.Missed()
	if p, _ := c.DB.Position(); len(rows) < 3 && missed == "" && p.Pos == 3 {
		t.Fatalf("%d of 3 rows, position behind all of them, nothing missed; losses %v", len(rows), c.Losses())
	}
}

// The export folder can't be written: what is too old stops what must go for room.
func TestABrokenExportDoesntStopCapture(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.ExportDir = filepath.Join(t.TempDir(), "missing")
	now := testNow()
	cfg.Now = func() record.Stamp { return now }
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	anchorAll(t, d)
	nextFile(t, d)
	now.Wall, now.Mono = now.Wall.AddDate(0, 3, 0), now.Mono+90*dayLength
	d.free = func(string) (int64, error) {
		if len(d.log.files) > 1 {
			return 0, nil
		}
		return 1 << 40, nil
	}
	if err := d.Put(group(10, 11)); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	d.keepHouse()
	if err := d.Put(group(10, 11)); err != nil {
		t.Fatal("capture is paused for good:", err)
	}
}

// The card is full: keeping house wants to write rows first, and lets nothing go.
func TestAFullCardLetsEvidenceGo(t *testing.T) {
	s := openTest(t, t.TempDir())
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	anchorAll(t, d)
	nextFile(t, d)
	g := record.Group{}
	for i := range 2000 {
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: "a", ID: noise(i, 40), Version: "1", Payload: []byte(noise(i, 200))})
	}
	d.mu.Lock()
	d.lag.turned = false
	d.mu.Unlock()
	ok(t, d.Put(g))
	d.rows.bolt.MaxSize = 32 << 10 // no room in it
	d.mu.Lock()
	d.lag.turned = true
	d.mu.Unlock()
	d.free = func(string) (int64, error) {
		if len(d.log.files) > 1 {
			return 0, nil
		}
		return 1 << 40, nil
	}
	d.Put(group(10, 11))
	err := d.keepHouse()
	d.rows.bolt.MaxSize = 0
	if len(d.log.files) > 1 {
		t.Fatal("nothing went:", err)
	}
}

// A position by itself is refused while paused, and nobody asks whether there is room again.
func TestAPositionEndsThePause(t *testing.T) {
	s := openTest(t, t.TempDir())
	free := int64(0)
	s.DB.free = func(string) (int64, error) { return free, nil }
	if err := s.DB.Put(group(0, 1)); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	free = 1 << 40
	ok(t, s.DB.keepHouse())
	if err := s.DB.Put(record.Group{Position: record.Position{GTID: "0-1-2"}}); err != nil {
		t.Fatal("there is a terabyte:", err)
	}
}

// A bit flips in a small commit at the root; an old root page has a copy: Probe says that all is well, and the opening
// doesn't look at the sum.
func TestProbeReadsWhatTheTreeNames(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	for n := range 8 {
		ok(t, s.DB.Put(record.Group{Position: record.Position{File: "binlog.000001", Pos: uint64(1000 + n)}}))
		ok(t, s.DB.Flush())
	}
	path := s.DB.log.last().path
	ok(t, s.Close())
	whole := read(t, path)
	number := s.DB.state.Number
	silent := 0
	for num := uint64(2); num <= number; num++ {
		var offs []int64
		ok(t, scanCommits(bytes.NewReader(whole), int64(len(whole)), func(off int64, c *commit) error {
			if c.number == num {
				offs = append(offs, off)
			}
			return nil
		}))
		if len(offs) < 2 {
			continue
		}
		for _, off := range offs {
			b := bytes.Clone(whole)
			b[off+commitHead+20] ^= 0x01
			ok(t, os.WriteFile(path, b, 0o600))
			bad := false
			f, err := openRecords(path, s.ID(), mustPlace(t, path), os.O_RDONLY)
			if err != nil {
				continue
			}
			f.each(func(_ place, v []byte) error {
				_, _, _, err := split(v, true)
				bad = bad || err != nil
				return nil
			})
			f.close()
			if bad && Probe(path) == nil {
				silent++
			}
		}
	}
	if silent > 0 {
		t.Fatalf("%d bits that flipped in commits of the tree, and Probe says nothing", silent)
	}
}

func mustPlace(t *testing.T, path string) place {
	t.Helper()
	p, ok := parseRecordName(filepath.Base(path))
	if !ok {
		t.Fatal(path)
	}
	return p
}

// A file began before the clock was trusted: nothing is ever pruned by age any more.
func TestPruneIsNotStuckAtAnUntrustedFile(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	now := testNow()
	cfg.Now = func() record.Stamp { return now }
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	for n := range 5 {
		ok(t, d.Put(group(n*10, n*10+10)))
		anchorAll(t, d)
		now.Trusted = n != 0
		nextFile(t, d)
		now.Trusted = true
		now.Wall, now.Mono = now.Wall.Add(dayLength), now.Mono+dayLength
	}
	now.Wall, now.Mono = now.Wall.AddDate(3, 0, 0), now.Mono+3*365*dayLength
	ok(t, d.keepHouse())
	if n := len(d.log.files); n > 1 {
		t.Fatalf("three years later %d files are kept for 30 days", n)
	}
}

// The oldest record of the outbox was carried: nobody knows how old it is.
func TestAgesSurviveACarry(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	now := testNow()
	cfg.Now = func() record.Stamp { return now }
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	ok(t, d.Settle([]record.Delivery{{Seq: 2, Receipt: &record.Receipt{Hash: "h"}}}))
	anchorAll(t, d, 1)
	then := now.Wall
	nextFile(t, d)
	now.Wall, now.Mono = now.Wall.Add(5*dayLength), now.Mono+5*dayLength
	_, err = d.sacrifice()
	ok(t, err)
	if st := d.Stats(); !st.OldestQueued.Equal(then) {
		t.Errorf("oldest queued: %v, want %v", st.OldestQueued, then)
	}
	due, _, err := d.Due(now.Wall, 10)
	ok(t, err)
	if len(due) != 1 || !due[0].Since.Equal(then) {
		t.Errorf("accepted: %v, want %v", due[0].Since, then)
	}
}

// A value of format 1 can't be read: the agent doesn't start any more, with all of its scans.
func TestADamagedStoreOfFormat1Opens(t *testing.T) {
	dir := unpackFixture(t, "testdata/format1.tar.gz")
	path := filepath.Join(dir, oldFile)
	b := read(t, path)
	b = bytes.ReplaceAll(b, []byte("422 payload"), []byte("421 payload"))
	ok(t, os.WriteFile(path, b, 0o600))
	s, err := Open(testConfig(dir, here))
	if err != nil {
		t.Fatal(err)
	}
	ok(t, s.Close())
}

// All records are lost: sequences begin at 1 again.
func TestNoSequenceTwice(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(group(0, 10)))
	ok(t, s.Close())
	ok(t, os.RemoveAll(filepath.Join(dir, recordsFolder)))
	s = openTest(t, dir)
	ok(t, s.DB.Put(group(10, 11)))
	if q := head(t, s.DB); q[0].Seq <= 10 {
		t.Fatal("sequence", q[0].Seq, "again")
	}
}

// Each export opens every file behind it, each time with a child process.
func TestAnExportReadsNoMoreThanItNeeds(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.ExportDir = t.TempDir()
	probes := 0
	cfg.Probe = func(path string) error { probes++; return Probe(path) }
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	for n := range 30 {
		ok(t, d.Put(group(n*10, n*10+10)))
		anchorAll(t, d)
		nextFile(t, d)
	}
	probes = 0
	_, err = d.sacrifice()
	ok(t, err)
	if probes > 4 {
		t.Fatalf("%d probes to let one file of 30 go", probes)
	}
}

// Records that can't be read are given up: their changes must be found again, and QueueBytes must end at 0.
func TestWhatIsLostIsComparedAndUncounted(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	ok(t, s.DB.Put(bigGroup(0, 10)))
	number := s.DB.state.Number
	nextFile(t, s.DB)
	path := s.DB.log.files[0].path
	ok(t, s.Close())
	spoilCommit(t, path, number)
	s = openTest(t, dir)
	if q := head(t, s.DB); len(q) > 0 {
		t.Fatal(q)
	}
	st := s.DB.Stats()
	missed, _ := s.DB.Missed()
	if st.QueueRecords != 0 || st.QueueBytes != 0 {
		t.Errorf("%d records in %d bytes wait", st.QueueRecords, st.QueueBytes)
	}
	if missed == "" {
		t.Errorf("%d records are lost, the position is behind them, and nothing is compared", st.Lost)
	}
}

// A file of no length, as fsck leaves one: bbolt wants to begin it anew in a file opened for reading, which is not ErrDamaged, so
// the agent never starts again. (probeInChild of the tests calls every error ErrDamaged, the agent's probe doesn't.)
func TestAnEmptyFileIsDamaged(t *testing.T) {
	for _, name := range []string{recordsFolder, rowsName, labelsName, mapName} {
		dir := t.TempDir()
		s := openTest(t, dir)
		ok(t, s.DB.Put(group(0, 10)))
		_, err := s.ImportMap(generationLines(1))
		ok(t, err)
		path := filepath.Join(dir, name)
		if name == recordsFolder {
			path = s.DB.log.last().path
		}
		ok(t, s.Close())
		ok(t, os.Truncate(path, 0))
		s, err = Open(testConfig(dir, here))
		if err != nil {
			t.Error(err)
			continue
		}
		ok(t, s.Close())
	}
}

// The looks that let a file go are not on the card yet when it goes: a crash finds records that wait or are unproven in no file.
func TestAFileGoesAfterWhatLetsItGo(t *testing.T) {
	for _, export := range []bool{false, true} {
		cfg := testConfig(t.TempDir(), here)
		if export {
			cfg.ExportDir = t.TempDir()
		}
		s, err := Open(cfg)
		ok(t, err)
		d := s.DB
		ok(t, d.Put(group(0, 10)))
		nextFile(t, d)
		for seq := uint64(1); seq <= 10; seq++ {
			ok(t, d.Settle([]record.Delivery{{Seq: seq, Receipt: &record.Receipt{Hash: "h"}}}))
			ok(t, d.Look([]record.Look{{Seq: seq, State: record.Anchored, Answer: json.RawMessage(`{"x":1}`)}}))
		}
		gone, err := d.sacrifice()
		if err != nil || !gone {
			t.Fatal(gone, err)
		}
		copied := filepath.Join(t.TempDir(), "store") // killed here
		ok(t, os.CopyFS(copied, os.DirFS(cfg.Dir)))
		c := openTest(t, copied)
		c.DB.Head(nil, 100, 1<<20)
		c.DB.Due(testNow().Wall.AddDate(1, 0, 0), 100)
		if st := c.DB.Stats(); st.Lost > 0 || st.Anchored != 10 {
			t.Errorf("after a crash %d are lost, %d anchored: %v", st.Lost, st.Anchored, c.Losses())
		}
		if export {
			if n := len(exported(t, cfg.ExportDir)); n != 10 {
				t.Errorf("%d of 10 were exported", n)
			}
		}
		ok(t, s.Close())
	}
}

// Due copies and sorts all that was ever looked at, for a hundred.
func TestDueIsCheapWithALargeLedger(t *testing.T) {
	s := openTest(t, t.TempDir())
	d := s.DB
	const n = 200_000
	d.mu.Lock()
	d.state.Runs.set(run{span: span{1, n}, As: accepted, Since: testNow()})
	for seq := uint64(1); seq <= n; seq++ {
		d.looked[seq] = seen{looks: 1, due: time.Hour + time.Duration(seq)}
	}
	d.mu.Unlock()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	_, _, err := d.Due(testNow().Wall, 100)
	took := time.Since(began)
	ok(t, err)
	runtime.ReadMemStats(&after)
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 8 {
		t.Fatalf("%d MiB and %v for one call that finds nothing, with mu held", mb, took)
	}
}

// A state of many runs (a slow trickle that isn't anchored for weeks) is larger than a file, then larger than maxPlain.
func TestALargeStateReadsBack(t *testing.T) {
	for _, n := range []uint64{150_000, 500_000} {
		dir := t.TempDir()
		s := openTest(t, dir)
		d := s.DB
		ok(t, d.Put(group(0, 1)))
		d.mu.Lock()
		r := rand.New(rand.NewPCG(1, 1))
		at := testNow()
		for seq := uint64(1); seq <= n; seq++ { // one receipt each four seconds, between other commits
			at.Boot = "00000000-0000-0000-0000-000000000000"
			at.Mono += 4*time.Second + time.Duration(r.IntN(1e9))
			at.Wall = at.Wall.Add(4*time.Second + time.Duration(r.IntN(1e9)))
			d.state.Runs = append(d.state.Runs, run{span: span{seq, seq}, As: accepted, In: place{seq + 1, 2*seq + 1}, Since: at})
		}
		d.state.Next = n + 1
		d.mu.Unlock()
		nextFile(t, d)
		before := len(d.log.files)
		for i := range 5 {
			ok(t, d.Put(group(i+1, i+2)))
		}
		if more := len(d.log.files) - before; more > 1 {
			t.Errorf("%d runs: 5 small commits made %d files of %d bytes", n, more, d.log.last().bytes)
		}
		ok(t, s.Close())
		s = openTest(t, dir)
		if missed, _ := s.DB.Missed(); missed != "" || len(s.DB.state.Runs) < int(n) {
			t.Errorf("%d runs: %d are left, %s", n, len(s.DB.state.Runs), missed)
		}
		ok(t, s.Close())
	}
}

// A card that others filled: the agent must start again, for the scans.
func TestOpensOnAFullCard(t *testing.T) {
	if dir := os.Getenv("REVIEW_CARD"); dir != "" {
		ok(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"))
		c := testConfig(filepath.Join(dir, "store"), here)
		c.Reserve = 2 << 20
		s, err := Open(c)
		ok(t, err)
		s.DB.free = func(string) (int64, error) { return 1 << 40, nil }
		ok(t, s.DB.Put(group(0, 100)))
		s.Journal.reserve.fill(openFile)
		ok(t, s.Close())
		f, err := os.Create(filepath.Join(dir, "of others"))
		ok(t, err)
		others := func() {
			for b, err := make([]byte, 4096), error(nil); err == nil; {
				_, err = f.Write(b)
			}
		}
		others()
		c.FileBytes = 16 << 10 // as if the last file were full just now
		for range 20 {         // restarts
			if s, err = Open(c); err != nil {
				t.Fatal("the agent doesn't start on a full card: ", err)
			}
			if _, err := s.Journal.Append(scanEntry("a")); err != nil {
				t.Fatal("no scan: ", err)
			}
			s.Close()
		}
		ok(t, os.Remove(filepath.Join(c.Dir, labelsName))) // as before an update of the program
		others()
		if s, err = Open(c); err != nil || exists(s.Journal.reserve.path) {
			t.Fatal("the room of the reserve was not given to the labels: ", err)
		}
		if got := hashesOf(s, "P"); !slices.Equal(got, []string{"a"}) {
			t.Fatal(got)
		}
		s.Close()
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestOpensOnAFullCard$", "-test.v")
	c.Env = append(os.Environ(), "REVIEW_CARD="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Everything at once, for -race.
func TestEverythingAtOnce(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.FileBytes, cfg.FirstLook, cfg.ExportDir = 32<<10, time.Nanosecond, t.TempDir()
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	d := s.DB
	stop := time.Now().Add(4 * time.Second)
	var all sync.WaitGroup
	loop := func(f func(n int) error) {
		all.Go(func() {
			for n := 0; time.Now().Before(stop); n++ {
				if err := f(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func(n int) error { return d.Put(bigGroup(n*5, n*5+5)) })
	loop(func(int) error {
		q, err := d.Head(nil, 20, 1<<20)
		slices.Reverse(q)
		for i := range q {
			if i%5 == 0 {
				continue
			}
			err = errors.Join(err, d.Settle([]record.Delivery{{Seq: q[i].Seq, Receipt: &record.Receipt{Hash: "h"}}}))
		}
		return err
	})
	loop(func(int) error {
		due, _, err := d.Due(testNow().Wall.Add(time.Hour), 50)
		for _, u := range due {
			if u.Receipt.Hash != "h" {
				return fmt.Errorf("record %d has receipt %+v", u.Seq, u.Receipt)
			}
			err = errors.Join(err, d.Look([]record.Look{{Seq: u.Seq, State: record.Anchored, Answer: json.RawMessage(`{"x":1}`)}}))
		}
		return err
	})
	loop(func(int) error { time.Sleep(20 * time.Millisecond); return d.Flush() })
	loop(func(int) error { d.Stats(); return nil })
	loop(func(int) error { time.Sleep(50 * time.Millisecond); return d.keepHouse() })
	loop(func(int) error { time.Sleep(100 * time.Millisecond); _, err := d.sacrifice(); return err })
	loop(func(int) error {
		return d.Waiting(func(record.Queued) error { time.Sleep(time.Millisecond); return nil })
	})
	all.Wait()
	if st := d.Stats(); st.Lost > 0 {
		t.Fatalf("%d are said to be lost: %v", st.Lost, s.Losses())
	}
}

// One carrying commit can't be read: the records of another, which reads, are given up with it.
func TestNoMoreIsLostThanCantBeRead(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	nextFile(t, d)
	ok(t, d.Put(group(10, 20)))
	nextFile(t, d)
	ok(t, d.Put(bigGroup(20, 21)))
	_, err := d.sacrifice()
	ok(t, err)
	number := d.state.Number // carries 1 to 10
	_, err = d.sacrifice()
	ok(t, err)
	ok(t, d.Put(bigGroup(21, 30)))
	nextFile(t, d)
	path := d.log.files[0].path
	ok(t, s.Close())
	spoilCommit(t, path, number)
	s = openTest(t, dir)
	if n := len(head(t, s.DB)); n != 20 || s.DB.Stats().Lost != 10 {
		t.Fatalf("%d of 20 that read are left, %d lost", n, s.DB.Stats().Lost)
	}
}

// A commit that was never finished stands in for a damaged one of its number, although the next one names another.
func TestSalvageTakesNoStaleCommit(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	d := s.DB
	ok(t, d.Put(group(0, 10)))
	stale := &commit{At: testNow(), number: d.state.Number + 1, first: d.state.Next, count: 1, previous: d.log.sum, Dropped: []span{{1, 10}}}
	stale.records = []stored{{Record: rec(77)}}
	value, err := d.log.codec.encode(stale)
	ok(t, err)
	ok(t, d.Put(bigGroup(10, 12)))
	number := d.state.Number
	ok(t, d.Put(bigGroup(12, 20)))
	path := d.log.last().path
	ok(t, s.Close())
	spoilCommit(t, path, number)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	ok(t, err)
	_, err = f.Write(value)
	ok(t, errors.Join(err, f.Close()))
	s = openTest(t, dir)
	for _, q := range head(t, s.DB) {
		if q.Key == rec(77).Key {
			t.Fatal("a record that was never put is in the outbox")
		}
	}
}

// On a full card a file goes although the rows can't be written: the next start must know that its rows are not in the shadow.
func TestRowsThatWentWithAFileAreMissed(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	d := s.DB
	g := group(0, 10)
	for _, r := range g.Records {
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: []byte(noise(len(r.ID), 4000))})
	}
	ok(t, d.Put(g))
	anchorAll(t, d)
	d.rows.bolt.MaxSize = 1 // no room in it
	nextFile(t, d)
	ok(t, d.Put(group(10, 11)))
	if gone, err := d.sacrifice(); err != nil || !gone {
		t.Fatal(gone, err)
	}
	copied := filepath.Join(t.TempDir(), "store") // what a pulled plug leaves
	ok(t, os.CopyFS(copied, os.DirFS(dir)))
	c := openTest(t, copied)
	rows, err := c.DB.Shadow("buylo_products", []string{rec(0).ID})
	ok(t, err)
	if missed, _ := c.DB.Missed(); missed == "" && len(rows) == 0 {
		t.Fatal("the shadow lacks rows and nobody compares them")
	}
}

// Many receipts don't wait for company, also when a few have waited before them.
func TestManyReceiptsAreWrittenAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(testConfig(dir, here))
		ok(t, err)
		d := s.DB
		ok(t, d.Put(group(0, pendingMost+10)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.DB.Run(ctx) }()
		ok(t, d.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{}}}))
		synctest.Wait()
		var many []record.Delivery
		for seq := range uint64(pendingMost) {
			many = append(many, record.Delivery{Seq: seq + 2, Receipt: &record.Receipt{}})
		}
		ok(t, d.Settle(many))
		synctest.Wait()
		d.mu.Lock()
		waits := d.pending != nil
		d.mu.Unlock()
		cancel()
		ok(t, <-done)
		ok(t, s.Close())
		if waits {
			t.Fatal("they wait")
		}
	})
}
