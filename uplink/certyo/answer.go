package certyo

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"station-agent/store/record"
)

// The form of a bulk answer is not published. What is understood: an array of results below "results", "records" or
// "items", or alone, one object a record, which names its record by idempotencyKey, else by recordId (the n-th result of an
// id is for the n-th record with it), else, if no more can be had, by its place among as many results as records.
//
//   - A result for a record that was not sent is passed over; of two results for one record the worse counts.
//   - A record without a result, while others have theirs, stays open.
//   - If nothing can be matched, all are accepted, unless the answer hints at trouble (status 207, a refusal somewhere, a
//     count of rejected ones): then it is an error of class record.Never, so that the caller takes the batch apart.

// envelope is the answer as a whole. It may speak for all records at once, as a result does for one.
type envelope struct {
	result
	Results  []result
	Records  []result
	Items    []result
	Rejected loose
	Failed   loose
	Counts   // of the refused, under the usual names
}

// Counts are the plausible names for the number of refused records.
type Counts struct{ RejectedCount, FailedCount, ErrorCount loose }

// readBulk understands the answer to sent.
func readBulk(op string, a answer, sent []record.Record) ([]record.Delivery, error) {
	env, err := readEnvelope(a)
	if err != nil {
		return nil, &Error{Op: op, Status: a.status, Text: err.Error(), cause: err}
	}
	results := env.list()
	answers, matched := match(sent, results)
	if matched > 0 {
		return answers, nil
	}
	switch v, text := env.hint(results); {
	case v == open:
		return nil, &Error{Op: op, Status: a.status, Text: text, Retry: retryAfter(a.header, time.Now())}
	case v == refused || a.status == http.StatusMultiStatus:
		return nil, record.Never(&Error{Op: op, Status: a.status, Text: text})
	}
	receipts := make([]record.Receipt, len(answers))
	for i := range answers {
		answers[i].Receipt = &receipts[i]
	}
	return answers, nil
}

// errForeign is an answer that Certyo would not give: a captive portal's, say. Nothing was accepted as far as we know.
var errForeign = errors.New("the answer is not Certyo's: check certyo.url and what stands between")

func readEnvelope(a answer) (env envelope, err error) {
	text := strings.TrimSpace(string(a.body))
	words := strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") && !strings.ContainsAny(text, "{[<")
	switch {
	case a.status != http.StatusOK && a.status != http.StatusAccepted && a.status != http.StatusMultiStatus:
		return env, errors.New("this is no status that Certyo documents: check certyo.url")
	case text == "", a.status == http.StatusAccepted && words:
		return env, nil
	case !json.Valid(a.body):
		return env, errForeign
	}
	// Fields of another type than expected are left out, the rest is read; nothing else can go wrong with valid JSON.
	if strings.HasPrefix(text, "[") {
		_ = json.Unmarshal(a.body, &env.Results)
	} else {
		_ = json.Unmarshal(a.body, &env)
	}
	return env, nil
}

func (e *envelope) list() []result {
	for _, list := range [][]result{e.Results, e.Records, e.Items} {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// hint tells what the answer says of the records as a whole, where it names none of them.
func (e *envelope) hint(results []result) (verdict, string) {
	for _, r := range append([]result{e.result}, results...) {
		text := r.text()
		r.Message = "" // "12 records queued" is no trouble
		if v := r.verdict(); v != accepted {
			return v, text
		}
	}
	for _, n := range []loose{e.Rejected, e.Failed, e.RejectedCount, e.FailedCount, e.ErrorCount} {
		if n.says() {
			return refused, "the answer tells of refused records but not which"
		}
	}
	return accepted, "the answer names no record"
}

// match gives each record its answer and tells how many got one.
func match(sent []record.Record, results []result) ([]record.Delivery, int) {
	answers, worst := make([]record.Delivery, len(sent)), make([]verdict, len(sent))
	if len(results) == 0 {
		return answers, 0
	}
	ix := newIndex(sent, results)
	matched := 0
	for i, r := range results {
		n := ix.find(i, r)
		if n < 0 {
			continue
		}
		v := r.verdict()
		if worst[n] == silent {
			matched++
		}
		if v <= worst[n] {
			continue
		}
		worst[n] = v
		answers[n] = r.delivery(v)
	}
	return answers, matched
}

// index finds the record that a result is for.
type index struct {
	byKey map[string]int
	byID  map[string][]int
	used  map[string]int // results seen of each id
	keyed bool           // the results carry our keys
	even  bool           // there are as many results as records
}

func newIndex(sent []record.Record, results []result) *index {
	ix := &index{byKey: make(map[string]int, len(sent)), byID: map[string][]int{}, used: map[string]int{}, even: len(sent) == len(results)}
	for i, r := range sent {
		if _, twice := ix.byKey[r.Key]; !twice {
			ix.byKey[r.Key] = i
		}
		ix.byID[r.ID] = append(ix.byID[r.ID], i)
	}
	for _, r := range results {
		_, ours := ix.byKey[string(r.Key)]
		ix.keyed = ix.keyed || ours && r.Key != ""
	}
	return ix
}

// find gives the index of the record, -1 if it is none of ours.
func (ix *index) find(i int, r result) int {
	switch {
	case ix.keyed && r.Key != "":
		if n, ok := ix.byKey[string(r.Key)]; ok {
			return n
		}
		return -1
	case ix.byID[string(r.ID)] != nil:
		list, k := ix.byID[string(r.ID)], ix.used[string(r.ID)]
		ix.used[string(r.ID)]++
		return list[min(k, len(list)-1)]
	case ix.even && r.Key == "" && r.ID == "":
		return i
	}
	return -1
}

// delivery is the result as the outbox takes it.
func (r result) delivery(v verdict) record.Delivery {
	switch v {
	case refused:
		text := r.text()
		if text == "" {
			text = "Certyo refused the record without a reason"
		}
		return record.Delivery{Refusal: text}
	case accepted:
		return record.Delivery{Receipt: r.receipt()}
	}
	return record.Delivery{}
}

func (r result) receipt() *record.Receipt {
	receipt := &record.Receipt{Replayed: r.Replayed == "true"}
	if len(r.Hash) <= 512 {
		receipt.Hash = string(r.Hash)
	}
	if len(r.Snapshot) <= 512 {
		receipt.Snapshot = string(r.Snapshot)
	}
	if at, err := time.Parse(time.RFC3339, string(r.At)); err == nil {
		receipt.AcceptedAt = at.UTC()
	}
	return receipt
}

// loose is a JSON value of any kind as text: a string without its quotes, anything else as it stands. It takes whatever it
// is given.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	if plain(b) {
		*l = loose(b[1 : len(b)-1])
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = loose(s) // null gives ""
		return nil
	}
	*l = loose(b)
	return nil
}

// plain tells whether b is a JSON string that stands for just what is between its quotes.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"'
}

// says tells whether there is more than a way to write "nothing".
func (l loose) says() bool {
	switch strings.TrimSpace(string(l)) {
	case "", "{}", "[]", "0", "false", "null":
		return false
	}
	return true
}

func (l loose) no() bool { return l == "0" || strings.EqualFold(string(l), "false") }

func (l loose) number() (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(string(l)))
	return n, err == nil
}
