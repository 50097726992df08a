package combos

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/uplinktest"
)

// plan is one combination: how the service is, how the station is set up, and what happens.
type plan struct {
	switches      []func(*uplinktest.Switches)
	batch         int
	bulkOnly      bool
	verifyForm    string
	bad           bool                                  // two records are refused
	differs       bool                                  // one record is another at Certyo
	fault, second func(*site)                           // before anything is sent
	trouble       func(s *site, middle []record.Record) // while the second third is put
}

// choice is one value of one dimension.
type choice struct {
	name string
	set  func(*plan)
}

// sw is a choice that is one switch of the service.
func sw(name string, change func(*uplinktest.Switches)) choice {
	return choice{name, func(p *plan) { p.switches = append(p.switches, change) }}
}

func asIs(name string) choice { return choice{name, func(*plan) {}} }

// some makes choices of the constants 0..n-1.
func some[T ~int](name string, n T, set func(*uplinktest.Switches, T)) (list []choice) {
	for v := range n {
		list = append(list, sw(fmt.Sprint(name, " ", int(v)), func(w *uplinktest.Switches) { set(w, v) }))
	}
	return list
}

// Two records that are refused, and one that is another at Certyo: the latest of its row.
const (
	badOne, badTwo = "change-11", "change-29"
	other          = "change-31" // of row 3
)

// rejects refuses the two.
func rejects(w *uplinktest.Switches) {
	w.Reject = func(r uplinktest.Received) string {
		return map[string]string{badOne: "bad field", badTwo: "bad field"}[r.Key]
	}
}

func dimensions() [][]choice {
	type W = uplinktest.Switches
	flag := func(name string, change func(*W)) []choice { return []choice{asIs("no " + name), sw(name, change)} }
	return [][]choice{
		some("form", uplinktest.Nothing+1, func(w *W, v uplinktest.Form) { w.Form = v }),
		some("words", uplinktest.Sparse+1, func(w *W, v uplinktest.Words) { w.Words = v }),
		some("spoil", uplinktest.Stranger+1, func(w *W, v uplinktest.Spoil) { w.Spoil = v }),
		some("question", uplinktest.VersionForm+1, func(w *W, v uplinktest.Question) { w.Question = v }),
		some("proof", uplinktest.Naming+1, func(w *W, v uplinktest.Proof) { w.Proof = v }),
		flag("207", func(w *W) { w.MultiStatus = true }),
		flag("whole batch refused", func(w *W) { w.WholeBatch = true }),
		flag("shuffled", func(w *W) { w.Shuffle = w.Form != uplinktest.ByPlace }),
		flag("hash prefix", func(w *W) { w.HashPrefix = true }),
		flag("snapshots", func(w *W) { w.Snapshots = true }),
		flag("pending as 404", func(w *W) { w.PendingAs = http.StatusNotFound }),
		flag("plain errors", func(w *W) { w.PlainErrors = true }),
		flag("verify answers for the latest", func(w *W) { w.VerifyLatest = true }),
		flag("snapshots of five", func(w *W) { w.FlushRecords = 5 }),
		flag("slow", func(w *W) { w.Slow = 20 * time.Millisecond }),
		flag("slow anchoring", func(w *W) { w.AnchorAfter = 300 * time.Millisecond }),
		flag("size limit", func(w *W) { w.MaxBytes = 1500 }),
		{
			asIs("no rate limit"),
			sw("rate limit", func(w *W) { w.Rate, w.Burst = 150, 12 }),
			sw("rate limit with Retry-After", func(w *W) { w.Rate, w.Burst, w.RetryAfter = 150, 12, true }),
		},
		{asIs("all good"), {"two bad", func(p *plan) {
			p.bad = true
			p.switches = append(p.switches, rejects)
		}}},
		{asIs("none differs"), {"one differs", func(p *plan) {
			p.differs = true
			p.switches = append(p.switches, func(w *W) { w.Mismatch = func(r uplinktest.Received) bool { return r.Key == other } })
		}}},
		{
			{"batches of 1000", func(p *plan) { p.batch = 1000 }}, {"batches of 6", func(p *plan) { p.batch = 6 }}, {"batches of 2", func(p *plan) { p.batch = 2 }},
		},
		{
			asIs("single and bulk"), {"bulk only", func(p *plan) { p.bulkOnly = true }},
			{"keys by path", func(p *plan) {
				p.bulkOnly = true
				p.switches = append(p.switches, func(w *W) { w.KeysByPath = true })
			}},
		},
		{asIs("verify as by default"), {"verify by ids first", func(p *plan) { p.verifyForm = certyo.WithIDs }}, {"verify by version first", func(p *plan) { p.verifyForm = certyo.WithVersion }}},
		{
			asIs("no fault"),
			{"503", func(p *plan) { p.fault = func(s *site) { s.cloud.FailPosts(2, 503, "") } }},
			{"408", func(p *plan) { p.fault = func(s *site) { s.cloud.FailPosts(1, 408, "") } }},
			{"403", func(p *plan) { p.fault = func(s *site) { s.cloud.FailPosts(1, 403, "") } }},
			{"answers lost", func(p *plan) { p.fault = func(s *site) { s.cloud.LoseAnswers(2) } }},
			{"requests dropped", func(p *plan) { p.fault = func(s *site) { s.cloud.DropRequests(2) } }},
		},
		{
			asIs("no second fault"),
			{"verify fails", func(p *plan) { p.second = func(s *site) { s.cloud.FailVerifies(2, 500, "") } }},
			{"redirect", func(p *plan) {
				p.second = func(s *site) { s.cloud.Switch(func(w *W) { w.Redirect = "http://127.0.0.1:9/" }) }
			}},
			{"key ended", func(p *plan) { p.second = func(s *site) { s.cloud.Switch(func(w *W) { w.Keys = []string{newKey} }) } }},
		},
		{
			asIs("no trouble"), {"cut", func(p *plan) { p.trouble = cut }}, {"black hole", func(p *plan) { p.trouble = blackHole }},
			{"restart", func(p *plan) { p.trouble = restarted }}, {"service restarted", func(p *plan) { p.trouble = serviceRestarted }},
			{"answers lost, then restart", func(p *plan) { p.trouble = lostThenRestart }},
		},
	}
}

// broken breaks the way to the service, or the service, while records come in, until that was noticed.
func broken(s *site, middle []record.Record, breaks func(), mends func()) {
	before := s.lost()
	breaks()
	s.put(middle)
	s.until("the trouble is noticed", func() bool { return s.lost() > before })
	mends()
}

func cut(s *site, middle []record.Record) { broken(s, middle, s.proxy.Cut, s.proxy.Restore) }

func blackHole(s *site, middle []record.Record) {
	broken(s, middle, s.proxy.BlackHole, s.proxy.Restore)
}

func serviceRestarted(s *site, middle []record.Record) {
	broken(s, middle, s.cloud.Stop, func() {
		if err := s.cloud.Start(); err != nil {
			s.t.Fatal(err)
		}
	})
}

// lostThenRestart lets the service take what nobody is told of, and the station start anew.
func lostThenRestart(s *site, middle []record.Record) {
	broken(s, middle, func() { s.cloud.LoseAnswers(1) }, s.restart)
}

func restarted(s *site, middle []record.Record) {
	s.put(middle)
	s.restart()
}

// TestEveryCombination holds that, whatever the service is like and whatever happens, every record is accepted exactly once
// by its key, in order per row, and ends anchored or in a state with a name. Any two choices meet in some run.
func TestEveryCombination(t *testing.T) {
	dims := dimensions()
	sizes := make([]int, len(dims))
	for i, d := range dims {
		sizes[i] = len(d)
	}
	places := make(chan struct{}, 16) // it is waiting that takes the time
	var all sync.WaitGroup
	defer all.Wait()
	for n, row := range pairs(sizes) {
		p, names := plan{}, []string{}
		for d, c := range row {
			dims[d][c].set(&p)
			names = append(names, dims[d][c].name)
		}
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Cleanup(func() {
					if t.Failed() {
						t.Log(strings.Join(names, ", "))
					}
				})
				newSite(t, p).run()
			})
		})
	}
}

// TestCombinationsThatBit are those of more than two choices that showed a fault once.
func TestCombinationsThatBit(t *testing.T) {
	type W = uplinktest.Switches
	for name, p := range map[string]plan{
		"results by id in another order: whose hash is whose?": {
			batch: 1000, switches: []func(*W){func(w *W) { w.Form, w.Shuffle = uplinktest.ByID, true }},
		},
		"the same, one of a row refused: which?": {
			batch: 1000, bad: true, switches: []func(*W){func(w *W) { w.Form, w.Shuffle = uplinktest.ByID, true }, rejects},
		},
		"nobody says that one was refused, and the row is verified": {
			batch: 1000, bulkOnly: true, bad: true, switches: []func(*W){func(w *W) { w.Form, w.Question, w.Proof = uplinktest.Nothing, uplinktest.IDsForm, uplinktest.NoHashes }, rejects},
		},
		"nobody says that one was refused, and another version is verified": {
			batch: 1000, bulkOnly: true, bad: true, switches: []func(*W){func(w *W) {
				w.Form, w.Question, w.VerifyLatest, w.Proof = uplinktest.Nothing, uplinktest.VersionForm, true, uplinktest.Naming
			}, rejects},
		},
		"the form of a verification is looked for under a rate limit": {
			batch: 1000, switches: []func(*W){func(w *W) { w.Question, w.Rate, w.Burst = uplinktest.VersionForm, 100, 3 }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newSite(t, p).run()
		})
	}
}

func (s *site) run() {
	all := changes()
	for _, fault := range []func(*site){s.plan.fault, s.plan.second} {
		if fault != nil {
			fault(s)
		}
	}
	s.put(all[:12])
	s.until("something was answered", func() bool { return s.calls(func(c uplinktest.Call) bool { return c.Status != 0 }) > 0 })
	s.cloud.Switch(func(w *uplinktest.Switches) { w.Redirect = "" })
	if s.plan.trouble != nil {
		s.plan.trouble(s, all[12:24])
	} else {
		s.put(all[12:24])
	}
	last := len(all) - 1
	s.put(all[24:last])
	s.until("nothing waits but what is bad, and is known to be", func() bool {
		n := s.store.DB.Stats().QueueRecords
		_, says := s.conds["Delivery"].state()
		return n == 0 || n <= 2 && strings.Contains(says, "refused alike")
	})
	s.put(all[last:]) // a record that is refused is only parked once one is taken that was posted later
	s.settles(all)
}

// settles waits for the end, and holds all that must be true of it.
func (s *site) settles(all []record.Record) {
	var is uplinktest.Switches
	s.cloud.Switch(func(w *uplinktest.Switches) { is = *w })
	bad := map[string]bool{badOne: s.plan.bad, badTwo: s.plan.bad}
	good := []record.Record{}
	for _, r := range all {
		if !bad[r.Key] {
			good = append(good, r)
		}
	}
	must := s.provable(good, is)
	s.until("the outbox is empty and all that can be proven is", func() bool {
		q := s.store.DB.Stats()
		if q.QueueRecords > 0 || int(q.Anchored) < len(must) || len(must) == 0 && s.cloud.Counts().Verifies < len(good) {
			return false
		}
		proven := s.anchored()
		for key := range must {
			if _, ok := proven[key]; !ok {
				return false
			}
		}
		return true
	})
	s.stop() // what is counted below holds still
	s.start()
	s.accounts(all, is, bad)
	s.atCertyo(good)
}

// provable are the keys of what has to be proven: all, if answers are about the version that was asked for, else the latest of
// each row; and nothing if the question is by ids alone and the answers have nothing to tell versions apart.
func (s *site) provable(good []record.Record, is uplinktest.Switches) map[string]bool {
	keys := map[string]bool{}
	for _, r := range good {
		keys[r.Key] = true
	}
	if is.VerifyLatest || is.Question == uplinktest.PayloadForm || is.Question == uplinktest.IDsForm {
		keys = last(good)
	}
	hashes := is.Form != uplinktest.Failures && is.Form != uplinktest.Summary && is.Form != uplinktest.Nothing && is.Proof != uplinktest.NoHashes
	byIDs := is.Question == uplinktest.IDsForm || s.plan.verifyForm == certyo.WithIDs && is.Question == uplinktest.AllFields
	if byIDs && !hashes && is.Proof != uplinktest.Naming {
		return nil
	}
	if s.plan.differs {
		delete(keys, other)
	}
	return keys
}

// accounts holds that each record is in one place, and in the right one.
func (s *site) accounts(all []record.Record, is uplinktest.Switches, bad map[string]bool) {
	s.t.Helper()
	proven, dead, received := s.anchored(), s.dead(), map[string]uplinktest.Received{}
	for _, r := range s.cloud.Records() {
		received[r.Key] = r
	}
	q := s.store.DB.Stats()
	if len(proven)+len(dead)+q.Unanchored != len(all) || q.Lost > 0 {
		s.t.Errorf("%d are anchored, %d refused, %d in the ledger, %d lost: of %d", len(proven), len(dead), q.Unanchored, q.Lost, len(all))
	}
	for key, e := range proven {
		r := received[key]
		if r.AnchoredAt.IsZero() || string(e.Record.Payload) != string(r.Payload) || e.Receipt.Hash != "" && strings.TrimPrefix(e.Receipt.Hash, "sha256:") != r.Hash {
			s.t.Errorf("%s counts as anchored with receipt %+v, and Certyo has %+v", key, e.Receipt, r)
		}
		if s.plan.differs && key == other {
			s.t.Errorf("what differs at Certyo counts as anchored: %s", e.Answer)
		}
	}
	// A 202 that says nothing, not even that something was refused, can't be told from one that took everything.
	silent := is.Form == uplinktest.Nothing && !is.MultiStatus && !is.WholeBatch
	for key, why := range dead {
		if !bad[key] {
			s.t.Errorf("%s was refused: %s", key, why)
		}
	}
	for key, is := range bad {
		if _, refused := dead[key]; is && !refused && !silent {
			s.t.Errorf("%s should have been refused", key)
		}
	}
	if shows := is.Proof != uplinktest.NoHashes && is.Proof != uplinktest.NoChain; s.plan.differs && shows && q.Mismatches == 0 && is.Question != uplinktest.IDsForm {
		s.t.Errorf("a record differs at Certyo, and nobody knows: %+v", q)
	}
}

// atCertyo holds that the service has each good record once, in order per row, and that nothing was sent that should not have been.
func (s *site) atCertyo(good []record.Record) {
	s.t.Helper()
	received := s.cloud.Records()
	if len(received) != len(good) {
		s.t.Errorf("Certyo has %d records of %d", len(received), len(good))
	}
	want := map[string]record.Record{}
	for _, r := range good {
		want[r.Key] = r
	}
	for _, r := range received {
		if w, ok := want[r.Key]; !ok || r.Doubled > 0 || string(r.Payload) != string(w.Payload) || r.Version != w.Version || !r.Record.At.Equal(w.At) {
			s.t.Errorf("Certyo has %+v", r)
		}
	}
	if v := s.cloud.Violations(); len(v) > 0 {
		s.t.Errorf("violations: %q", v)
	}
	for _, c := range s.cloud.Calls() {
		pending := strings.HasPrefix(c.Path, "/api/v1/verify/snapshot/") // some say so with a 404
		if c.Station != station || c.Records > 0 && c.Client != clientID || c.Status == http.StatusNotFound && c.Method != http.MethodPost && !pending {
			s.t.Errorf("the log has %+v", c)
		}
	}
}
