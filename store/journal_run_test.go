package store

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"station-agent/store/record"
)

// TestAScanFlushesBesideOutcomes: the flush of a scan begins while one of outcomes is under way. The kernel tells only
// one of them that the card failed; neither may think that all is well.
func TestAScanFlushesBesideOutcomes(t *testing.T) {
	for _, failing := range []int{0, 1, 2} {
		d := &disk{}
		j := openJournalTest(t, t.TempDir()+"/journal", d)
		mustAppend(t, j, scanEntry("a"))
		ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}))
		began, beside, release := make(chan bool), make(chan bool), make(chan bool)
		var mu sync.Mutex
		flushes := 0
		d.hook = func(op, _ string) error {
			if op != "datasync" {
				return nil
			}
			mu.Lock()
			flushes++
			n := flushes
			mu.Unlock()
			if n == 1 {
				close(began)
				<-release
			} else {
				close(beside)
			}
			if n == failing {
				return syscall.EIO
			}
			return nil
		}
		var g sync.WaitGroup
		var flushed, appended error
		g.Go(func() { flushed = j.Flush() })
		<-began
		g.Go(func() { _, appended = j.Append(scanEntry("b")) })
		<-beside // or the test hangs: it waited for the other flush
		close(release)
		g.Wait()
		d.hook = nil
		_, after := j.Append(scanEntry("c"))
		if failing == 0 {
			ok(t, errors.Join(flushed, appended, after))
			continue
		}
		if appended == nil || after == nil || flushed == nil || record.ClassOf(appended) != record.StopHere {
			t.Fatalf("flush %d fails: %v, %v, then %v", failing, flushed, appended, after)
		}
	}
}

// TestAFlushProvesOnlyWhatWasWrittenBefore: what is written while it goes on is not on the card for it.
func TestAFlushProvesOnlyWhatWasWrittenBefore(t *testing.T) {
	d := &disk{}
	j := openJournalTest(t, t.TempDir()+"/journal", d)
	mustAppend(t, j, scanEntry("a"))
	ok(t, j.Settle(record.Outcome{Intent: 1, Result: record.Settled}))
	d.hook = func(op, _ string) error {
		d.hook = nil
		return j.Settle(record.Outcome{Intent: 1, Result: record.Settled})
	}
	before := j.written
	if ok(t, j.Flush()); j.durable != before || j.written != before+1 {
		t.Fatal(before, j.durable, j.written)
	}
}

// TestARotationWaitsForAFlush: nobody closes a file that somebody flushes.
func TestARotationWaitsForAFlush(t *testing.T) {
	d := &disk{}
	j := smallSegments(t, t.TempDir()+"/journal", d)
	var g sync.WaitGroup
	stop := make(chan bool)
	g.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := j.Flush(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for n := range 200 {
		e := mustAppend(t, j, entryOf(n, 5<<10))
		ok(t, j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}))
	}
	close(stop)
	g.Wait()
}

// TestBytesOfAScan: one flush and little more than one block, in packages of ten items.
func TestBytesOfAScan(t *testing.T) {
	d := &disk{}
	now := testNow()
	now.Boot = "0f3e5a1c-6f0e-4a0b-9f0e-1c2d3e4f5a6b"
	c := journalConfig(t.TempDir() + "/journal")
	c.Now = func() record.Stamp { return now }
	j := openConfigured(t, c, d)
	const scans = 1000
	var session record.Session
	flushes, payload := 0, int64(0)
	d.blocks = 0
	for n := range scans {
		hash := fmt.Sprintf("%032x", n)
		if n%10 == 0 {
			session = record.Session{Package: fmt.Sprintf("PKG-2025-%06d", n/10),
				Undo: &record.Undoable{Step: record.Opened, Package: session.Package, Items: session.Items}}
		}
		session.Items = append(session.Items, record.Packed{Hash: hash})
		d.ops = nil
		end := j.end
		mustAppend(t, j, record.Entry{
			Scan: &record.Scan{Tag: record.Tag{Reader: "scanner", Symbology: "QR", Code: hash, Raw: []byte(hash)}, Verdict: record.Accepted,
				Step: record.Added, Package: session.Package, Hash: hash, Count: n%10 + 1, Text: fmt.Sprintf("\"Shirt, blue, M\" is in package %q, which holds %d items", session.Package, n%10+1)},
			Session: &session,
			Intents: []record.Intent{{Hash: hash, Package: &session.Package, Replaces: []record.Value{nil}}},
		})
		if len(d.ops) == 2 && d.ops[0] == "write" && d.ops[1] == "datasync" {
			flushes++
			payload += j.end - end
		}
	}
	card := d.blocks * cardBlock / scans
	t.Logf("a scan: an entry of %d bytes, %d bytes to the card", payload/int64(flushes), card)
	if flushes < scans-3 || card > 4900 {
		t.Fatalf("%d bytes a scan, %d of %d with one flush", card, flushes, scans)
	}
}
