package certyo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/uplinktest"
)

const testKey = "certyo_sk_test_0123456789"

// pair is a stand-in and a client that is right for it. The stand-in must have found nothing to complain of in the end.
func pair(t *testing.T, change func(*Config)) (*uplinktest.Certyo, *Client) {
	t.Helper()
	s, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "tovarna", Client: "line-2", Keys: []string{testKey}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if v := s.Violations(); len(v) != 0 {
			t.Errorf("the client violated the contract: %q", v)
		}
	})
	cfg := Config{
		URL: s.URL(), Tenant: "tovarna", Client: "line-2", KeyPlace: "/etc/key", UserAgent: "station-agent/test (uuid)",
		Key: func() (string, error) { return testKey + "\n", nil },
	}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.http.CloseIdleConnections)
	return s, c
}

// rows makes n records of n rows.
func rows(n int) (list []record.Record) {
	for i := range n {
		list = append(list, record.Record{
			Database: "external", Collection: "buylo_products", ID: fmt.Sprint("row", i), Version: "17", Op: record.Update,
			At: time.Date(2026, 5, 19, 13, 41, 1, 0, time.FixedZone("", 7200)), Key: fmt.Sprint("key", i),
			Payload: json.RawMessage(fmt.Sprintf(`{"name":"<&>é\u00e9\u2028","price":1.50,"n":%d}`, i)),
		})
	}
	return list
}

func TestPostKeepsPayloadsToTheByte(t *testing.T) {
	s, c := pair(t, nil)
	sent := rows(3)
	sent[1].Payload = json.RawMessage(`{ "spaces" : [1, 2.0,1e3] }`)
	got, err := c.Post(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	kept := s.Records()
	if len(kept) != 3 || len(got) != 3 {
		t.Fatalf("%d kept, %d answers", len(kept), len(got))
	}
	for i, k := range kept {
		want := sent[i]
		if string(k.Payload) != string(want.Payload) || k.ID != want.ID || k.Version != want.Version || k.Key != want.Key ||
			k.Op != want.Op || !k.Record.At.Equal(want.At) || k.Record.At.Location() != time.UTC || k.Client != "line-2" {
			t.Errorf("record %d arrived as %+v", i, k.Record)
		}
		if r := got[i].Receipt; r == nil || r.Hash != k.Hash || r.Replayed || r.AcceptedAt.IsZero() {
			t.Errorf("receipt %d: %+v", i, r)
		}
	}
	if got, err = c.Post(t.Context(), sent[:1]); err != nil || !got[0].Receipt.Replayed {
		t.Fatalf("the second time: %+v, %v", got, err)
	}
}

// One record goes by itself, more or BulkOnly in bulk; the key of the change is the same by either way.
func TestWaysToPost(t *testing.T) {
	for _, bulkOnly := range []bool{false, true} {
		s, c := pair(t, func(cfg *Config) { cfg.BulkOnly = bulkOnly })
		s.Switch(func(w *uplinktest.Switches) { w.Snapshots, w.HashPrefix = true, true })
		for _, n := range []int{1, 2, 1} {
			got, err := c.Post(t.Context(), rows(n))
			if err != nil || got[0].Receipt == nil || got[0].Receipt.Snapshot == "" || got[0].Receipt.Hash != "sha256:"+s.Records()[0].Hash {
				t.Fatalf("%+v %v", got, err)
			}
		}
		for i, call := range s.Calls() {
			want := map[bool]string{false: "/api/v1/records", true: "/api/v1/records/bulk"}[bulkOnly || i == 1]
			if call.Path != want || call.Station != "uuid" || call.Client != "line-2" || call.Status != 202 {
				t.Errorf("call %d, bulk only %v: %+v", i, bulkOnly, call)
			}
		}
		if r := s.Records(); len(r) != 2 || r[0].Replays != 2 {
			t.Errorf("%+v", r)
		}
		s.Switch(func(w *uplinktest.Switches) { w.Reject = func(uplinktest.Received) string { return "no" } })
		got, err := c.Post(t.Context(), rows(1))
		if !bulkOnly && record.ClassOf(err) != record.ThisOne || bulkOnly && (err != nil || got[0].Refusal == "") {
			t.Errorf("a bad record: %+v %v", got, err)
		}
	}
}

func TestPostUnderEveryFormOfAnswer(t *testing.T) {
	for _, form := range uplinktest.Forms() {
		for words := uplinktest.Status; words <= uplinktest.Sparse; words++ {
			for _, multi := range []bool{false, true} {
				for _, shuffle := range []bool{false, form != uplinktest.ByPlace} {
					t.Run(fmt.Sprint(form, words, multi, shuffle), func(t *testing.T) {
						s, c := pair(t, nil)
						s.Switch(func(w *uplinktest.Switches) {
							w.Form, w.Words, w.MultiStatus, w.Shuffle, w.HashPrefix = form, words, multi, shuffle, true
							w.Reject = func(r uplinktest.Received) string { return map[string]string{"row1": "no\x1bgood"}[r.ID] }
						})
						checkForm(t, s, c, form, multi)
					})
				}
			}
		}
	}
}

// checkForm posts three records of which the second is refused: whatever the form, no record may count as accepted that
// the stand-in refused, nor the other way round, if the answer can tell at all.
func checkForm(t *testing.T, s *uplinktest.Certyo, c *Client, form uplinktest.Form, multi bool) {
	got, err := c.Post(t.Context(), rows(3))
	switch {
	case form == uplinktest.Summary, form == uplinktest.Nothing && multi:
		if record.ClassOf(err) != record.ThisOne { // taken apart by the caller
			t.Fatalf("%+v, %v", got, err)
		}
		got, err = c.Post(t.Context(), rows(1))
		if err != nil || got[0].Receipt == nil {
			t.Fatalf("a good one alone: %+v, %v", got, err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case form == uplinktest.Nothing: // 202 without a word: the ledger finds out
		if got[0].Receipt == nil || got[1].Receipt == nil || got[0].Receipt.Hash != "" {
			t.Fatalf("%+v", got)
		}
		return
	case form == uplinktest.Failures:
		if got[0].Receipt != nil || got[2].Receipt != nil || got[0].Refusal != "" {
			t.Fatalf("records without a result count as answered: %+v", got)
		}
	default:
		kept := s.Records()
		if got[0].Receipt == nil || got[2].Receipt == nil || got[2].Receipt.Hash != "sha256:"+kept[1].Hash {
			t.Fatalf("%+v", got)
		}
	}
	if got[1].Receipt != nil || !strings.Contains(got[1].Refusal, "good") || strings.Contains(got[1].Refusal, "\x1b") {
		t.Fatalf("the refused one: %+v", got[1])
	}
}

func TestErrorClasses(t *testing.T) {
	for status, want := range map[int]struct {
		class record.Class
		held  bool
	}{
		400: {record.ThisOne, false}, 409: {record.ThisOne, false}, 413: {record.ThisOne, false}, 415: {record.ThisOne, false},
		422: {record.ThisOne, false}, 401: {record.Again, true}, 403: {record.Again, true}, 404: {record.Again, false},
		405: {record.Again, false}, 408: {record.Again, false}, 429: {record.Again, false}, 500: {record.Again, false},
		502: {record.Again, false}, 503: {record.Again, false}, 504: {record.Again, false}, 201: {record.Again, false},
	} {
		s, c := pair(t, nil)
		for _, plain := range []bool{false, true} {
			s.Switch(func(w *uplinktest.Switches) { w.PlainErrors = plain })
			s.FailPosts(1, status, "3")
			_, err := c.Post(t.Context(), rows(2))
			e, ok := errors.AsType[*Error](err)
			if !ok || record.ClassOf(err) != want.class || e.Held() != want.held || e.Status != status {
				t.Fatalf("%d: %v", status, err)
			}
			if status == 201 {
				continue
			}
			if e.TooLarge() != (status == 413) {
				t.Fatalf("%d: too large %v", status, e.TooLarge())
			}
			if e.CorrelationID == "" || record.RetryAfter(err) != 3*time.Second || !strings.Contains(err.Error(), "asked to fail") {
				t.Fatalf("%d: %v, %+v", status, err, e)
			}
			if want.held && !strings.Contains(err.Error(), "/etc/key") {
				t.Fatalf("%v doesn't say what to do", err)
			}
		}
	}
}

func TestKeyIsAskedForEachTime(t *testing.T) {
	key, keyErr := "certyo_sk_test_old_old", error(nil)
	s, c := pair(t, func(cfg *Config) { cfg.Key = func() (string, error) { return key, keyErr } })
	held := func(says string) {
		t.Helper()
		_, err := c.Post(t.Context(), rows(1))
		if e, ok := errors.AsType[*Error](err); !ok || !e.Held() || record.ClassOf(err) != record.Again || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v", err)
		}
	}
	held("401")
	keyErr = errors.New("read /etc/key: permission denied")
	held("permission denied")
	for _, key = range []string{"", "short", "certyo sk with spaces", "certyo_sk_\nline"} {
		keyErr = nil
		held("/etc/key")
	}
	before := s.Counts().Requests
	key = testKey
	if _, err := c.Post(t.Context(), rows(1)); err != nil || before != 1 {
		t.Fatalf("%v, %d requests without a usable key", err, before)
	}
}

func TestTheKeyNeverLeavesItsHeader(t *testing.T) {
	s, c := pair(t, nil)
	said := []string{}
	post := func(change func(*uplinktest.Switches)) {
		t.Helper()
		s.Switch(change)
		_, err := c.Post(t.Context(), rows(1))
		if err == nil {
			t.Fatal("no error")
		}
		said = append(said, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
	}
	for _, plain := range []bool{false, true} {
		for _, status := range []int{400, 401, 403, 429, 500} {
			s.FailPosts(1, status, "")
			post(func(w *uplinktest.Switches) { w.EchoKey, w.PlainErrors = true, plain })
		}
	}
	post(func(w *uplinktest.Switches) { w.Redirect = "http://127.0.0.1:9/" + testKey + "?key=" + testKey })
	s.Switch(func(w *uplinktest.Switches) { w.Redirect = "" })
	s.FailVerifies(1, 404, "")
	_, answer, err := c.Verify(t.Context(), record.Unproven{Record: rows(1)[0]})
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, string(answer))
	s.Switch(func(w *uplinktest.Switches) {
		w.Reject = func(uplinktest.Received) string { return "bad " + testKey }
	})
	got, err := c.Post(t.Context(), rows(2))
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, got[0].Refusal)
	_, err = c.Post(t.Context(), rows(1))
	said = append(said, err.Error())
	s.Close()
	_, err = c.Post(t.Context(), rows(1))
	said = append(said, err.Error())
	for _, text := range said {
		if strings.Contains(text, testKey) {
			t.Errorf("the key is in %s", text)
		}
	}
	if !strings.Contains(said[0], blotted) {
		t.Errorf("the stand-in did not repeat the key: %s", said[0])
	}
}

func TestRedirectsAreNeverFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request came with key %q", r.Header.Get("X-API-Key"))
	}))
	defer other.Close()
	s, c := pair(t, nil)
	s.Switch(func(w *uplinktest.Switches) { w.Redirect = other.URL + "/there?token=secret" })
	_, err := c.Post(t.Context(), rows(1))
	if err == nil || record.ClassOf(err) != record.Again || !strings.Contains(err.Error(), other.URL+"/there;") {
		t.Fatal(err)
	}
	if _, _, err = c.Verify(t.Context(), record.Unproven{Record: rows(1)[0]}); err == nil {
		t.Fatal("verify followed")
	}
}

func TestNetworkErrorsAreTriedAgain(t *testing.T) {
	var hasty Config
	s, c := pair(t, func(cfg *Config) { hasty = *cfg })
	hasty.PostTimeout = 50 * time.Millisecond
	again := func(c *Client, says string) {
		t.Helper()
		_, err := c.Post(t.Context(), rows(1))
		if _, ok := errors.AsType[*Error](err); !ok || record.ClassOf(err) != record.Again || !strings.Contains(err.Error(), says) {
			t.Fatal(err)
		}
	}
	s.LoseAnswers(1)
	again(c, "EOF")
	s.Switch(func(w *uplinktest.Switches) { w.Slow = time.Minute })
	again(New(hasty), "no complete answer within 50ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Post(ctx, rows(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.Stop()
	again(c, "refused")
	if len(s.Records()) != 1 {
		t.Fatal("the lost answer's record was not taken")
	}
}

func TestVerify(t *testing.T) {
	s, c := pair(t, nil)
	u := record.Unproven{Record: rows(1)[0]}
	verify := func(want record.Anchoring) {
		t.Helper()
		got, answer, err := c.Verify(t.Context(), u)
		if err != nil || got != want || !json.Valid(answer) {
			t.Fatalf("%s %s %v", got, answer, err)
		}
	}
	verify(record.Missing) // not known
	if _, err := c.Post(t.Context(), []record.Record{u.Record}); err != nil {
		t.Fatal(err)
	}
	verify(record.Pending)
	s.Switch(func(w *uplinktest.Switches) { w.PendingAs, w.PlainErrors = 404, true })
	verify(record.Missing)
	s.Advance(150 * time.Second)
	verify(record.Anchored)
	s.Switch(func(w *uplinktest.Switches) {
		w.HashPrefix, w.Mismatch = true, func(uplinktest.Received) bool { return true }
	})
	verify(record.Mismatch)
	for status, class := range map[int]record.Class{500: record.Again, 401: record.Again, 400: record.ThisOne} {
		s.FailVerifies(1, status, "")
		if _, _, err := c.Verify(t.Context(), u); record.ClassOf(err) != class || err == nil {
			t.Fatal(err)
		}
	}
}

func TestForeignAnswersAreNoReceipts(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"captive portal": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome to our Wi-Fi") },
		"truncated":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); fmt.Fprint(w, `{"results":[`) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("{}" + strings.Repeat(" ", maxBulkAnswer)))
		},
		"without content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"results":[]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			_, c := pair(t, func(cfg *Config) { cfg.URL = s.URL })
			if got, err := c.Post(t.Context(), rows(1)); err == nil || record.ClassOf(err) != record.Again {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}
