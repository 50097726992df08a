package certyo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// read gives one letter a record: a for accepted, r for refused, o for open; or the class of the error.
func read(status int, body string, sent []record.Record) string {
	a := answer{status, http.Header{"Content-Type": {"application/json"}}, []byte(body)}
	return letters(readBulk("post", a, sent))
}

func letters(got []record.Delivery, err error) string {
	if err != nil {
		return map[record.Class]string{record.Again: "again", record.ThisOne: "never"}[record.ClassOf(err)]
	}
	var b strings.Builder
	for _, d := range got {
		switch {
		case d.Receipt != nil && d.Refusal != "", (d.Open != "") == (d.Receipt != nil || d.Refusal != ""):
			b.WriteByte('!')
		case d.Receipt != nil:
			b.WriteByte('a')
		case d.Refusal != "":
			b.WriteByte('r')
		default:
			b.WriteByte('o')
		}
	}
	return b.String()
}

// twice makes rows 0, 1 and again 0: key0, key1, key2.
func twice() []record.Record {
	sent := rows(3)
	sent[2].ID, sent[2].Version = sent[0].ID, "18"
	return sent
}

func TestBulkAnswers(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", ``, "aaa"},
		{"null", `null`, "aaa"},
		{"empty object", `{}`, "aaa"},
		{"a message", `{"message":"3 records queued"}`, "aaa"},
		{"counts of success", `{"accepted":3,"rejected":0,"errors":[]}`, "aaa"},
		{"a count of success", `{"accepted":3}`, "aaa"},
		{"a count that doesn't fit", `{"accepted":2}`, "never"},
		{"another", `{"successCount":2,"message":"ok"}`, "never"},
		{"counts of refusals", `{"accepted":2,"rejected":1}`, "never"},
		{"other counts", `{"acceptedCount":2,"failedCount":1}`, "never"},
		{"list of errors", `{"errors":[{"index":1,"error":"bad"}]}`, "never"},
		{"no success", `{"success":false}`, "never"},
		{"busy", `{"status":503,"message":"later"}`, "again"},
		{"partial", `{"status":"partial"}`, "never"},
		{"keys", `{"results":[{"idempotencyKey":"key1"},{"idempotencyKey":"key2"},{"idempotencyKey":"key0"}]}`, "aaa"},
		{"case of names", `{"Results":[{"IdempotencyKey":"key1","Status":400},{"IdempotencyKey":"key2"},{"IdempotencyKey":"key0"}]}`, "ara"},
		{"a missing one", `{"results":[{"idempotencyKey":"key2"},{"idempotencyKey":"key0"}]}`, "aoa"},
		{"an unknown one", `{"results":[{"idempotencyKey":"key7","status":400},{"idempotencyKey":"key0"}]}`, "aoo"},
		{"only unknown ones", `{"results":[{"idempotencyKey":"key7"}]}`, "ooo"},
		{"only unknown bad ones", `{"results":[{"idempotencyKey":"key7","status":400}]}`, "ooo"},
		{"a doubled one", `[{"idempotencyKey":"key0","error":"x"},{"idempotencyKey":"key0"},{"idempotencyKey":"key1"}]`, "oao"},
		{"a doubled one that agrees", `[{"idempotencyKey":"key0"},{"idempotencyKey":"key0"},{"idempotencyKey":"key1"},{"idempotencyKey":"key2"}]`, "oaa"},
		{"ids of one row, all good", `[{"recordId":"row0"},{"recordId":"row1","error":"x"},{"recordId":"row0"}]`, "ara"},
		{"ids of one row, one bad", `[{"recordId":"row0","error":"x"},{"recordId":"row1"},{"recordId":"row0"}]`, "oao"},
		{"ids, one row's second is missing", `[{"recordId":"row1"},{"recordId":"row0"}]`, "oao"},
		{"ids, one row's third", `[{"recordId":"row1"},{"recordId":"row0"},{"recordId":"row0"},{"recordId":"row0"}]`, "oao"},
		{"ids and versions", `[{"recordId":"row0","recordVersion":"18","error":"x"},{"recordId":"row0","recordVersion":17},{"recordId":"row1"}]`, "aar"},
		{"ids and versions, one of another", `[{"recordId":"row0","recordVersion":"16"},{"recordId":"row0","recordVersion":"18"},{"recordId":"row1"}]`, "oaa"},
		{"versions of theirs", `[{"recordId":"row0","recordVersion":"1"},{"recordId":"row1","recordVersion":"1"},{"recordId":"row0","recordVersion":"2"}]`, "aaa"},
		{"data", `{"data":[{"idempotencyKey":"key0"},{"idempotencyKey":"key1","error":"x"},{"idempotencyKey":"key2"}]}`, "ara"},
		{"ids, a doubled one", `[{"recordId":"row1"},{"recordId":"row1","error":"x"}]`, "ooo"},
		{"unknown keys beside ids", `[{"idempotencyKey":"K0","recordId":"row0"},{"idempotencyKey":"K1","recordId":"row1","error":"x"}]`, "oro"},
		{"by place", `[{"status":202},{"status":400},{}]`, "ara"},
		{"by place, too few", `[{"status":202},{"status":400}]`, "ooo"},
		{"by place, too many", `[{},{},{},{}]`, "ooo"},
		{"not objects", `{"results":["ok",1,null]}`, "aaa"},
		{"no array", `{"results":{"a":1},"items":7}`, "aaa"},
		{"waiting ones", `[{"status":429},{"status":"unavailable","error":"x"},{"status":"accepted"}]`, "ooa"},
		{"types mixed up", `[{"status":"400"},{"accepted":"false"},{"statusCode":207,"recordHash":5,"recordId":null}]`, "rra"},
		{"words", `[{"status":"Rejected"},{"status":"BadRequest"},{"status":"duplicate","message":"known"}]`, "rra"},
		{"only a message", `[{"message":"recordPayload is required"},{"message":"queued","recordHash":"x"},{"message":""}]`, "raa"},
		{"signs at odds", `[{"status":202,"error":"x"},{"accepted":true,"success":false},{"recordHash":"h","errors":{}}]`, "rra"},
		{"not JSON", `queued`, "again"},
	} {
		if got := read(202, c.body, twice()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for body, want := range map[string]string{`{}`: "never", `[{"idempotencyKey":"key1","status":400}]`: "oro"} {
		if got := read(207, body, twice()); got != want {
			t.Errorf("207 %s: %s, want %s", body, got, want)
		}
	}
}

func TestAnswersToASingleRecord(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{202, ``, "a"},
		{202, `{"recordId":"row0","recordHash":"h","acceptedAt":"2026-05-19T11:41:02Z","idempotencyReplayed":true}`, "a"},
		{202, `{"recordId":"row0","recordHash":"sha256:h"}`, "a"},
		{202, `{"message":"queued"}`, "a"},
		{202, `{"recordId":"row1","recordHash":"h"}`, "o"},
		{202, `{"idempotencyKey":"key1"}`, "o"},
		{202, `{"recordId":"row0","error":"no payload"}`, "r"},
		{202, `{"success":false,"message":"no"}`, "r"},
		{202, `{"status":503}`, "again"},
		{202, `{"results":[{"recordId":"row0"}]}`, "a"},
		{202, `{"results":[{"recordId":"row0","status":422}]}`, "r"},
		{202, `{"results":[{"recordId":"row9"}]}`, "o"},
		{207, `{"results":[{"recordId":"row0","status":422}]}`, "r"},
		{207, ``, "never"},
		{202, `<html>`, "again"},
		{204, ``, "again"},
	} {
		a := answer{c.status, http.Header{"Content-Type": {"application/json"}}, []byte(c.body)}
		if got := letters(readSingle("post", a, rows(1))); got != c.want {
			t.Errorf("%d %s: %s, want %s", c.status, c.body, got, c.want)
		}
	}
}

// TestHashesOfOneRowAreNotMixedUp: results by id alone may come in any order, so that it isn't known whose hash is whose.
func TestHashesOfOneRowAreNotMixedUp(t *testing.T) {
	for second, want := range map[string]string{"h": "h", "g": ""} {
		a := answer{202, http.Header{}, []byte(`[{"recordId":"row0","recordHash":"h"},{"recordId":"row1","recordHash":"i"},{"recordId":"row0","recordHash":"` + second + `"}]`)}
		got, err := readBulk("post", a, twice())
		if err != nil || got[0].Receipt.Hash != want || got[2].Receipt.Hash != want || got[1].Receipt.Hash != "i" {
			t.Errorf("%s: %+v %+v %+v %v", second, got[0].Receipt, got[1].Receipt, got[2].Receipt, err)
		}
	}
}

// TestOpenIsExplained: why an answer leaves a record open is told, each reason by its own words.
func TestOpenIsExplained(t *testing.T) {
	a := answer{202, http.Header{}, []byte(`[{"idempotencyKey":"key0"},{"idempotencyKey":"key0"},{"idempotencyKey":"key9"},{"idempotencyKey":"key2","status":503}]`)}
	got, err := readBulk("post", a, rows(3))
	if err != nil || !strings.Contains(got[0].Open, "more than one") || !strings.Contains(got[1].Open, "no result for it, but 1 that") || got[2].Open != "503" {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestJudge(t *testing.T) {
	for body, want := range map[string]record.Anchoring{
		`{"verified":true,"anchoredOnChain":true}`:                                                             record.Anchored,
		`{"verified":true,"reasonCategory":"verified_anchored"}`:                                               record.Anchored,
		`{"reasonCategory":"verified_anchored","verificationStatus":"pass"}`:                                   record.Anchored,
		`{"verified":false,"reasonCategory":"verified_anchored","snapshotHash":"a","computedPayloadHash":"a"}`: record.Unclear,
		`{"verified":true,"anchoredOnChain":false}`:                                                            record.Unclear,
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"a","computedPayloadHash":"sha256:A"}`:         record.Anchored,
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"a","computedPayloadHash":"b"}`:                record.Unclear,
		`{"verified":true}`:  record.Unclear,
		`{"verified":false}`: record.Pending,
		`{"verified":false,"snapshotHash":"","anchoredOnChain":true}`:                                   record.Pending,
		`{"verified":false,"snapshotHash":null,"computedPayloadHash":"b"}`:                              record.Pending,
		`{"verified":false,"snapshotHash":"a","computedPayloadHash":"b","anchoredOnChain":false}`:       record.Pending,
		`{"verified":false,"snapshotHash":"a","computedPayloadHash":"b"}`:                               record.Mismatch,
		`{"verified":false,"snapshotHash":"sha256:A","computedPayloadHash":"b","anchoredOnChain":true}`: record.Mismatch,
		`{"verified":false,"snapshotHash":"sha256:A","computedPayloadHash":"a","anchoredOnChain":true}`: record.Unclear,
		`{"verified":false,"snapshotHash":"a","anchoredOnChain":true}`:                                  record.Unclear,
		`{"anchoredOnChain":true}`: record.Unclear,
		`[]`:                       record.Unclear,
		`verified`:                 record.Unclear,
		``:                         record.Unclear,
	} {
		if got := readProof([]byte(body)).judge(); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 19, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		header, date string
		want         time.Duration
	}{
		{"", "", 0}, {"5", "", 5 * time.Second}, {" 5 ", "", 5 * time.Second}, {"-5", "", 0}, {"soon", "", 0}, {"1.5", "", 0},
		{"9223372036854775807", "", maxWait}, {at(time.Minute), "", time.Minute}, {at(-time.Minute), "", 0},
		{at(time.Minute), at(30 * time.Second), 30 * time.Second}, {at(1000 * time.Hour), "", maxWait},
	} {
		if got := retryAfter(http.Header{"Retry-After": {c.header}, "Date": {c.date}}, now); got != c.want {
			t.Errorf("%q, date %q: %s, want %s", c.header, c.date, got, c.want)
		}
	}
}

func TestProblem(t *testing.T) {
	for body, want := range map[string]string{
		`{"title":"Bad Request","detail":"tenantId","errors":{"a":["b"]}}`: `Bad Request: tenantId: {"a":["b"]}`,
		`{"title":7,"detail":null,"message":"m\nn"}`:                       `7: m\nn`,
		"  plain\ttext\x1b[31m ":                                           `plain\ttext\x1b[31m`,
		`{"other":1}`:                                                      `{"other":1}`,
		"\xff\x00":                                                         `\ufffd\x00`,
		``:                                                                 ``,
	} {
		if got := problem([]byte(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if got := problem([]byte(strings.Repeat("\x01é", 2000))); len(got) > maxText {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzBulkAnswer(f *testing.F) {
	f.Add(202, `{"results":[{"idempotencyKey":"key0","status":202},{"recordId":"row0","error":{}}]}`)
	f.Add(207, `[{"recordId":"row1","status":"rejected","message":"\u0000"}]`)
	f.Add(200, `{"accepted":1,"items":[[],null,1e9]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		sent := twice()
		got, err := readBulk("post", answer{status, http.Header{}, []byte(body)}, sent)
		if err == nil && len(got) != len(sent) {
			t.Fatalf("%d answers", len(got))
		}
		for _, d := range got {
			if d.Receipt != nil && d.Refusal != "" || len(d.Refusal) > maxText {
				t.Fatalf("%+v", d)
			}
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
			t.Fatalf("%q", err)
		}
	})
}

// FuzzWalk holds that an answer which is read by hand says what encoding/json reads in it.
func FuzzWalk(f *testing.F) {
	for _, body := range []string{
		`{"results":[{"idempotencyKey":"key0","status":202,"acceptedAt":null},{"recordId":"row0","error":{"a":["}"]}}],"accepted":1}`,
		`{ "Results" : [ {"RECORDID":"a"} ] , "items" : [ ] , "rejected" : [ 1 , "]" ] }`, `{"items":[{"status":"a"}],"items":[{"success":true}]}`,
		` [ {"recordId" : "\u0061\"" , "x":{} } , [ 1 ], null, 1e9, "a", {} ]`, `{"results":{"status":1},"data":"x","message":"é"}`,
		`{"a\"}]":"\\","results":[{"record\u0049d":"b","recordVersion":12,"idempotencyReplayed":true,"\u017ftatus":"no"}]}`, `{}`, `[]`,
		`{"results":[{"recordHash":"\ud800","Message":"b","message":"c"}],"failed":-0.5E+3}`, "{\"results\":[{\"me\xffssage\":\"\xff\",\"error\":\"\x7f\"}]}",
		`{"results":[{"Κ":1,"success":false,"success":"yes"}],"RECORDS":[{"status":5}],"records":null}`, `{"results":null,"results":[{"status":1}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if !json.Valid([]byte(body)) {
			return
		}
		var want envelope
		if strings.HasPrefix(strings.TrimSpace(body), "[") {
			_ = json.Unmarshal([]byte(body), &want.Results)
		} else {
			_ = json.Unmarshal([]byte(body), &want)
		}
		got, err := readEnvelope(answer{http.StatusOK, http.Header{}, []byte(body)})
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q is read as\n%+v, not as\n%+v: %v", body, got, want, err)
		}
	})
}

func FuzzVerifyAnswer(f *testing.F) {
	f.Add([]byte(`{"verified":false,"snapshotHash":"sha256:A","computedPayloadHash":"b"}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		state := readProof(body).judge()
		if kept := asJSON(body); !json.Valid(kept) {
			t.Fatalf("%q is kept as %q", body, kept)
		}
		if state == record.Anchored && !strings.Contains(strings.ToLower(string(body)), "true") && !strings.Contains(string(body), `\u`) &&
			!strings.Contains(string(body), "verified_anchored") {
			t.Fatalf("%q counts as anchored", body)
		}
	})
}

// A time that JSON and MySQL can't hold would stay in the way of every export and of the write-back for good.
func TestTimesThatNobodyCanWrite(t *testing.T) {
	for text, want := range map[string]string{
		"2026-05-19T11:41:02Z": "2026-05-19T11:41:02Z", "9999-12-31T23:59:59-10:00": "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+10:00": "0001-01-01T00:00:00Z", "0500-01-01T00:00:00Z": "0001-01-01T00:00:00Z",
	} {
		r := result{At: loose(text)}
		if got, err := r.receipt().AcceptedAt.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
}
