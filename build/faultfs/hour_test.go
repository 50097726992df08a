package faultfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store"
	"station-agent/store/record"
)

const (
	smallCard = 56 << 20
	tick      = 5 * time.Second // of the hour
	wholeHour = int(time.Hour / tick)

	hourVariable = "FAULTFS_HOUR" // names the folder for the small card in the process that has mounts of its own
	mounted      = "the small card is mounted"
)

// bench is a station with a small card in an hour in which everything comes together.
type bench struct {
	*testing.T
	s       *store.Store
	dir     string
	start   time.Time
	scans   int
	put     int
	pauses  int // capture was told that the store is full
	resumed int // and went on later, in the same session
	full    bool

	foreign  *os.File // of somebody else, who takes all the room he can get
	anchored map[int]bool
	open     map[int]bool // scans whose intent waits for the database
}

// bulky is a record that no compression makes small.
func bulky(n int) record.Record {
	r := rec(n)
	r.Payload = json.RawMessage(fmt.Sprintf(`{"n":%d,"noise":"%s"}`, n, noise(n, 1200)))
	return r
}

func (b *bench) wrong(format string, args ...any) {
	b.Helper()
	b.Errorf("at %v: %s", time.Since(b.start), fmt.Sprintf(format, args...))
}

func (b *bench) stamp() record.Stamp {
	return record.Stamp{Boot: "b", Mono: time.Since(b.start), Wall: time.Now().UTC(), Trusted: true}
}

// hour lets the hour pass in a bubble with a clock of its own, closes the store and reads it.
func (b *bench) hour() {
	c := config(b.dir)
	c.Now, c.Reserve, c.FileBytes, c.ExportDir = b.stamp, 2<<20, 2<<20, filepath.Dir(b.dir)+"-export"
	ok(b, os.MkdirAll(c.ExportDir, 0o700)) // on another card: what was exported may be dropped for room
	var err error
	b.s, err = store.Open(c)
	ok(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- b.s.Run(ctx) }()
	for n := range wholeHour {
		b.minute(n * 60 / wholeHour)
		time.Sleep(tick)
	}
	cancel()
	ok(b, errors.Join(<-ended, b.s.Close()))
	b.s, err = store.Open(c)
	ok(b, err)
	b.compare()
	ok(b, b.s.Close())
}

// minute is what happens in one tick of this minute.
func (b *bench) minute(m int) {
	b.foreigner(m >= 40 && m < 45)
	b.scan(3)
	if m < 55 {
		b.capture(10)
	}
	switch {
	case m >= 10 && m < 30: // Certyo is away
	case m < 55:
		b.deliver(100)
	default:
		b.deliver(1000)
	}
}

// foreigner takes all room on the card, and more whenever there is some, until he goes.
func (b *bench) foreigner(there bool) {
	path := filepath.Join(filepath.Dir(b.dir), "of others")
	if !there {
		if b.foreign != nil {
			b.foreign.Close()
			b.foreign = nil
			os.Remove(path)
		}
		return
	}
	if b.foreign == nil {
		b.foreign, _ = os.Create(path)
	}
	for b.foreign != nil {
		if _, err := b.foreign.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// scan takes n scans. None may be refused, however full the card is.
func (b *bench) scan(n int) {
	for range n {
		e, err := b.s.Journal.Append(scan(b.scans))
		if err != nil {
			b.wrong("scan %d was refused: %v", b.scans, err)
			return
		}
		if b.scans++; b.scans%50 == 0 {
			b.open[b.scans-1] = true
		} else if err := b.s.Journal.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}); err != nil {
			b.wrong("the outcome of scan %d was refused: %v", b.scans-1, err)
		}
	}
}

// capture puts as many groups as it may.
func (b *bench) capture(groups int) {
	for range groups {
		g := record.Group{Position: record.Position{File: "binlog.1", Pos: uint64(b.put + 50)}}
		for n := range 50 {
			g.Records = append(g.Records, bulky(b.put+n))
		}
		err := b.s.DB.Put(g)
		if errors.Is(err, store.ErrFull) {
			if !b.full {
				b.pauses++
			}
			b.full = true
			return
		}
		if err != nil {
			b.wrong("put: %v", err)
			return
		}
		if b.full {
			b.resumed++
		}
		b.full = false
		b.put += 50
	}
}

// deliver sends the oldest n records and verifies what is due. On a card that others filled it may have to wait.
func (b *bench) deliver(n int) {
	head, err := b.s.DB.Head(nil, n, 1<<30)
	var deliveries []record.Delivery
	for _, q := range head {
		deliveries = append(deliveries, record.Delivery{Seq: q.Seq, Receipt: &record.Receipt{Hash: "h"}})
	}
	if err == nil {
		err = b.s.DB.Settle(deliveries)
	}
	b.mayWait("settle", err)
	due, _, err := b.s.DB.Due(b.stamp().Wall, n)
	var looks []record.Look
	for _, u := range due {
		b.anchored[number(u.Record.Key)] = true
		looks = append(looks, record.Look{Seq: u.Seq, State: record.Anchored, Answer: []byte(`{}`)})
	}
	if err == nil {
		err = b.s.DB.Look(looks)
	}
	b.mayWait("look", err)
}

func (b *bench) mayWait(what string, err error) {
	if err != nil && (b.foreign == nil || record.ClassOf(err) != record.Again) {
		b.wrong("%s: %v", what, err)
	}
}

// compare holds what is there at the end against what had been acknowledged.
func (b *bench) compare() {
	f := newFound(bulky)
	f.readJournal(b.s)
	f.readRecords(b.s)
	if losses := b.s.Losses(); len(f.Failures)+len(f.Invented)+len(losses) > 0 {
		b.wrong("%+v %v %+v", f.Failures, f.Invented, losses)
	}
	if f.Accepted != uint64(b.scans) || len(f.Scans) == 0 {
		b.wrong("%d scans, the state counts %d, %d are kept", b.scans, f.Accepted, len(f.Scans))
	}
	for n := b.scans - len(f.Scans); n < b.scans; n++ {
		if f.Scans[n] == 0 {
			b.wrong("scan %d is gone, older ones are there", n)
		}
	}
	for n := range b.scans {
		if f.Open[n] != b.open[n] {
			b.wrong("the intent of scan %d: open %v, should be %v", n, f.Open[n], b.open[n])
		}
	}
	for n := range b.put {
		if places := f.Records[n]; len(places) > 1 || len(places) == 0 && !b.anchored[n] {
			b.wrong("record %d lies in %v, anchored %v", n, places, b.anchored[n])
		}
	}
	if s := b.s.DB.Stats(); f.Position != b.put || s.QueueRecords > 0 || int(s.Accepted) != b.put {
		b.wrong("%d records put, position %d, %d were accepted, %d wait", b.put, f.Position, s.Accepted, s.QueueRecords)
	}
}

// Promise 9 for an hour: capture pauses before a scan is refused, and everything goes on by itself.
func TestAnHourOnASmallCard(t *testing.T) {
	if dir := os.Getenv(hourVariable); dir != "" {
		ok(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallCard)))
		fmt.Println(mounted)
		synctest.Test(t, func(t *testing.T) {
			b := &bench{T: t, dir: filepath.Join(dir, "store"), start: time.Now(), anchored: map[int]bool{}, open: map[int]bool{}}
			b.hour()
			if t.Logf("%d scans, %d records, %d pauses", b.scans, b.put, b.pauses); b.pauses < 3 || b.resumed < 3 {
				t.Errorf("capture paused %d times and went on %d times", b.pauses, b.resumed)
			}
		})
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^TestAnHourOnASmallCard$", "-test.v")
	c.Env = append(os.Environ(), alone+"=1", hourVariable+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if err != nil && !bytes.Contains(out, []byte(mounted)) {
		t.Skipf("skipped: no small card can be mounted here: %v %s", err, start(out))
	}
	if t.Logf("%s", start(out)); err != nil {
		t.Fatal(err)
	}
}
