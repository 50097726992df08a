package combos

import (
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/uplinktest"
)

// TestADayLater loses the answers of a bulk request, ends the station and starts it after Certyo has forgotten the keys, under every
// form in which Certyo may answer when it is asked for what it has: a record is there twice only if it is marked so.
func TestADayLater(t *testing.T) {
	for name, c := range map[string]struct {
		query   uplinktest.Query
		arrives bool // the first request does
		told    bool // the answer to the query tells whether it did: of these few records, not of any
	}{
		"records, arrived":                 {uplinktest.QueryRecords, true, true},
		"records, did not arrive":          {uplinktest.QueryRecords, false, true},
		"a bare list, arrived":             {uplinktest.QueryBare, true, true},
		"pages, arrived":                   {uplinktest.QueryPaged, true, true},
		"without versions, arrived":        {uplinktest.QuerySparse, true, false},
		"without versions, did not arrive": {uplinktest.QuerySparse, false, true},
		"404 for none, did not arrive":     {uplinktest.QueryNone404, false, false},
		"everything, arrived":              {uplinktest.QueryAll, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plan{batch: 1000, switches: []func(*uplinktest.Switches){func(w *uplinktest.Switches) { w.Query = c.query }}})
			s.stop()
			s.ago = 25 * time.Hour
			if c.arrives {
				s.cloud.LoseAnswers(1_000_000)
			} else {
				s.cloud.FailPosts(1_000_000, 503, "")
			}
			s.start()
			all := changes()[:8] // one of each row, and a second of some
			s.put(all)
			s.until("a request was made", func() bool { return s.lost() > 0 })
			s.stop()
			s.cloud.LoseAnswers(0)
			s.cloud.FailPosts(0, 0, "")
			s.cloud.Advance(25 * time.Hour)
			s.ago = 0
			s.start()
			s.until("all is accepted", func() bool { return s.store.DB.Stats().Accepted == uint64(len(all)) })
			q := s.store.DB.Stats()
			doubled := 0
			for _, r := range s.cloud.Records() {
				if r.Doubled > 0 {
					doubled++
				}
			}
			if n := len(s.cloud.Records()); n != len(all) {
				t.Errorf("Certyo has %d records of %d", n, len(all))
			}
			if uint64(doubled) > q.Doubled {
				t.Errorf("%d records are doubled, and only %d are said to be, possibly", doubled, q.Doubled)
			}
			if c.told && (doubled > 0 || q.Doubled > 0) {
				t.Errorf("%d are doubled and %d are said to be, possibly, though Certyo can tell", doubled, q.Doubled)
			}
			if !c.told && q.Doubled == 0 {
				t.Error("nothing is said to be doubled, possibly, though nobody knows")
			}
			marked := uint64(0)
			if err := s.store.DB.Accounts(0, func(*record.Record) bool { return true }, func(a *record.Account) error {
				if a.Receipt != nil && a.Receipt.Doubled {
					marked++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if marked != q.Doubled {
				t.Errorf("%d receipts are marked, %d counted", marked, q.Doubled)
			}
		})
	}
}
