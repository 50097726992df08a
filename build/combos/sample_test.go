package combos

import (
	"strings"
	"testing"

	"station-agent/uplink/uplinktest"
)

// Certyo's MySQL guide prints a sample client. Each of its faults, as far as they lie between outbox and proof, has a test
// here that the sample would not pass.

// The sample moves its checkpoint on although the POST failed, and keeps it in memory: what failed is never sent.
func TestWhatFailedIsSentAgain(t *testing.T) {
	s := newSite(t, plan{})
	s.cloud.FailPosts(1_000_000, 503, "")
	s.put(changes())
	s.until("a post failed", func() bool { return s.lost() > 0 })
	s.restart()
	s.until("another one failed", func() bool { return s.lost() > 1 })
	if q := s.store.DB.Stats(); q.QueueRecords != allChanges || q.Accepted != 0 {
		t.Fatalf("after failures and a restart: %+v", q)
	}
	s.cloud.FailPosts(0, 0, "")
	s.settles(changes())
}

// The sample never keeps the returned recordHash, though its verifier selects by it: nothing would ever be verified.
func TestTheHashIsKept(t *testing.T) {
	for _, prefix := range []bool{false, true} {
		s := newSite(t, plan{switches: []func(*uplinktest.Switches){func(w *uplinktest.Switches) { w.HashPrefix, w.Snapshots = prefix, true }}})
		s.put(changes())
		s.settles(changes())
		proven := s.anchored()
		for _, r := range s.cloud.Records() {
			kept := proven[r.Key].Receipt
			if kept.Hash != strings.Repeat("sha256:", map[bool]int{true: 1}[prefix])+r.Hash || kept.Snapshot != r.Snapshot || !kept.AcceptedAt.Equal(r.At.Truncate(1e6)) {
				t.Errorf("%s: kept is %+v, Certyo said %s, %s, %s", r.Key, kept, r.Hash, r.Snapshot, r.At)
			}
		}
	}
}

// The sample lumps "not anchored yet" and "differs" together, and polls the one for ever as it does the other.
func TestPendingAndTamperedAreToldApart(t *testing.T) {
	s := newSite(t, plan{})
	s.cloud.Switch(func(w *uplinktest.Switches) {
		w.Mismatch = func(r uplinktest.Received) bool { return r.Key == other }
	})
	all := changes()
	s.put(all)
	s.until("all but one are anchored", func() bool { return s.store.DB.Stats().Anchored == allChanges-1 })
	s.cloud.Switch(func(w *uplinktest.Switches) { w.NeverAnchor = true })
	late := all[0]
	late.Version, late.Key = "2000", "late"
	before := s.cloud.Counts().Verifies
	s.put(append(all[:0:0], late))
	s.until("the late one was looked at thrice", func() bool { return s.cloud.Counts().Verifies >= before+3 })
	q := s.store.DB.Stats()
	_, integrity := s.conds["Integrity"].state()
	if q.Mismatches != 1 || q.Unanchored != 2 || !strings.Contains(integrity, "1 record whose content") {
		t.Fatalf("one differs, one is pending: %+v, %q", q, integrity)
	}
	for _, r := range s.cloud.Records() {
		if r.Replays+r.Doubled > 0 {
			t.Errorf("%s was sent again", r.Key)
		}
	}
}
