package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// refusals makes a store with refused records: 1 and 3 of buylo_products for a reason of their own, 2 and 4 of shop.orders for
// another, 5 of shop.orders refused three times; 6 waits.
func (p *place) refusals() {
	p.t.Helper()
	st := p.open()
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	var g record.Group
	for i := range 6 {
		r := record.Record{Database: "external", Collection: "buylo_products", ID: fmt.Sprint(i), Version: "1", Op: record.Update, Key: fmt.Sprint("key-", i+1),
			Payload: json.RawMessage(`{"name":  "<ř>\u2028"}`)}
		if i%2 == 1 || i == 4 {
			r.Database, r.Collection = "shop", "orders"
		}
		g.Records = append(g.Records, r)
	}
	must(st.DB.Put(g))
	refuse := func(text string, seqs ...uint64) {
		for _, seq := range seqs {
			must(st.DB.Settle([]record.Delivery{{Seq: seq, Refusal: text}}))
		}
	}
	refuse("bad name", 1, 3)
	refuse("bad order", 2, 4, 5)
	for range 2 {
		_, err := st.DB.Retry(5)
		must(err)
		refuse("bad order again", 5)
	}
	must(st.Close())
}

// orders has shop.orders captured.
func (p *place) orders() {
	p.t.Helper()
	b, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	write(p.t, p.file, string(b)+"\n[[table]]\nschema = \"shop\"\nname = \"orders\"\nkey = [\"id\"]\nupdated = \"at\"\n")
	if p.cfg, err = loadConfig(p.file); err != nil {
		p.t.Fatal(err)
	}
}

// TestLettersAreChosenByWhatTheyHaveInCommon lists the same choices that can be retried, exported and dropped.
func TestLettersAreChosenByWhatTheyHaveInCommon(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.orders()
		p.refusals()
		if running {
			p.agent()
		}
		for choice, want := range map[string]string{
			"":                            "1 2 3 4 5",
			"--refusal order":             "2 4 5",
			"--collection buylo_products": "1 3",
			"--table shop.orders":         "2 4 5",
			"--from 2 --to 4":             "2 3 4",
			"--from 4":                    "4 5",
			"--older 1h":                  "",
			"--newer 1h":                  "1 2 3 4 5",
			"--refusal bad --to 4 --table shop.orders": "2 4",
		} {
			args := strings.Fields("outbox list --refused --json " + choice)
			if got := seqsOf(letters(t, p.want(0, nil, args...))); got != want {
				t.Errorf("%q: %s, want %s", choice, got, want)
			}
		}
		p.want(0, []string{"... of 3: --limit 0"}, "outbox", "list", "--refused", "--refusal", "order", "--limit", "2")
		p.want(0, []string{"for the 3. time"}, "outbox", "list", "--refused", "--from", "5")
		p.want(0, []string{"tries       3", "first       20"}, "outbox", "show", "5")
		if got := seqsOf(letters(t, p.want(0, nil, "outbox", "list", "--json", "--table", "shop.orders"))); got != "6" {
			t.Errorf("of those that wait: %s", got)
		}
		p.want(exitUsage, []string{"--refused"}, "outbox", "list", "--refusal", "x")
		p.want(exitFailed, []string{"shop.nothing", "no such table"}, "outbox", "list", "--table", "shop.nothing")
		p.want(exitUsage, []string{"behind"}, "outbox", "retry", "--from", "5", "--to", "4")
		p.want(exitUsage, []string{"both"}, "outbox", "retry", "--older", "2h", "--newer", "1h")
		p.want(exitUsage, nil, "outbox", "retry", "1", "--refusal", "x")

		p.want(exitUsage, []string{"3 records would be dropped", "--yes"}, "outbox", "drop", "--refusal", "order")
		p.want(exitUsage, []string{"5 records would be dropped", "--yes"}, "outbox", "drop", "--all")
		p.want(exitUsage, nil, "outbox", "drop", "--yes")
		p.want(0, []string{"1 records are dropped"}, "outbox", "drop", "--from", "3", "--to", "3", "--yes")
		p.want(0, []string{"2 records are sent again"}, "outbox", "retry", "--refusal", "order", "--from", "3")
		p.wantSeqs("1 refused 2 refused", "--refused")
		p.wantSeqs("4 5 6")
		p.want(0, []string{"2 records are dropped"}, "outbox", "drop", "--all", "--yes")
		p.wantSeqs("", "--refused")
		p.wantSeqs("4 5 6")
	}
}

func seqsOf(list []letter) string {
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprint(l.Seq))
	}
	return strings.Join(got, " ")
}

// TestLettersAreExportedToTheByte, into a new file that others can't read, or to standard output.
func TestLettersAreExportedToTheByte(t *testing.T) {
	p := newPlace(t)
	p.refusals()
	p.agent()
	file := p.path("letters.jsonl")
	p.want(0, []string{"5 records are in " + file}, "outbox", "export", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list := letters(t, string(b))
	if seqsOf(list) != "1 2 3 4 5" {
		t.Errorf("%+v", list)
	}
	for _, l := range list {
		if string(l.Payload) != `{"name":  "<ř>\u2028"}` || l.Refusal == "" || l.RefusedAt.IsZero() || l.FirstAt.After(l.RefusedAt) || l.Key != fmt.Sprint("key-", l.Seq) {
			t.Errorf("%+v", l)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	p.want(exitFailed, []string{"name a new file"}, "outbox", "export", file)
	if got := seqsOf(letters(t, p.want(0, nil, "outbox", "export", "--refusal", "name"))); got != "1 3" {
		t.Errorf("to standard output: %s", got)
	}
	p.wantSeqs("1 refused 2 refused 3 refused 4 refused 5 refused", "--refused") // nothing was dropped
}

// TestExportedLettersLookAsSpilledOnes: who reads the one file reads the other. The store's test holds its side to the same fields.
func TestExportedLettersLookAsSpilledOnes(t *testing.T) {
	p := newPlace(t)
	p.refusals()
	var fields map[string]any
	if err := json.Unmarshal([]byte(p.want(0, nil, "outbox", "export", "--to", "1")), &fields); err != nil {
		t.Fatal(err)
	}
	const want = "at bytes collection database first_refused_at id key op payload refusal refused_at seq tries version"
	if got := strings.Join(slices.Sorted(maps.Keys(fields)), " "); got != want {
		t.Errorf("the fields are %s, want %s", got, want)
	}
}

// TestDroppedLettersAreAnAlarm until a person acknowledges it, and their number and the oldest of the others are in status and health.
func TestDroppedLettersAreAnAlarm(t *testing.T) {
	p := newPlace(t)
	p.refusals()
	st := p.open()
	defer st.Close()
	board := newBoard(slog.New(slog.DiscardHandler))
	a := &attention{store: st, dead: board.condition("refused records"), spilled: board.condition("dropped records")}
	a.lookAtDead(st.DB.Stats().DeadLetters)
	a.lookAtSpilled(3)
	text := fmt.Sprint(board.problems())
	for _, want := range []string{"5 records were refused", "outbox list --refused", "3 records that Certyo had refused were dropped", "store acknowledge"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q: %s", want, text)
		}
	}
	a.lookAtSpilled(0)
	if len(board.problems()) != 1 {
		t.Errorf("acknowledged: %v", board.problems())
	}
	if age := st.DB.Stats().OldestRefused; time.Since(age) > time.Hour {
		t.Errorf("the oldest was refused %s", age)
	}
}
