package uplinktest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const singlePath = "/api/v1/records"

// one is a right record, r0 of sample.
func one(change map[string]any) map[string]any {
	return sample(1, change)["records"].([]map[string]any)[0]
}

func get(t *testing.T, c *Certyo, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", testKey)
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

func TestStandInTakesSingleRecords(t *testing.T) {
	for name, c := range map[string]struct {
		body   any
		status int
		says   string
		clean  bool
	}{
		"right":         {one(nil), 202, `"recordHash"`, true},
		"other tenant":  {one(map[string]any{"tenantId": "other"}), 403, "another tenant", false},
		"no version":    {one(map[string]any{"recordVersion": nil}), 400, "recordVersion must", false},
		"unknown field": {one(map[string]any{"ours": 1}), 400, "unknown field", false},
		"a bulk":        {sample(1, nil), 400, "unknown field", false},
	} {
		s := standIn(t)
		status, answer := call(t, s, singlePath, c.body, nil)
		if status != c.status || !strings.Contains(answer, c.says) || (len(s.Records()) == 1) != (status == 202) || (len(s.Violations()) == 0) != c.clean {
			t.Errorf("%s: %d %s, %d kept, violations %q", name, status, answer, len(s.Records()), s.Violations())
		}
	}
}

// One key at both ways to post: known to be neither one nor two, so it is a switch.
func TestStandInKeysOfBothWays(t *testing.T) {
	for _, byPath := range []bool{false, true} {
		s := standIn(t)
		s.Switch(func(w *Switches) { w.KeysByPath = byPath })
		call(t, s, bulkPath, sample(1, nil), nil)
		call(t, s, singlePath, one(nil), nil)
		call(t, s, singlePath, one(nil), nil)
		if r := s.Records()[0]; (r.Doubled == 1) != byPath || r.Replays+r.Doubled != 2 {
			t.Errorf("by path %v: %+v", byPath, r)
		}
	}
}

func TestStandInSpoilsResults(t *testing.T) {
	for spoil, want := range map[Spoil]string{Whole: "k0 k1 k2", Missing: "k0 k1", Doubled: "k0 k1 k2 k0", Stranger: "k0 k1 k2 nobody's"} {
		s := standIn(t)
		s.Switch(func(w *Switches) { w.Spoil = spoil })
		_, answer := call(t, s, bulkPath, sample(3, nil), nil)
		var list struct {
			Results []struct{ IdempotencyKey string }
		}
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			t.Fatal(err)
		}
		keys := []string{}
		for _, r := range list.Results {
			keys = append(keys, r.IdempotencyKey)
		}
		if got := strings.Join(keys, " "); got != want || len(s.Records()) != 3 {
			t.Errorf("%d: %s, want %s", spoil, got, want)
		}
	}
}

func TestStandInLimitsAllAlike(t *testing.T) {
	s := standIn(t)
	s.Switch(func(w *Switches) { w.Rate, w.Burst, w.RetryAfter = 0.001, 2, true }) // one in a quarter of an hour
	question := map[string]any{"tenantId": "tovarna", "database": "d", "collection": "c", "recordId": "r0", "recordVersion": "7", "payload": map[string]any{}}
	call(t, s, bulkPath, sample(1, nil), map[string]string{"User-Agent": "station-agent/1 (a)"})
	call(t, s, verifyPath, question, map[string]string{"User-Agent": "station-agent/1 (b)"})
	for _, path := range []string{bulkPath, singlePath, verifyPath} {
		if status, answer := call(t, s, path, question, nil); status != 429 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	if status, _ := get(t, s, "/api/v1/records?tenantId=tovarna"); status != 429 {
		t.Errorf("query: %d", status)
	}
	if n := s.Counts(); n.Posts != 1 || n.Verifies != 1 {
		t.Errorf("what was refused was done all the same: %+v", n)
	}
	s.Advance(1001 * time.Second)
	if status, _ := call(t, s, bulkPath, sample(1, nil), nil); status != 202 || s.Counts().Limited != 4 {
		t.Errorf("after the wait: %d, %d limited", status, s.Counts().Limited)
	}
}

func TestStandInTellsWhenToComeAgain(t *testing.T) {
	for _, tells := range []bool{false, true} {
		s := standIn(t)
		s.Switch(func(w *Switches) { w.Rate, w.RetryAfter = 0.01, tells })
		call(t, s, singlePath, one(nil), nil)
		req, err := http.NewRequest(http.MethodGet, s.URL()+"/api/v1/records?tenantId=tovarna", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", testKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Retry-After"); resp.StatusCode != 429 || (got == "100") != tells || !tells && got != "" {
			t.Errorf("%d, Retry-After %q", resp.StatusCode, got)
		}
	}
}

func TestStandInLimitsSize(t *testing.T) {
	s := standIn(t)
	s.Switch(func(w *Switches) { w.MaxBytes = 1000 })
	if status, _ := call(t, s, bulkPath, sample(20, nil), nil); status != 413 || len(s.Records()) != 0 {
		t.Fatal(status)
	}
	if status, _ := call(t, s, bulkPath, sample(2, nil), nil); status != 202 || len(s.Violations()) != 0 {
		t.Fatal(status, s.Violations())
	}
}

func TestStandInDropsRequests(t *testing.T) {
	s := standIn(t)
	s.DropRequests(1)
	if status, err := call(t, s, bulkPath, sample(1, nil), nil); status != 0 || len(s.Records()) != 0 {
		t.Fatal(status, err)
	}
	s.LoseAnswers(1)
	if status, _ := call(t, s, singlePath, one(nil), nil); status != 0 || len(s.Records()) != 1 {
		t.Fatal(status)
	}
	if status, _ := call(t, s, singlePath, one(nil), nil); status != 202 || s.Records()[0].Replays != 1 {
		t.Fatal(status)
	}
}

func TestStandInVerifiesInOneForm(t *testing.T) {
	all := map[string]any{"tenantId": "tovarna", "database": "d", "collection": "c", "recordId": "r0", "recordVersion": "7", "payload": map[string]any{"a": 0}}
	forms := map[Question]string{AllFields: "tenantId database collection recordId recordVersion payload", PayloadForm: "tenantId database collection recordId payload",
		IDsForm: "tenantId database collection recordId", VersionForm: "tenantId recordId recordVersion"}
	for taken := range forms {
		for asked, fields := range forms {
			s := standIn(t)
			s.Switch(func(w *Switches) { w.Question = taken })
			call(t, s, bulkPath, sample(1, nil), nil)
			s.Advance(150 * time.Second)
			question := map[string]any{}
			for name, v := range all {
				if slices.Contains(strings.Fields(fields), name) {
					question[name] = v
				}
			}
			status, answer := call(t, s, verifyPath, question, nil)
			if want := map[bool]int{true: 200, false: 400}[asked == taken]; status != want || status == 200 && !strings.Contains(answer, `"verified":true`) {
				t.Errorf("form %d where %d is taken: %d %s", asked, taken, status, answer)
			}
		}
	}
}

func TestStandInProofs(t *testing.T) {
	s := standIn(t)
	call(t, s, bulkPath, sample(1, nil), nil)
	call(t, s, bulkPath, sample(1, map[string]any{"recordVersion": "8", "idempotencyKey": "k8", "recordPayload": map[string]any{"a": 8}}), nil)
	s.Advance(150 * time.Second)
	asked := map[string]any{"tenantId": "tovarna", "database": "d", "collection": "c", "recordId": "r0", "recordVersion": "7", "payload": map[string]any{"a": 0}}
	for _, c := range []struct {
		proof     Proof
		latest    bool
		says, not string
	}{
		{FullProof, false, `"verified":true`, `recordVersion`},
		{NoChain, false, `verified_anchored`, `anchoredOnChain`},
		{NoHashes, false, `"verified":true`, `Hash`},
		{Naming, false, `"recordVersion":"7"`, `"verified":false`},
		{Naming, true, `"recordVersion":"8"`, `"verified":true`},
		{FullProof, true, `"verified":false`, `recordVersion`},
	} {
		s.Switch(func(w *Switches) { w.Proof, w.VerifyLatest = c.proof, c.latest })
		if status, answer := call(t, s, verifyPath, asked, nil); status != 200 || !strings.Contains(answer, c.says) || strings.Contains(answer, c.not) {
			t.Errorf("%+v: %d %s", c, status, answer)
		}
	}
}

func TestStandInSnapshots(t *testing.T) {
	s := standIn(t)
	s.Switch(func(w *Switches) { w.Snapshots, w.FlushRecords = true, 2 })
	for path, body := range map[string]any{bulkPath: sample(3, nil), singlePath: one(nil)} {
		if _, answer := call(t, s, path, body, nil); !strings.Contains(answer, `"snapshotId":"snapshot-1"`) {
			t.Fatal(answer)
		}
	}
	if r := s.Records(); r[1].Snapshot != "snapshot-1" || r[2].Snapshot != "snapshot-2" {
		t.Fatalf("%+v", r)
	}
	verify := func(id string, status int, says string) {
		t.Helper()
		if got, answer := get(t, s, "/api/v1/verify/snapshot/"+id); got != status || !strings.Contains(answer, says) {
			t.Errorf("%s: %d %s", id, got, answer)
		}
	}
	verify("snapshot-1", 200, `"verified":false`)
	s.Advance(91 * time.Second) // the second one is not full
	verify("snapshot-1", 200, `"verified":true`)
	verify("snapshot-2", 200, `"verified":false`)
	verify("snapshot-3", 404, "no such snapshot")
}

func TestStandInQueries(t *testing.T) {
	s := standIn(t)
	for _, version := range []string{"7", "8", "9"} {
		call(t, s, bulkPath, sample(2, map[string]any{"recordVersion": version, "idempotencyKey": "r0-" + version}), nil)
	}
	for _, c := range []struct {
		form            Query
		id, begin, says string
		status          int
	}{
		{QueryRecords, "r0", `{"records":[{`, `"recordVersion":"9"`, 200},
		{QueryRecords, "r9", `{"records":[]}`, "", 200},
		{QueryBare, "r0", `[{`, `"idempotencyKey":"r0-9"`, 200},
		{QueryPaged, "r0", `{"items":[{`, `"nextCursor":"2","totalCount":3`, 200},
		{QueryPaged, "r0&cursor=2", `{"items":[{`, `"nextCursor":null,"totalCount":3`, 200},
		{QuerySparse, "r0", `{"data":[{"acceptedAt"`, `"recordId":"r0"}]`, 200},
		{QueryNone404, "r9", `{`, "no such record", 404},
		{QueryNone404, "r0", `{"records":[{`, "", 200},
		{QueryAll, "r9", `{"records":[{`, `"recordId":"r1"`, 200},
	} {
		s.Switch(func(w *Switches) { w.Query = c.form })
		status, answer := get(t, s, "/api/v1/records?tenantId=tovarna&recordId="+c.id)
		if status != c.status || !strings.HasPrefix(answer, c.begin) || !strings.Contains(answer, c.says) {
			t.Errorf("%+v: %d %s", c, status, answer)
		}
	}
}

// TestStandInKeepsALog of all that came, also of what it refused or broke off.
func TestStandInKeepsALog(t *testing.T) {
	s, err := NewCertyo(CertyoConfig{Tenant: "tovarna", Client: "line-2", Keys: []string{testKey}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from := map[string]string{"User-Agent": "station-agent/1.2 (bench-4)"}
	bulk := sample(2, nil)
	for _, r := range bulk["records"].([]map[string]any) {
		r["clientId"] = "line-2"
	}
	call(t, s, bulkPath, bulk, from)
	s.LoseAnswers(1)
	call(t, s, bulkPath, bulk, from)
	call(t, s, singlePath, one(nil), map[string]string{"X-API-Key": "other", "User-Agent": "curl/8"})
	get(t, s, "/api/v1/records?tenantId=tovarna")
	var lines bytes.Buffer
	for _, c := range s.Calls() {
		if c.At.IsZero() || (c.Bytes > 0) != (c.Method == "POST") {
			t.Errorf("%+v", c)
		}
		c.At, c.Bytes = time.Time{}, 0
		if err := json.NewEncoder(&lines).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"at":"0001-01-01T00:00:00Z","station":"bench-4","client":"line-2","method":"POST","path":"/api/v1/records/bulk","records":2,"bytes":0,"status":202}
{"at":"0001-01-01T00:00:00Z","station":"bench-4","client":"line-2","method":"POST","path":"/api/v1/records/bulk","records":2,"bytes":0,"status":0}
{"at":"0001-01-01T00:00:00Z","station":"curl/8","method":"POST","path":"/api/v1/records","bytes":0,"status":401}
{"at":"0001-01-01T00:00:00Z","station":"Go-http-client/1.1","method":"GET","path":"/api/v1/records","bytes":0,"status":200}
`
	if lines.String() != want {
		t.Errorf("the log is\n%swant\n%s", &lines, want)
	}
}
