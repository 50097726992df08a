package benchstore

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/goods"
	"station-agent/build/worker"
	"station-agent/store"
)

const (
	perGroup = 1000
	pace     = 50 * time.Millisecond // from group to group: a catch-up of 20,000 records a second
	alone    = 6 * time.Second       // after which nothing waits for company any more
	maxHead  = 4 << 20
)

// groupBytes works with k.N groups in four fresh stores, a phase each:
//
//	put      they are taken in, and no more
//	outbox   they are taken in and leave again, with an answer that says nothing of each record
//	ledger   they leave with receipts and are proven, the service's hash being SHA-256 over the payload
//	opaque   the same with a hash that has nothing to do with the payload
//
// and in a plain bbolt (plain).
func groupBytes(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		for _, p := range []struct {
			name string
			work func(*testing.T, *store.Store, int)
		}{{"put", putOnly}, {"outbox", putSettle}, {"ledger", putProve(digest)}, {"opaque", putProve(opaque)}} {
			s := open(t, store.Config{Dir: k.Dir + "/" + p.name})
			end := running(t, s)
			time.Sleep(time.Minute) // what opening began is over
			mark(p.name)
			p.work(t, s, k.N)
			end()
			mark("end")
		}
		p, g := newPlain(t, k.Dir), goods.New(0)
		mark("plain")
		for range k.N {
			must(t, p.append(encoded(t, g.Group(perGroup).Records...)...))
			must(t, p.remove(perGroup))
		}
		mark("end")
	})
}

func putOnly(t *testing.T, s *store.Store, groups int) {
	g := goods.New(0)
	for range groups {
		must(t, s.DB.Put(g.Group(perGroup)))
		time.Sleep(pace)
	}
}

func putSettle(t *testing.T, s *store.Store, groups int) { settleAll(t, s, groups, nil) }

// settleAll takes in groups and has each leave before the next comes.
func settleAll(t *testing.T, s *store.Store, groups int, hash hashing) {
	g, now := goods.New(0), stamps()
	for range groups {
		must(t, s.DB.Put(g.Group(perGroup)))
		head, err := s.DB.Head(nil, perGroup, maxHead)
		must(t, err)
		if len(head) != perGroup {
			t.Fatalf("%d records wait, %d were put", len(head), perGroup)
		}
		must(t, s.DB.Settle(accept(head, now().Wall, hash)))
		time.Sleep(pace)
	}
}

// putProve settles all groups and proves them when they are due.
func putProve(hash hashing) func(*testing.T, *store.Store, int) {
	return func(t *testing.T, s *store.Store, groups int) {
		settleAll(t, s, groups, hash)
		proveAll(t, s, groups, hash)
	}
}

// proveAll finds what was settled anchored, each group by itself.
func proveAll(t *testing.T, s *store.Store, groups int, hash hashing) {
	for range groups {
		due, _, err := s.DB.Due(goods.Morning.AddDate(1, 0, 0), perGroup)
		must(t, err)
		if len(due) != perGroup {
			t.Fatalf("%d records are due, %d were settled", len(due), perGroup)
		}
		must(t, s.DB.Look(anchored(due, hash)))
		time.Sleep(alone)
	}
	if st := s.DB.Stats(); st.QueueRecords != 0 || st.Unanchored != 0 || st.Anchored != uint64(groups*perGroup) {
		t.Fatalf("not everything was proven: %+v", st)
	}
}

// recordBytes notes what groups of a thousand cost. The ledger's part is all but the taking in, and so has the leaving of
// the outbox in it too.
func (s *book) recordBytes(groups int) error {
	n, err := s.count(task{Work: "group bytes", N: groups})
	if err != nil {
		return err
	}
	each := float64(groups * perGroup)
	s.Note("outbox.card_bytes_per_record", n.bytes("outbox")/each, "B")
	s.Note("outbox.card_bytes_per_record_put", n.bytes("put")/each, "B")
	s.Note("outbox.card_bytes_per_record_bbolt", n.bytes("plain")/each, "B")
	s.Note("ledger.card_bytes_per_record", (n.bytes("ledger")-n.bytes("put"))/each, "B")
	s.Note("ledger.card_bytes_per_record_opaque", (n.bytes("opaque")-n.bytes("put"))/each, "B")
	return nil
}

// deviceBytes takes in groups and has them leave, flushed to the last byte.
func deviceBytes(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Dir: k.Dir})
		end := running(t, s)
		unix.Sync()
		before, _ := writtenBytes(k.Dir)
		putSettle(t, s, k.N)
		end()
		unix.Sync()
		after, there := writtenBytes(k.Dir)
		if there {
			worker.Tell("bytes", after-before)
		}
	})
}

// deviceBytes notes what the disk says, if there is one.
func (s *book) deviceBytes(groups int) error {
	var least float64
	for range 3 {
		k := task{Work: "device bytes", Dir: s.folder(), N: groups}
		a, err := worker.Run(k)
		if err != nil || len(a["bytes"]) == 0 {
			return err
		}
		if v := a["bytes"][0]; least == 0 || v < least {
			least = v
		}
	}
	s.Note("outbox.device_bytes_per_record", least/float64(groups*perGroup), "B")
	return nil
}
