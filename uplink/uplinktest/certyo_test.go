package uplinktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const testKey = "certyo_sk_test_0123456789"

func standIn(t *testing.T) *Certyo {
	t.Helper()
	c, err := NewCertyo(CertyoConfig{Tenant: "tovarna", Keys: []string{testKey}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sample is a bulk of n right records with fields of the first one replaced; a nil value removes the field.
func sample(n int, change map[string]any) map[string]any {
	records := []map[string]any{}
	for i := range n {
		records = append(records, map[string]any{
			"tenantId": "tovarna", "database": "d", "collection": "c", "recordId": fmt.Sprint("r", i), "recordVersion": "7",
			"operationType": "update", "sourceTimestamp": "2026-05-19T11:41:01Z", "idempotencyKey": fmt.Sprint("k", i),
			"recordPayload": map[string]any{"a": i},
		})
	}
	for name, v := range change {
		if records[0][name] = v; v == nil {
			delete(records[0], name)
		}
	}
	return map[string]any{"tenantId": "tovarna", "records": records}
}

func call(t *testing.T, c *Certyo, path string, body any, header map[string]string) (int, string) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, c.URL()+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{"X-API-Key": testKey, "Content-Type": "application/json", "User-Agent": "station-agent/test"} {
		req.Header.Set(name, v)
	}
	for name, v := range header {
		req.Header.Set(name, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

const bulkPath, verifyPath = "/api/v1/records/bulk", "/api/v1/verify/record"

func TestStandInIsStrict(t *testing.T) {
	for name, c := range map[string]struct {
		body   any
		header map[string]string
		status int
		says   string
		kept   int
	}{
		"right":              {sample(2, nil), nil, 202, `"recordHash"`, 2},
		"no key":             {sample(1, nil), map[string]string{"X-API-Key": ""}, 401, "missing", 0},
		"wrong key":          {sample(1, nil), map[string]string{"X-API-Key": "other"}, 401, "invalid", 0},
		"content type":       {sample(1, nil), map[string]string{"Content-Type": "text/json"}, 415, "", 0},
		"no object":          {[]int{1}, nil, 400, "object", 0},
		"empty":              {map[string]any{"tenantId": "tovarna", "records": []int{}}, nil, 400, "0 records", 0},
		"too many":           {sample(1001, nil), nil, 400, "1001 records", 0},
		"unknown field":      {map[string]any{"tenantId": "tovarna", "records": []int{1}, "x": 1}, nil, 400, "unknown field", 0},
		"other tenant":       {map[string]any{"tenantId": "other", "records": []int{1}}, nil, 403, "another tenant", 0},
		"record's tenant":    {sample(2, map[string]any{"tenantId": "other"}), nil, 202, "differs", 1},
		"field of a record":  {sample(2, map[string]any{"ours": true}), nil, 202, "unknown field", 1},
		"field's case":       {sample(2, map[string]any{"recordid": "r"}), nil, 202, "unknown field", 1},
		"no version":         {sample(2, map[string]any{"recordVersion": nil}), nil, 202, "recordVersion must", 1},
		"version as number":  {sample(2, map[string]any{"recordVersion": 7}), nil, 202, "recordVersion must", 1},
		"no idempotency key": {sample(2, map[string]any{"idempotencyKey": nil}), nil, 202, "idempotencyKey must", 1},
		"operation":          {sample(2, map[string]any{"operationType": "UPDATE"}), nil, 202, "operationType", 1},
		"time without zone":  {sample(2, map[string]any{"sourceTimestamp": "2026-05-19T11:41:01"}), nil, 202, "zone", 1},
		"payload as text":    {sample(2, map[string]any{"recordPayload": "{}"}), nil, 202, "no object", 1},
		"no payload":         {sample(2, map[string]any{"recordPayload": nil}), nil, 202, "no object", 1},
		"key twice":          {sample(2, map[string]any{"idempotencyKey": "k1"}), nil, 202, "twice", 1},
		"too large":          {sample(1, map[string]any{"database": strings.Repeat("x", maxBody)}), nil, 413, "too large", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := standIn(t)
			status, answer := call(t, s, bulkPath, c.body, c.header)
			if status != c.status || !strings.Contains(answer, c.says) || len(s.Records()) != c.kept {
				t.Fatalf("%d %s, %d kept", status, answer, len(s.Records()))
			}
			clean := name == "right" || name == "wrong key" || name == "other tenant"
			if v := s.Violations(); clean != (len(v) == 0) {
				t.Fatalf("violations %q", v)
			}
		})
	}
}

func TestStandInReplaysWithinADay(t *testing.T) {
	s := standIn(t)
	_, first := call(t, s, bulkPath, sample(1, nil), nil)
	_, again := call(t, s, bulkPath, sample(1, nil), nil)
	if strings.Replace(again, `"idempotencyReplayed":true`, `"idempotencyReplayed":false`, 1) != first || again == first {
		t.Fatalf("first %sthen  %s", first, again)
	}
	if v := s.Violations(); len(v) != 0 {
		t.Fatal(v)
	}
	_, other := call(t, s, bulkPath, sample(1, map[string]any{"recordPayload": map[string]any{"a": "changed"}}), nil)
	if other != again || len(s.Violations()) != 1 {
		t.Fatalf("another change under the key: %s, violations %q", other, s.Violations())
	}
	s.Advance(24 * time.Hour)
	call(t, s, bulkPath, sample(1, nil), nil)
	if r := s.Records(); len(r) != 1 || r[0].Replays != 2 || r[0].Doubled != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestStandInNotesDisorder(t *testing.T) {
	s := standIn(t)
	call(t, s, bulkPath, sample(1, map[string]any{"recordVersion": "10"}), nil)
	call(t, s, bulkPath, sample(1, map[string]any{"recordVersion": "9", "idempotencyKey": "k9"}), nil)
	if v := s.Violations(); len(v) != 1 || !strings.Contains(v[0], "version 9 came after 10") || len(s.History("r0")) != 2 {
		t.Fatalf("%q", v)
	}
}

func TestStandInAnchors(t *testing.T) {
	question := func(payload map[string]any) map[string]any {
		return map[string]any{"tenantId": "tovarna", "database": "d", "collection": "c", "recordId": "r0", "recordVersion": "7", "payload": payload}
	}
	ask := func(s *Certyo, body any, status int, says string) {
		t.Helper()
		if got, answer := call(t, s, verifyPath, body, nil); got != status || !strings.Contains(answer, says) {
			t.Fatalf("%d %s", got, answer)
		}
	}
	right := question(map[string]any{"a": 0})
	s := standIn(t)
	ask(s, right, 404, "no such record")
	call(t, s, bulkPath, sample(1, nil), nil)
	s.Advance(140 * time.Second) // ten before, which go by on a slow machine, too
	ask(s, right, 200, `"anchoredOnChain":false`)
	s.Switch(func(w *Switches) { w.PendingAs = 404 })
	ask(s, right, 404, "not anchored yet")
	if s.Anchored() != 0 {
		t.Fatal("anchored too early")
	}
	s.Advance(10 * time.Second)
	ask(s, right, 200, `"verified":true`)
	ask(s, question(map[string]any{"a": 1}), 200, `"verified":false`)
	if s.Anchored() != 1 || s.Records()[0].AnchoredAt.IsZero() {
		t.Fatal("not anchored")
	}
	call(t, s, bulkPath, sample(1000, map[string]any{"recordVersion": "8", "idempotencyKey": "new"}), nil)
	s.Advance(90 * time.Second) // a full snapshot doesn't wait for its age
	if s.Anchored() != 1001 {
		t.Fatalf("%d anchored", s.Anchored())
	}
	delete(right, "recordVersion")
	ask(s, right, 400, "recordVersion")
}

func TestStandInFaults(t *testing.T) {
	s := standIn(t)
	s.FailPosts(1, 503, "7")
	if status, _ := call(t, s, bulkPath, sample(1, nil), nil); status != 503 || len(s.Records()) != 0 {
		t.Fatal(status)
	}
	s.LoseAnswers(1)
	if status, err := call(t, s, bulkPath, sample(1, nil), nil); status != 0 || len(s.Records()) != 1 {
		t.Fatal(status, err)
	}
	addr := s.Addr()
	s.Stop()
	if status, _ := call(t, s, bulkPath, sample(1, nil), nil); status != 0 {
		t.Fatal(status)
	}
	if err := s.Start(); err != nil || s.Addr() != addr {
		t.Fatal(s.Addr(), err)
	}
	if status, _ := call(t, s, bulkPath, sample(1, nil), nil); status != 202 || s.Records()[0].Replays != 1 {
		t.Fatal(status)
	}
	s.Switch(func(w *Switches) {
		w.WholeBatch, w.Reject = true, func(r Received) string { return strings.Repeat("bad", len(r.ID)-1) }
	})
	if status, answer := call(t, s, bulkPath, sample(2, nil), nil); status != 400 || len(s.Records()) != 1 {
		t.Fatal(status, answer)
	}
}
