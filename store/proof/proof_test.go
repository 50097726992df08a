package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func noon(minutes int) time.Time { return time.Date(2026, 5, 19, 12, minutes, 0, 0, time.UTC) }

// testRow reads the rows of these tests.
func testRow(r record.Record) (g Goods, ok bool) {
	if r.Collection != "goods" {
		return g, false
	}
	var row struct {
		Hash, Name string
		Package    record.Value
	}
	err := json.Unmarshal(r.Payload, &row)
	return Goods{Item: row.Hash, Package: row.Package, Name: row.Name}, err == nil
}

// testJudge reads answers such as {"says":"anchored","stored":"h","computed":"h"}.
func testJudge(_ record.Unproven, answer json.RawMessage) (record.Anchoring, string, string) {
	var a struct {
		Says             record.Anchoring
		Stored, Computed string
	}
	_ = json.Unmarshal(answer, &a)
	return a.Says, a.Stored, a.Computed
}

var clocked = record.Moment{At: noon(59), Clock: "trusted"}

// moved is a record of an item that moved so many minutes after noon: to a package, "" for none.
func moved(seq uint64, item, pkg string, minutes int, scan uint64) *record.Account {
	v := "null"
	if pkg != "" {
		v = fmt.Sprintf("%q", pkg)
	}
	payload := fmt.Appendf(nil, `{"hash":%q,"name":"mug <%s>","package":%s}`, item, item, v)
	a := &record.Account{Seq: seq, Scan: scan, Fate: "anchored", Stored: clocked, Accepted: clocked, Answered: clocked, Record: record.Record{Database: "d", Collection: "goods",
		ID: item, Version: fmt.Sprint(1000 + seq), Op: record.Update, At: noon(minutes), Key: fmt.Sprint("key", seq), Payload: payload}}
	a.Receipt = &record.Receipt{Hash: "sha256:" + sum(payload), Snapshot: "snap-1", AcceptedAt: noon(minutes)}
	a.Answer = fmt.Appendf(nil, `{"says":"anchored","stored":%q,"computed":%q}`, sum(payload), sum(payload))
	return a
}

// stands lets a record stand otherwise than anchored.
func stands(a *record.Account, as record.Fate) *record.Account {
	a.Fate, a.Answer = as, nil
	switch as {
	case record.Waits, record.DeadLetter, record.Dropped:
		a.Receipt = nil
	}
	if as == record.DeadLetter {
		a.Refusal, a.Refused = "no such tenant", clocked
	}
	return a
}

func scan(seq uint64, trusted bool, item, pkg string) *record.Entry {
	v := &pkg
	if pkg == "" {
		v = nil
	}
	return &record.Entry{Seq: seq, At: record.Stamp{Boot: "b00tb00t", Mono: 90 * time.Second, Wall: noon(int(seq)), Trusted: trusted},
		Scan:    &record.Scan{Tag: record.Tag{Reader: "scanner", Code: item, Raw: []byte("raw")}, Verdict: record.Accepted, Step: record.Added, Package: pkg, Hash: item, Badge: &record.Badge{Pseudonym: "8f2c", Shift: 3}, Text: "in"},
		Intents: []record.Intent{{ID: seq, Hash: item, Package: v, Replaces: []record.Value{nil}, Scan: seq}}}
}

func manifestOf(seq uint64, minutes, entry int, pkg string, items ...string) *record.Account {
	list, _ := json.Marshal(append([]string{}, items...))
	a := moved(seq, "x", "", minutes, 0)
	a.Record.Collection, a.Record.ID = Manifests, pkg
	a.Record.Payload = fmt.Appendf(nil, `{"package":%q,"hashes":%s,"count":%d,"station":"s","seq":%d}`, pkg, list, len(items), entry)
	a.Receipt.Hash = sum(a.Record.Payload)
	a.Answer = fmt.Appendf(nil, `{"says":"anchored","stored":%q}`, sum(a.Record.Payload))
	return a
}

// file writes a file.
func file(t testing.TB, s Subject, scans []*record.Entry, intents []record.Intent, accounts ...*record.Account) string {
	t.Helper()
	var b bytes.Buffer
	w, c := NewWriter(&b), NewCount(s, testRow)
	err := w.Header(Header{Made: noon(59), Program: "v1", Environment: "test", Station: "uuid", Name: "bench 1", Database: "db/external", Store: "id", Tenant: "t", Subject: s})
	for _, e := range scans {
		err = errors.Join(err, w.Scan(e))
	}
	for _, i := range intents {
		err = errors.Join(err, w.Intent(i, record.Outcome{}))
	}
	for _, a := range accounts {
		c.Add(a)
		err = errors.Join(err, w.Record(a))
	}
	if !s.All() {
		err = errors.Join(err, w.Contents(c.Contents(noon(59))))
	}
	if err = errors.Join(err, w.End()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// check reads and checks a file.
func check(text string) (Report, error) {
	c := NewChecker(testRow, testJudge)
	err := Read(strings.NewReader(text), c.Line)
	return c.Report(), err
}

// parcel is a file with everything in it: two items are packed, one moves on, one is cleared and put in again.
func parcel(t testing.TB) string {
	return file(t, Subject{Package: "P"}, []*record.Entry{scan(1, true, "a", "P"), scan(2, false, "b", "P"), scan(3, true, "b", ""), scan(4, true, "a", "Q")},
		[]record.Intent{{ID: 9, Hash: "c", Package: record.Package("P"), Scan: 77}},
		moved(1, "a", "P", 1, 1), moved(2, "b", "P", 2, 2), manifestOf(3, 3, 2, "P", "a", "b"), moved(4, "b", "", 4, 3),
		stands(moved(5, "b", "P", 5, 5), "pending"), moved(6, "a", "Q", 6, 4), manifestOf(7, 7, 5, "P", "b"))
}

// A sound file says what was checked and what can't be told.
func TestASoundFileHasNoFault(t *testing.T) {
	r, err := check(parcel(t))
	if err != nil || len(r.Faults) > 0 {
		t.Fatal(err, r.Faults)
	}
	for _, want := range []string{"payloads that are the bytes that their SHA-256 names: 7", "recordHash is the SHA-256 of the payload: 7", "manifests that agree with the rows: 2",
		"what the scan wanted that led to them: 4", "items of the contents, which follow from the records: 1", "in the order of their records: 3", "anchored by the answer of Certyo that is kept with them: 6"} {
		if !strings.Contains(strings.Join(r.Agreed, "\n"), want) {
			t.Errorf("%q is missing in %q", want, r.Agreed)
		}
	}
	if len(r.Open) != 1 || !strings.Contains(r.Open[0], "a scan which isn't in the file, as scans are kept for some days: 1") {
		t.Errorf("%q", r.Open)
	}
}

// Whatever byte is changed, dropped or doubled, wherever, it is found.
func TestEveryChangedByteIsFound(t *testing.T) {
	text := parcel(t)
	for i := range len(text) {
		for n, changed := range []string{text[:i] + string(text[i]^1) + text[i+1:], text[:i] + text[i+1:], text[:i+1] + text[i:], text[:i] + string(text[i]^0x20) + text[i+1:]} {
			what := []string{"changed", "dropped", "doubled", "of another case"}[n]
			if n > 0 && i%7 != n { // each way somewhere
				continue
			}
			if r, err := check(changed); err == nil && len(r.Faults) == 0 && changed != text && changed != strings.TrimSuffix(text, "\n") {
				t.Fatalf("byte %d %s: %q", i, what, changed[max(0, i-40):i+5])
			}
		}
	}
	lines := strings.SplitAfter(text, "\n")
	for i := range lines {
		if i == len(lines)-1 {
			continue // behind the last line feed
		}
		if _, err := check(strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")); err == nil {
			t.Errorf("line %d is dropped and nobody finds it", i+1)
		}
	}
	if _, err := check(text + lines[1]); err == nil {
		t.Error("a line behind the end")
	}
	if _, err := check(""); err == nil {
		t.Error("an empty file is none")
	}
}

// reseal makes counts, contents and sums of payloads anew, as one who forges would.
func reseal(t *testing.T, text string, change func(line any)) string {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for n, one := range strings.Split(strings.TrimSpace(text), "\n") {
		line, err := decode([]byte(one), n+1)
		if err != nil {
			t.Fatal(err)
		}
		change(line)
		switch l := line.(type) {
		case *Scan:
			w.end.Scans++
		case *Record:
			w.end.Records++
		case *End:
			l.Records, l.Scans, l.Sum = w.end.Records, w.end.Scans, hex.EncodeToString(w.sum.Sum(nil))
		}
		if err := w.put(line); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// One who makes the checksum anew is found wherever lines depend on one another.
func TestAForgedFileContradictsItself(t *testing.T) {
	text := parcel(t)
	if reseal(t, text, func(any) {}) != text {
		t.Fatal("resealing changes a file: this tests nothing")
	}
	of := func(seq uint64, f func(r *Record)) func(any) {
		return func(line any) {
			if r, ok := line.(*Record); ok && r.Seq == seq {
				f(r)
			}
		}
	}
	repay := func(r *Record, from, to string) {
		r.Payload = Text(strings.Replace(string(r.Payload), from, to, 1))
		r.Sum = sum(r.Payload)
	}
	for name, c := range map[string]struct {
		forge func(any)
		want  string
	}{
		"payload":                {of(1, func(r *Record) { r.Payload = Text(strings.Replace(string(r.Payload), "mug", "cup", 1)) }), "payload_sha256"},
		"payload and its sum":    {of(1, func(r *Record) { repay(r, "mug", "cup") }), "in 6 others, but not here"},
		"no JSON":                {of(1, func(r *Record) { repay(r, "{", "") }), "is no JSON"},
		"another row":            {of(1, func(r *Record) { r.ID = "b" }), "its payload is a row of a"},
		"another package":        {of(2, func(r *Record) { repay(r, `"P"`, `"R"`) }), "wanted no such thing"},
		"version":                {of(4, func(r *Record) { r.Version = "1001" }), "isn't higher"},
		"version, shorter":       {of(4, func(r *Record) { r.Version = "999" }), "isn't higher"},
		"sequence":               {of(4, func(r *Record) { r.Seq = 2 }), "stands in line"},
		"operation":              {of(4, func(r *Record) { r.Op = "drop" }), "which there isn't"},
		"receipt's hash":         {of(1, func(r *Record) { r.Receipt.Hash = "ab" }), "but not here"},
		"answer's hash":          {of(1, func(r *Record) { a := Text(`{"says":"anchored","stored":"ab","computed":"ab"}`); r.Answer = &a }), "but not here"},
		"anchored, not said":     {of(1, func(r *Record) { a := Text(`{"says":"pending"}`); r.Answer = &a }), `says "pending"`},
		"anchored, no answer":    {of(1, func(r *Record) { r.Answer, r.Answered = nil, nil }), "without an answer"},
		"anchored, no receipt":   {of(1, func(r *Record) { r.Receipt = nil }), "without a receipt"},
		"pending, now anchored":  {of(5, func(r *Record) { r.State = "anchored" }), "without an answer"},
		"anchored, now waiting":  {of(1, func(r *Record) { r.State = record.Waits }), "Certyo has answered"},
		"anchored, now mismatch": {of(1, func(r *Record) { r.State = "mismatch" }), "is said to be a mismatch"},
		"a state there isn't":    {of(1, func(r *Record) { r.State = "anchored in snapshot 7" }), "which there isn't"},
		"refusal":                {of(1, func(r *Record) { r.Refusal = "no" }), "its refusal"},
		"scan":                   {of(1, func(r *Record) { r.Scan = 2 }), "wanted no such thing"},
		"deleted":                {of(5, func(r *Record) { r.Op = record.Delete }), "contents don't follow"},
		"manifest's items":       {of(3, func(r *Record) { repay(r, `["a","b"]`, `["a","d"]`) }), "but not here"},
		"manifest's count":       {of(3, func(r *Record) { repay(r, `"count":2`, `"count":3`) }), "its count"},
		"manifest's order":       {of(3, func(r *Record) { repay(r, `["a","b"]`, `["b","a"]`) }), "in order"},
		"manifest, twice":        {of(3, func(r *Record) { repay(r, `["a","b"]`, `["a","a"]`) }), "twice"},
		"manifest's package":     {of(3, func(r *Record) { repay(r, `"package":"P"`, `"package":""`) }), "names no package"},
		"manifest without one":   {of(7, func(r *Record) { repay(r, `["b"],"count":1`, `[],"count":0`) }), "scan 5 put b into it, too"},
		"manifest with one more": {of(7, func(r *Record) { repay(r, `["b"],"count":1`, `["a","b"],"count":2`) }), "a was taken out by scan 4 before"},
		"manifest of a stranger": {of(7, func(r *Record) { repay(r, `"package":"P"`, `"package":"R"`) }), "no row ever shows b in it"},
		"time":                   {of(6, func(r *Record) { r.Changed = noon(0) }), ""},
		"scan's wish": {func(line any) {
			if s, ok := line.(*Scan); ok && s.Seq == 1 {
				s.Wishes[0].Package = record.Package("R")
			}
		}, "wanted no such thing"},
		"scan twice": {func(line any) {
			if s, ok := line.(*Scan); ok && s.Seq == 2 {
				s.Seq = 1
			}
		}, "is there twice"},
		"contents": {func(line any) {
			if c, ok := line.(*Contents); ok {
				c.Items = nil
			}
		}, "contents don't follow"},
		"contents' state": {func(line any) {
			if c, ok := line.(*Contents); ok {
				c.Items[0].State = "anchored"
			}
		}, "contents don't follow"},
		"subject": {func(line any) {
			if h, ok := line.(*Header); ok {
				h.Subject.Package = "Q"
			}
		}, "contents don't follow"},
		"as of": {func(line any) {
			if h, ok := line.(*Header); ok {
				h.Subject.At = noon(5)
			}
		}, "which the file isn't about"},
		"of everything": {func(line any) {
			if h, ok := line.(*Header); ok {
				h.Subject = Subject{}
			}
		}, "names contents"},
	} {
		forged := reseal(t, text, c.forge)
		r, err := check(forged)
		if forged == text || err != nil {
			t.Errorf("%s: changed %v, %v", name, forged != text, err)
		}
		if c.want == "" { // a time by itself can't be held against anything: Certyo has to
			continue
		}
		if !strings.Contains(strings.Join(r.Faults, "\n"), c.want) {
			t.Errorf("%s: %q isn't among %q", name, c.want, r.Faults)
		}
	}
}

// What Certyo's hash is made of isn't published: a hash that fits nowhere is no fault, and nothing is claimed of it.
func TestNothingIsClaimedOfAForeignHash(t *testing.T) {
	a, b := moved(1, "a", "P", 1, 0), moved(2, "b", "P", 2, 0)
	for _, c := range []*record.Account{a, b} {
		c.Receipt.Hash, c.Answer = fmt.Sprint("canon-", c.Seq), json.RawMessage(`{"says":"anchored","stored":"root"}`)
	}
	r, err := check(file(t, Subject{Package: "P"}, nil, nil, a, b))
	if err != nil || len(r.Faults) > 0 || strings.Contains(strings.Join(r.Agreed, "\n"), "recordHash") {
		t.Errorf("%v %q", err, r)
	}
	if open := strings.Join(r.Open, "\n"); !strings.Contains(open, "whether Certyo's recordHash is the SHA-256 of the payload, as Certyo's form isn't published: 2") {
		t.Errorf("%q", r.Open)
	}
}

// After a damage of the card a change may be found twice, under one key and with another version: that is said and is no fault.
func TestOneChangeFoundTwiceIsNoFault(t *testing.T) {
	a, b := moved(1, "a", "P", 1, 0), moved(2, "a", "P", 1, 0)
	a.Record.Version, b.Record.Version, b.Record.Key = "1000", "1000", a.Record.Key
	r, err := check(file(t, Subject{Package: "P"}, nil, nil, a, b))
	if err != nil || len(r.Faults) > 0 || !strings.Contains(strings.Join(r.Open, "\n"), "with the key of another one (2 with that of 1)") {
		t.Errorf("%v %q", err, r)
	}
}

// Every byte of a payload comes back, also of what is no UTF-8, and what the program reads it writes again alike.
func TestPayloadsKeepTheirBytes(t *testing.T) {
	for _, payload := range []string{`{"a":"<&>\u003c\u2028"}`, "{\t\"a\" : 1 }", "{\"a\":\"\xff\"}", `{"ž":"🚀"}`, "{\"a\":\"\u2028\"}"} {
		a := moved(1, "a", "P", 1, 0)
		a.Record.Payload, a.Answer = []byte(payload), []byte(payload)
		text := file(t, Subject{}, nil, nil, a)
		n := 0
		if err := Read(strings.NewReader(text), func(_ int, line any) error {
			if r, ok := line.(*Record); ok {
				if n++; string(r.Payload) != payload || string(*r.Answer) != payload || string(r.Unproven().Record.Payload) != payload {
					t.Errorf("%q became %q", payload, r.Payload)
				}
			}
			return nil
		}); err != nil || n != 1 {
			t.Error(n, err)
		}
	}
}

// A newer file, and what is none, is refused by name.
func TestAnotherFormatIsRefused(t *testing.T) {
	text := parcel(t)
	for from, to := range map[string]string{`"version":1`: `"version":2`, `"format":"station-agent evidence"`: `"format":"x"`, `"type":"scan"`: `"type":"seal"`} {
		if _, err := check(strings.Replace(text, from, to, 1)); err == nil {
			t.Errorf("%s", to)
		}
	}
	if _, err := check(`{"error":"the store is locked"}` + "\n"); err == nil || err.Error() != "the store is locked" {
		t.Errorf("%v", err)
	}
}

// What a hostile file says of itself can't reach the terminal either.
func TestAnErrorStaysInItsLine(t *testing.T) {
	for _, line := range []string{
		`{"type":"header","format":"station-agent evidence","version":"\u001b[2J"}`, `{"type":"header","format":"\u001b[2J"}`, `{"type":"\u001b[2J"}`,
		`{"type":"x","error":"\u001b[2Jfine\nright      the file is whole"}`, `{"type":"scan","\u001b[2J":1}`, "\x1b[2J",
	} {
		_, err := check(line + "\n")
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: %q", line, err)
		}
	}
}
