package certyo

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"station-agent/store/record"
)

// The form of a bulk answer is not published. What is understood: an array of results below "results", "records", "items" or
// "data", or alone, one object a record, which names its record by idempotencyKey, else by recordId and recordVersion, else
// by recordId, else, if no more can be had, by its place among as many results as records.
//
//   - A result for a record that was not sent is passed over. A record without a result, or with more than one, stays open,
//     also if they agree: an answer that is wrong about that may be wrong about more. A smaller request tells.
//   - Results that name their records by recordId alone can't tell the changes of one row apart, as their order is not published
//     either: if there are as many as changes and each is a yes, all are accepted, without a hash if it is not one and the same;
//     else all stay open. The caller then posts no two changes of a row together.
//   - If there are no results at all, all records are accepted, unless the answer hints at trouble (status 207, a refusal, a
//     count that doesn't fit): then it is an error of class record.Never, so that the caller takes the batch apart.
//
// The answer to a single record is published: the object is the result. If it names another record, ours stays open.

// envelope is the answer as a whole. It may speak for all records at once, as a result does for one.
type envelope struct {
	result
	Results  []result
	Records  []result
	Items    []result
	Data     []result
	Rejected loose
	Failed   loose
	Counts   // under the usual names
}

// Counts are the plausible names for the numbers of refused and of accepted records.
type Counts struct{ RejectedCount, FailedCount, ErrorCount, AcceptedCount, SuccessCount loose }

// readBulk understands the answer to sent.
func readBulk(op string, a answer, sent []record.Record) ([]record.Delivery, error) {
	env, err := readEnvelope(a)
	if err != nil {
		return nil, &Error{Op: op, Status: a.status, Text: err.Error(), cause: err}
	}
	if results := env.list(); len(results) > 0 {
		return match(sent, results), nil
	}
	switch v, text := env.hint(len(sent)); {
	case v == open:
		return nil, &Error{Op: op, Status: a.status, Text: text, Retry: retryAfter(a.header, time.Now())}
	case v == refused || a.status == http.StatusMultiStatus:
		return nil, record.Never(&Error{Op: op, Status: a.status, Text: text})
	}
	answers := make([]record.Delivery, len(sent))
	receipts := make([]record.Receipt, len(answers))
	for i := range answers {
		answers[i].Receipt = &receipts[i]
	}
	return answers, nil
}

// readSingle understands the answer to one record that was sent by itself.
func readSingle(op string, a answer, sent []record.Record) ([]record.Delivery, error) {
	env, err := readEnvelope(a)
	if err != nil {
		return nil, &Error{Op: op, Status: a.status, Text: err.Error(), cause: err}
	}
	r, silent := env.result, env.result
	silent.Message = "" // "queued" is no trouble
	switch v := silent.verdict(); {
	case len(env.list()) > 0 || a.status == http.StatusMultiStatus:
		return readBulk(op, a, sent)
	case r.Key != "" && string(r.Key) != sent[0].Key, r.ID != "" && string(r.ID) != sent[0].ID:
		return []record.Delivery{{Open: "the answer is about another record"}}, nil
	case v == open:
		return nil, &Error{Op: op, Status: a.status, Text: r.text(), Retry: retryAfter(a.header, time.Now())}
	default:
		return []record.Delivery{r.delivery(v, &record.Receipt{})}, nil
	}
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
	switch text[0] { // of anything else nothing can be read
	case '[':
		env.Results = readResults(text)
	case '{':
		env.readObject(text)
	}
	return env, nil
}

func (e *envelope) list() []result {
	for _, list := range [][]result{e.Results, e.Records, e.Items, e.Data} {
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// hint tells what the answer says of n records as a whole, where it has no results.
func (e *envelope) hint(n int) (verdict, string) {
	r := e.result
	text := r.text()
	r.Message = "" // "12 records queued" is no trouble
	if v := r.verdict(); v != accepted {
		return v, text
	}
	for _, l := range []loose{e.Rejected, e.Failed, e.RejectedCount, e.FailedCount, e.ErrorCount} {
		if l.says() {
			return refused, "the answer tells of refused records but not which"
		}
	}
	for _, l := range []loose{e.Accepted, e.Success, e.AcceptedCount, e.SuccessCount} {
		if took, ok := l.number(); ok && took != n {
			return refused, fmt.Sprintf("the answer counts %d accepted of %d records but not which", took, n)
		}
	}
	return accepted, "the answer names no record"
}

// match gives each record its answer.
func match(sent []record.Record, results []result) []record.Delivery {
	answers, seen := make([]record.Delivery, len(sent)), make([]int, len(sent))
	receipts := make([]record.Receipt, len(sent))
	if aligned(sent, results) {
		for i := range results {
			answers[i] = results[i].delivery(results[i].verdict(), &receipts[i])
		}
		return answers
	}
	ix := newIndex(sent, results)
	strange := 0
	for i := range results {
		n := ix.find(i, &results[i])
		if n < 0 {
			strange++
			continue
		}
		if seen[n]++; seen[n] > 1 {
			answers[n] = record.Delivery{Open: "the answer has more than one result for it"}
			continue
		}
		answers[n] = results[i].delivery(results[i].verdict(), &receipts[n])
	}
	missing := "the answer has no result for it"
	if strange > 0 {
		missing += fmt.Sprintf(", but %d that are for no record or can't be told apart", strange)
	}
	ix.mixUp(answers)
	for n, times := range seen {
		if times == 0 {
			answers[n].Open = missing
		}
	}
	return answers
}

// aligned tells whether each result names the record in its place by its key, which spares looking for it.
func aligned(sent []record.Record, results []result) bool {
	if len(sent) != len(results) {
		return false
	}
	for i := range sent {
		if string(results[i].Key) != sent[i].Key || sent[i].Key == "" {
			return false
		}
	}
	return true
}

// index finds the record that a result is for. What is below byKey is only filled if keys are not enough.
type index struct {
	byKey     map[string]int
	byID      map[string][]int
	byVersion map[idVersion]int
	results   map[string]int // of each id
	used      map[string]int // of those, looked at; of ids with several records
	keyed     bool           // the results carry our keys
	versioned bool           // the results carry our versions
	even      bool           // there are as many results as records
}

type idVersion struct{ id, version string }

func newIndex(sent []record.Record, results []result) *index {
	ix := &index{byKey: make(map[string]int, len(sent)), even: len(sent) == len(results)}
	for i := range sent {
		if _, twice := ix.byKey[sent[i].Key]; !twice {
			ix.byKey[sent[i].Key] = i
		}
	}
	all := true
	for i := range results {
		_, ours := ix.byKey[string(results[i].Key)]
		ix.keyed = ix.keyed || ours && results[i].Key != ""
		all = all && results[i].Key != ""
	}
	if !ix.keyed || !all {
		ix.addIDs(sent, results)
	}
	return ix
}

func (ix *index) addIDs(sent []record.Record, results []result) {
	ix.byID, ix.byVersion = make(map[string][]int, len(sent)), make(map[idVersion]int, len(sent))
	ix.results, ix.used = make(map[string]int, len(results)), map[string]int{}
	for i := range sent {
		r := &sent[i]
		ix.byID[r.ID] = append(ix.byID[r.ID], i)
		ix.byVersion[idVersion{r.ID, r.Version}] = i
	}
	for i := range results {
		r := &results[i]
		_, ours := ix.byVersion[idVersion{string(r.ID), string(r.Version)}]
		ix.versioned = ix.versioned || ours && r.Version != ""
		ix.results[string(r.ID)]++
	}
}

// mixUp takes back what isn't known of records that share an id and were matched by it alone.
func (ix *index) mixUp(answers []record.Delivery) {
	for id := range ix.used {
		list := ix.byID[id]
		all, one := true, true
		for _, n := range list {
			all = all && answers[n].Receipt != nil
			one = all && one && answers[n].Receipt.Hash == answers[list[0]].Receipt.Hash
		}
		for _, n := range list {
			if !all {
				answers[n] = record.Delivery{Open: "the answer doesn't tell apart the changes of one row"}
			} else if !one {
				answers[n].Receipt.Hash = ""
			}
		}
	}
}

// find gives the index of the record, -1 if it is none of ours or can't be told.
func (ix *index) find(i int, r *result) int {
	id := string(r.ID)
	switch list := ix.byID[id]; {
	case ix.keyed && r.Key != "":
		if n, ok := ix.byKey[string(r.Key)]; ok {
			return n
		}
	case ix.versioned && r.Version != "":
		if n, ok := ix.byVersion[idVersion{id, string(r.Version)}]; ok {
			return n
		}
	case len(list) == 1:
		return list[0]
	case len(list) > 1 && len(list) == ix.results[id]:
		ix.used[id]++
		return list[ix.used[id]-1]
	case ix.even && r.Key == "" && id == "":
		return i
	}
	return -1
}

// delivery is the result as the outbox takes it, with the receipt in the memory of to.
func (r *result) delivery(v verdict, to *record.Receipt) record.Delivery {
	switch v {
	case accepted:
		*to = r.receipt()
		return record.Delivery{Receipt: to}
	case refused:
		return record.Delivery{Refusal: cmp.Or(r.text(), "Certyo refused the record without a reason")}
	}
	return record.Delivery{Open: cmp.Or(r.text(), "the answer puts it off")}
}

// receipt keeps nothing else of the answer in memory.
func (r *result) receipt() record.Receipt {
	receipt := record.Receipt{Replayed: r.Replayed == "true"}
	if len(r.Hash) <= 512 {
		receipt.Hash = strings.Clone(string(r.Hash))
	}
	if len(r.Snapshot) <= 512 {
		receipt.Snapshot = strings.Clone(string(r.Snapshot))
	}
	if at, err := time.Parse(time.RFC3339, string(r.At)); err == nil && writable(at.UTC()) {
		receipt.AcceptedAt = at.UTC()
	}
	return receipt
}

// writable tells whether JSON and MySQL can hold a time: with its zone taken off, one may lie in year 10000 or before 0.
func writable(at time.Time) bool { return at.Year() >= 1970 && at.Year() <= 9999 }

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
func plain[T string | []byte](b T) bool {
	for i := range len(b) {
		if c := b[i]; c < ' ' || c > '~' || c == '\\' {
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
