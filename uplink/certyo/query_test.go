package certyo

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/uplinktest"
)

// TestLookup asks for what is there, for a newer version of a row that is there, and for a row that isn't, under every form.
// "No" may only be said where it is proven, and "yes" never wrongly.
func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name              string
		form              uplinktest.Query
		there, newer, row record.Known
	}{
		{"records", uplinktest.QueryRecords, record.KnownYes, record.KnownNo, record.KnownNo},
		{"bare", uplinktest.QueryBare, record.KnownYes, record.KnownNo, record.KnownNo},
		{"paged", uplinktest.QueryPaged, record.KnownUnclear, record.KnownUnclear, record.KnownNo}, // of three pages the first
		{"sparse", uplinktest.QuerySparse, record.KnownUnclear, record.KnownUnclear, record.KnownNo},
		{"404", uplinktest.QueryNone404, record.KnownYes, record.KnownNo, record.KnownUnclear},
		{"all", uplinktest.QueryAll, record.KnownYes, record.KnownUnclear, record.KnownUnclear},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, client := pair(t, nil)
			s.Switch(func(w *uplinktest.Switches) { w.Query, w.HashPrefix, w.Snapshots = c.form, true, true })
			if _, err := client.Post(t.Context(), rows(2)[1:]); err != nil {
				t.Fatal(err)
			}
			sent := rows(1)
			for n := range 5 {
				sent[0].Version, sent[0].Key = fmt.Sprint(17+n), fmt.Sprint("row0-", n)
				if _, err := client.Post(t.Context(), sent); err != nil {
					t.Fatal(err)
				}
			}
			look := func(what string, r record.Record, want record.Known) *record.Receipt {
				t.Helper()
				known, receipt, err := client.Lookup(t.Context(), r)
				if err != nil || known != want || (receipt != nil) != (want == record.KnownYes) {
					t.Errorf("%s: %d %v, want %d: %v", what, known, receipt, want, err)
				}
				return receipt
			}
			if r := look("there", sent[0], c.there); r != nil && (!strings.HasPrefix(r.Hash, "sha256:") || r.AcceptedAt.IsZero()) {
				t.Errorf("the receipt is %+v", r)
			}
			newer, other := sent[0], sent[0]
			newer.Version, newer.Key = "99", "key99"
			look("newer", newer, c.newer)
			other.ID = "row99"
			look("another row", other, c.row)
		})
	}
}

func TestReadFound(t *testing.T) {
	r := rows(1)[0] // row0, version 17, key0
	many := strings.Repeat(`{"recordId":"row0","recordVersion":"1"},`, 9) + `{"recordId":"row0","recordVersion":"2"}`
	for body, want := range map[string]record.Known{
		`[]`:                          record.KnownNo,
		`{"items":[],"totalCount":0}`: record.KnownNo,
		`{"items":[],"totalCount":1}`: record.KnownUnclear,
		`{"records":null}`:            record.KnownUnclear,
		`{}`:                          record.KnownUnclear,
		`null`:                        record.KnownUnclear,
		``:                            record.KnownUnclear,
		`<html>`:                      record.KnownUnclear,
		`{"error":"none"}`:            record.KnownUnclear,
		`{"records":[{"recordId":"row0","recordVersion":17}]}`:                           record.KnownYes,
		`{"records":[{"recordId":"row1","recordVersion":"17"}]}`:                         record.KnownUnclear,
		`{"records":[{"recordId":"row0","recordVersion":"16"}]}`:                         record.KnownNo,
		`{"records":[{"recordId":"row0","recordVersion":"16"}],"hasMore":true}`:          record.KnownUnclear,
		`{"records":[{"recordId":"row0","recordVersion":"16"}],"hasMore":false}`:         record.KnownNo,
		`{"records":[{"recordId":"row0","recordVersion":"16"}],"continuationToken":"x"}`: record.KnownUnclear,
		`{"records":[{"recordId":"row0","idempotencyKey":"other"}]}`:                     record.KnownUnclear,
		`{"records":[{"recordId":"row0","idempotencyKey":"key0"}]}`:                      record.KnownYes,
		`[` + many + `]`: record.KnownUnclear,
		`{"records":[` + many + `],"totalCount":10}`: record.KnownNo,
	} {
		if got := readFound(answer{http.StatusOK, http.Header{}, []byte(body)}, &r); got.Known != want {
			t.Errorf("%s: %d, want %d", body, got.Known, want)
		}
	}
}

func FuzzQueryAnswer(f *testing.F) {
	f.Add([]byte(`{"records":[{"recordId":"row0","recordVersion":"17"}],"totalCount":1}`))
	f.Add([]byte(`[{"recordId":"row0"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := rows(1)[0]
		got := readFound(answer{http.StatusOK, http.Header{}, body}, &r)
		if (got.Known == record.KnownYes) != (got.Receipt != nil) {
			t.Fatalf("%+v", got)
		}
		if got.Known == record.KnownYes && !strings.Contains(string(body), "17") && !strings.Contains(string(body), "key0") && !strings.Contains(string(body), `\u`) {
			t.Fatalf("%q counts as known", body)
		}
	})
}

// TestVerifyForms: whichever form the service takes, and whichever is configured, a verification comes through, and after the
// first answer each takes one request.
func TestVerifyForms(t *testing.T) {
	for question := uplinktest.AllFields; question <= uplinktest.VersionForm; question++ {
		for _, form := range append(VerifyForms(), "") {
			s, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "tovarna", Keys: []string{testKey}})
			if err != nil {
				t.Fatal(err)
			}
			c := New(Config{URL: s.URL(), Tenant: "tovarna", VerifyForm: form, UserAgent: "station-agent/test", Key: func() (string, error) { return testKey, nil }})
			s.Switch(func(w *uplinktest.Switches) { w.Question = question })
			sent := rows(2)
			got, err := c.Post(t.Context(), sent)
			if err != nil {
				t.Fatal(err)
			}
			s.Advance(150 * time.Second)
			for i := range sent {
				before := s.Counts().Requests
				state, _, err := c.Verify(t.Context(), record.Unproven{Record: sent[i], Receipt: *got[i].Receipt})
				if n := s.Counts().Requests - before; err != nil || state != record.Anchored || i > 0 && n != 1 || n > 4 {
					t.Errorf("the service takes form %d, %q is configured, look %d: %s after %d requests: %v", question, form, i, state, n, err)
				}
			}
			s.FailVerifies(1, 400, "") // from now on it is about the record
			if _, _, err := c.Verify(t.Context(), record.Unproven{Record: sent[0]}); record.ClassOf(err) != record.ThisOne {
				t.Errorf("a refusal after an answer: %v", err)
			}
			c.http.CloseIdleConnections()
			s.Close()
		}
	}
}

// A search for the form that a rate limit breaks off again and again gets to its end all the same.
func TestVerifyFormIsFoundUnderALimit(t *testing.T) {
	s, c := pair(t, nil)
	if _, err := c.Post(t.Context(), rows(1)); err != nil {
		t.Fatal(err)
	}
	s.Advance(150 * time.Second)
	s.Switch(func(w *uplinktest.Switches) { w.Question, w.Rate, w.Burst = uplinktest.VersionForm, 0.001, 2 })
	u := record.Unproven{Record: rows(1)[0]}
	for range 3 {
		if state, _, err := c.Verify(t.Context(), u); err == nil {
			if state != record.Anchored {
				t.Fatal(state)
			}
			return
		}
		s.Advance(time.Hour)
	}
	t.Fatal("the form was not found")
}

// A record that every form is refused for is refused for good, and the next record begins anew.
func TestVerifyRefusedInEveryForm(t *testing.T) {
	s, c := pair(t, nil)
	if _, err := c.Post(t.Context(), rows(2)); err != nil {
		t.Fatal(err)
	}
	s.Advance(150 * time.Second)
	s.FailVerifies(4, 400, "")
	if _, _, err := c.Verify(t.Context(), record.Unproven{Record: rows(2)[0]}); record.ClassOf(err) != record.ThisOne {
		t.Fatal(err)
	}
	if state, _, err := c.Verify(t.Context(), record.Unproven{Record: rows(2)[1]}); err != nil || state != record.Anchored {
		t.Fatal(state, err)
	}
}

// An answer about another version than was asked for proves nothing of ours.
func TestVerifyAboutAnotherVersion(t *testing.T) {
	for _, c := range []struct {
		proof    uplinktest.Proof
		question uplinktest.Question
		hash     bool // the receipt has it
		want     record.Anchoring
	}{
		{uplinktest.FullProof, uplinktest.AllFields, true, record.Mismatch}, // that a newer version was sent, the caller knows
		{uplinktest.Naming, uplinktest.AllFields, true, record.Overtaken},
		{uplinktest.Naming, uplinktest.IDsForm, false, record.Overtaken},
		{uplinktest.FullProof, uplinktest.IDsForm, true, record.Overtaken},
		{uplinktest.FullProof, uplinktest.IDsForm, false, record.Unclear},
		{uplinktest.FullProof, uplinktest.VersionForm, true, record.Overtaken},
	} {
		s, client := pair(t, nil)
		s.Switch(func(w *uplinktest.Switches) {
			w.VerifyLatest, w.Proof, w.Question, w.HashPrefix = true, c.proof, c.question, true
		})
		old := rows(1)
		got, err := client.Post(t.Context(), old)
		if err != nil {
			t.Fatal(err)
		}
		newer := rows(1)
		newer[0].Version, newer[0].Key, newer[0].Payload = "18", "key18", []byte(`{"newer":true}`)
		latest, err := client.Post(t.Context(), newer)
		if err != nil {
			t.Fatal(err)
		}
		s.Advance(150 * time.Second)
		u := record.Unproven{Record: old[0]}
		if c.hash {
			u.Receipt = *got[0].Receipt
		}
		if state, answer, err := client.Verify(t.Context(), u); err != nil || state != c.want {
			t.Errorf("%+v: %s %s %v", c, state, answer, err)
		}
		if state, _, err := client.Verify(t.Context(), record.Unproven{Record: newer[0], Receipt: *latest[0].Receipt}); err != nil || state != record.Anchored {
			t.Errorf("%+v: the latest: %s %v", c, state, err)
		}
	}
}

func TestVerifySnapshot(t *testing.T) {
	s, c := pair(t, nil)
	s.Switch(func(w *uplinktest.Switches) { w.Snapshots = true })
	got, err := c.Post(t.Context(), rows(1))
	if err != nil {
		t.Fatal(err)
	}
	id := got[0].Receipt.Snapshot
	verify := func(id string, want record.Anchoring) {
		t.Helper()
		if state, answer, err := c.VerifySnapshot(t.Context(), id); err != nil || state != want || len(answer) == 0 {
			t.Fatalf("%q: %s %s %v", id, state, answer, err)
		}
	}
	verify(id, record.Pending)
	verify("no/such?thing", record.Missing)
	s.Advance(150 * time.Second)
	verify(id, record.Anchored)
}
