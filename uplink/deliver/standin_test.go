package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/uplinktest"
)

const testKey = "certyo_sk_test_0123456789"

// site is a courier with the real client, a proxy and the stand-in for Certyo.
type site struct {
	*bench
	cloud *uplinktest.Certyo
	proxy *uplinktest.Proxy
	key   chan string // holds the key that is in the file
}

func newSite(t *testing.T, cfg Config) *site {
	t.Helper()
	cloud, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{
		Tenant: "tovarna", Keys: []string{testKey}, FlushAfter: 20 * time.Millisecond, AnchorAfter: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := uplinktest.NewProxy(cloud.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{&bench{t: t, memory: newMemory(t)}, cloud, proxy, make(chan string, 1)}
	s.key <- testKey
	client := certyo.New(certyo.Config{
		URL: "http://" + proxy.Addr(), Tenant: "tovarna", UserAgent: "station-agent/test (uuid)", PostTimeout: 2 * time.Second,
		Key: func() (string, error) { key := <-s.key; s.key <- key; return key, nil },
	})
	cfg.Schedule = []time.Duration{60 * time.Millisecond}
	cfg.Budget = Budget{PerMinute: 60_000, Verify: 50}
	s.firstLook = cfg.Schedule[0]
	c := New(cfg, s.memory, book{s.memory}, client, s.conditions())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		proxy.Close()
		cloud.Close()
	})
	return s
}

// reaches waits until the memory is in a state.
func (s *site) reaches(want string) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.state() != want; {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s queued/parked/in the ledger/anchored, want %s; delivery: %s; verification: %s",
				s.state(), want, s.delivery.says(), s.verification.says())
		}
		<-time.After(5 * time.Millisecond)
	}
}

// changes makes n changes of ten rows.
func changes(n int) (records []record.Record) {
	for i := range n {
		records = append(records, record.Record{
			Database: "external", Collection: "buylo_products", ID: fmt.Sprint("row", i%10), Version: fmt.Sprint(1000 + i),
			Op: record.Update, At: time.Unix(int64(i), 0), Key: fmt.Sprint("key", i), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
		})
	}
	return records
}

// audit compares what the stand-in has with what was put, one by one.
func (s *site) audit(want []record.Record) {
	s.t.Helper()
	got := map[string]uplinktest.Received{}
	for _, r := range s.cloud.Records() {
		got[r.Key] = r
		if r.Doubled > 0 || r.AnchoredAt.IsZero() {
			s.t.Errorf("%s was taken %d times too often, anchored %s", r.Key, r.Doubled, r.AnchoredAt)
		}
	}
	for _, w := range want {
		if g := got[w.Key]; string(g.Payload) != string(w.Payload) || g.Version != w.Version {
			s.t.Errorf("%s arrived as %+v", w.Key, g)
		}
	}
	if v := s.cloud.Violations(); len(v) != 0 || len(got) != len(want) {
		s.t.Errorf("%d records, want %d; violations %q", len(got), len(want), v)
	}
}

// One change, one key: whatever happens to requests and answers, each change is at Certyo once, in order per row.
func TestOneChangeOneKey(t *testing.T) {
	for name, fault := range map[string]func(s *site){
		"good day":       func(*site) {},
		"answers lost":   func(s *site) { s.cloud.LoseAnswers(2) },
		"503":            func(s *site) { s.cloud.FailPosts(2, 503, "") },
		"429":            func(s *site) { s.cloud.FailPosts(1, 429, "1") },
		"413 for halves": func(s *site) { s.cloud.FailPosts(6, 413, "") },
		"verify fails":   func(s *site) { s.cloud.FailVerifies(2, 500, "") },
		"cut":            func(s *site) { s.proxy.Cut(); time.AfterFunc(300*time.Millisecond, s.proxy.Restore) },
		"black hole":     func(s *site) { s.proxy.BlackHole(); time.AfterFunc(2500*time.Millisecond, s.proxy.Restore) },
		"wrong key": func(s *site) {
			<-s.key
			s.key <- "certyo_sk_test_revoked"
			time.AfterFunc(300*time.Millisecond, func() { <-s.key; s.key <- testKey })
		},
		"redirect": func(s *site) {
			s.cloud.Switch(func(w *uplinktest.Switches) { w.Redirect = "http://127.0.0.1:9/" })
			time.AfterFunc(300*time.Millisecond, func() { s.cloud.Switch(func(w *uplinktest.Switches) { w.Redirect = "" }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, Config{Batch: 100})
			fault(s)
			want := changes(250)
			s.Put(want...)
			s.reaches("0/0/0/250")
			s.audit(want)
		})
	}
}

// Whatever form the answers have, the two bad records are parked and the others anchored.
func TestEveryFormOfAnswer(t *testing.T) {
	for _, form := range uplinktest.Forms() {
		for i, change := range []func(w *uplinktest.Switches){
			func(w *uplinktest.Switches) { w.Words = uplinktest.Status },
			func(w *uplinktest.Switches) { w.Words, w.MultiStatus, w.PendingAs = uplinktest.Word, true, 404 },
			func(w *uplinktest.Switches) { w.Words, w.HashPrefix, w.WholeBatch = uplinktest.Flag, true, true },
			func(w *uplinktest.Switches) { w.Words, w.WholeBatch, w.PlainErrors = uplinktest.Sparse, true, true },
		} {
			if form == uplinktest.Nothing && i == 0 {
				continue // 202 without a word about a record that was not taken: nothing but the ledger can find out
			}
			t.Run(fmt.Sprint(form, i), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, Config{Batch: 50})
				s.cloud.Switch(func(w *uplinktest.Switches) {
					w.Form = form
					w.Reject = func(r uplinktest.Received) string {
						return map[string]string{"key20": "bad", "key77": "bad"}[r.Key]
					}
					change(w)
				})
				want := changes(100)
				s.Put(want...)
				s.reaches("0/2/0/98")
				for _, p := range s.parked {
					if p.Seq != 21 && p.Seq != 78 || !strings.Contains(p.Refusal, "bad") && form != uplinktest.Summary && form != uplinktest.Nothing {
						t.Errorf("parked %+v", p)
					}
				}
				s.audit(append(append(append([]record.Record{}, want[:20]...), want[21:77]...), want[78:]...))
			})
		}
	}
}
