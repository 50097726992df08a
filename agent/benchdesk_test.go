package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
)

const (
	itemA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	itemB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	itemC = "cccccccccccccccccccccccccccccccc"
)

// pack makes a store as a bench leaves it: one item settled, one waiting, one that met another package.
func (p *place) pack() {
	p.t.Helper()
	st := p.open()
	badge := &record.Badge{Pseudonym: "0011aabb", Shift: 3}
	for n, hash := range []string{itemA, itemB, itemC} {
		scan := record.Scan{Tag: record.Tag{Reader: "scanner", Code: hash}, Verdict: record.Accepted, Step: record.Added, Package: "PKG-1", Hash: hash,
			Badge: badge, Text: fmt.Sprintf("item %d\nis in", n)}
		intent := record.Intent{Hash: hash, Package: record.Package("PKG-1"), Replaces: []record.Value{nil}, Together: n == 2}
		if _, err := st.Journal.Append(record.Entry{Scan: &scan, Intents: []record.Intent{intent}}); err != nil {
			p.t.Fatal(err)
		}
	}
	err := errors.Join(
		st.Journal.Settle(record.Outcome{Intent: 1, Result: record.Settled},
			record.Outcome{Intent: 3, Result: record.OtherValue, Found: record.Package("PKG-9"), Text: "is in PKG-9"}),
		st.DB.SavePicture(store.Picture{At: time.Now(), Seq: 1, Rows: []record.Row{{Hash: itemA, Name: "mug", EAN: "400"}, {Hash: itemB, Name: "jug\x1b[31m"}}}),
		st.Close())
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestLookingAtTheBench: over the sockets of a running agent, and without one.
func TestLookingAtTheBench(t *testing.T) {
	for _, how := range []string{"stopped", "running"} {
		t.Run(how, func(t *testing.T) {
			p := newPlace(t)
			p.pack()
			if how == "running" {
				p.agent()
			}
			p.want(0, []string{itemA, `"PKG-1"`, `"PKG-1" (waits)`, "items here: 2, as they were kept on disk"}, "items")
			if out := p.want(0, nil, "items", "--json"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"pending":true`) {
				t.Error(out)
			}
			p.want(0, []string{"item " + itemA + ` (mug, EAN 400) is on this station, in package "PKG-1"; as it was last known: no agent runs`}, "items", itemA)
			if how == "stopped" { // each command opens the store: a few are enough
				p.want(0, []string{"[shift 3, 0011aabb]"}, "scans")
				p.want(0, []string{"retry: 1"}, "intents", "retry", "3")
				p.want(0, []string{"4: item " + itemC + ` for package "PKG-1": waits`}, "intents")
				return
			}
			p.want(0, []string{`"hash":"` + itemA + `"`}, "items", itemA, "--json")
			p.want(exitFailed, []string{"isn't known here"}, "items", "dddddddddddddddddddddddddddddddd")
			p.want(exitUsage, []string{"name one HASH"}, "items", itemA, itemB)

			out := p.want(0, []string{"accepted, added", "[shift 3, 0011aabb]", `item 2 is in`}, "scans")
			if strings.Count(out, "\n") != 3 {
				t.Error(out)
			}
			if out := p.want(0, nil, "scans", "--limit", "1"); strings.Count(out, "\n") != 1 || !strings.Contains(out, itemC) {
				t.Error(out)
			}
			if out := p.want(0, nil, "scans", "--item", itemB, "--json"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"seq":`) {
				t.Error(out)
			}
			if out := p.want(0, nil, "scans", "--package", "PKG-2"); out != "" {
				t.Error(out)
			}
			p.want(exitUsage, []string{"--limit -1"}, "scans", "--limit", "-1")
			p.want(exitFailed, []string{"no number up to"}, "scans", "--limit", "1100000000")

			p.want(0, []string{"2: item " + itemB + ` for package "PKG-1": waits for the database`, "3: item " + itemC + ` for package "PKG-1": conflict: is in PKG-9`}, "intents")
			if out := p.want(0, nil, "intents", "--parked", "--json"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"state":"parked"`) {
				t.Error(out)
			}
			p.want(exitFailed, []string{"no assignment 2 needs a person"}, "intents", "drop", "2")
			p.want(exitUsage, []string{"name IDs or --all"}, "intents", "retry")
			p.want(exitUsage, []string{`"x" is no ID`}, "intents", "retry", "x")
			p.want(0, []string{"retry: 1"}, "intents", "retry", "3")
			p.want(0, []string{"4: item " + itemC + ` for package "PKG-1": waits`}, "intents")
			p.want(exitFailed, []string{"no assignment 3"}, "intents", "drop", "3")
			p.want(0, []string{"drop: 0"}, "intents", "drop", "--all")
		})
	}
}

// TestDropAll takes every parked assignment off the list, for good.
func TestDropAll(t *testing.T) {
	p := newPlace(t)
	p.pack()
	p.want(0, []string{"drop: 1"}, "intents", "drop", "--all")
	if out := p.want(0, nil, "intents", "--parked"); out != "" {
		t.Error(out)
	}
}

// TestWhereAnItemIs: what the table says now outranks what is known.
func TestWhereAnItemIs(t *testing.T) {
	p := station.NewPicture(time.Minute)
	p.Replace(record.Reading{Here: []record.Row{{Hash: itemA}}, Began: time.Now()})
	there := record.Package("bench 7")
	d := benchDesk{picture: p, find: func(ctx context.Context, hash string) (record.Row, error) {
		switch hash {
		case itemB:
			return record.Row{Hash: itemB, Name: "jug", Away: true, Station: there}, nil
		case itemC:
			return record.Row{}, errNoRow
		}
		return record.Row{}, context.DeadlineExceeded
	}}
	mux := http.NewServeMux()
	d.look(mux)
	for hash, want := range map[string]string{
		itemA: `"here":true`, itemB: `"station":"bench 7"`, itemC: `"missing":true`, "d": "MySQL does not answer",
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/items/"+hash, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", hash, w.Body)
		}
	}
	for i, want := range map[*item]string{
		{Row: record.Row{Hash: "h", Station: there}}: "is on station bench 7, in package none",
		{Row: record.Row{Hash: "h"}}:                 "is on no station",
		{Row: record.Row{Hash: "h"}, Missing: true}:  "is not in the table",
		{Here: true, Pending: true}:                  "on this station, in package none as soon as the database takes it",
	} {
		if got := i.String(); !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestInquiries go along with the watcher's next read.
func TestInquiries(t *testing.T) {
	hurried := make(chan struct{}, 8)
	q := newInquiries(func() { hurried <- struct{}{} })
	asked := q.with(func() []string { return []string{"z"} })
	type answer struct {
		row record.Row
		err error
	}
	answers := map[string]chan answer{}
	for _, h := range []string{"a", "b", "c"} {
		c := make(chan answer, 1)
		answers[h] = c
		go func() {
			row, err := q.ask(t.Context(), h)
			c <- answer{row, err}
		}()
		<-hurried
	}
	if got := asked(); len(got) != 4 || !slices.Contains(got, "z") || !slices.Contains(got, "b") {
		t.Error(got)
	}
	q.answer(record.Reading{Here: []record.Row{{Hash: "x"}}})
	q.answer(record.Reading{Here: []record.Row{{Hash: "a", Name: "here"}}, Away: []record.Row{{Hash: "b", Away: true}}, None: []string{"c"}})
	if a := <-answers["a"]; a.row.Name != "here" || a.err != nil {
		t.Error(a)
	}
	if a := <-answers["b"]; !a.row.Away || a.err != nil {
		t.Error(a)
	}
	if a := <-answers["c"]; !errors.Is(a.err, errNoRow) {
		t.Error(a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.ask(ctx, "d"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := asked(); len(got) != 1 {
		t.Error("answered, and still asked for:", got)
	}
}

// TestTagsOfAnImportedMap are looked up once for each row.
func TestTagsOfAnImportedMap(t *testing.T) {
	looked, made := 0, time.Time{}
	tg := tags{of: func(hash string) []string { looked++; return []string{"T-" + hash} }, made: func() time.Time { return made }}
	rows := func() []record.Row { return []record.Row{{Hash: "a", EPCs: []string{"M"}}, {Hash: "b"}} }
	r := rows()
	tg.add(r)
	if looked != 0 || len(r[1].EPCs) != 0 {
		t.Error("there is no map")
	}
	made = time.Now()
	for range 3 {
		r = rows()
		tg.add(r)
	}
	if looked != 2 || !slices.Equal(r[0].EPCs, []string{"M", "T-a"}) || !slices.Equal(r[1].EPCs, []string{"T-b"}) {
		t.Error(looked, r)
	}
	made = made.Add(time.Second)
	tg.add(rows())
	if looked != 4 {
		t.Error("a new map was not looked into:", looked)
	}
}

func TestMapLines(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
	}{
		"plain":          {"T1," + itemA + "\nT2," + itemB + "\n", "T1=a T2=b"},
		"with a head":    {"epc,hash\nT1," + itemA + "\n", "T1=a"},
		"the other way":  {"\uFEFF\"hash\";\"epc\"\r\n" + itemA + ";T1\r\n", "T1=a"},
		"quoted":         {"\"T,1\"," + itemA + "\n", "T,1=a"},
		"no end of line": {"T1," + itemA, "T1=a"},
		"empty":          {"", ""},
		"short hash":     {"T1," + itemA + "\nT2,abc\n", `T1=a line 2: "T2" for item "abc"`},
		"no tag":         {"," + itemA + "\n", `line 1: "" for item`},
		"long tag":       {strings.Repeat("T", 129) + "," + itemA + "\n", "line 1: "},
		"three columns":  {"T1," + itemA + ",x\n", "wrong number of fields"},
		"a stray quote":  {"T\"1," + itemA + "\n", `bare "`},
		"control bytes":  {"T\x00\x1b," + itemA + "\n", "T\x00\x1b=a"},
		"a binary":       {"\x7fELF\x02\x01", "wrong number of fields"},
	} {
		var got []string
		for l, err := range mapLines(strings.NewReader(c.in)) {
			if err != nil {
				got = append(got, err.Error())
				break
			}
			got = append(got, l.EPC+"="+l.Hash[:1])
		}
		if s := strings.Join(got, " "); !strings.Contains(s, c.want) || c.want == "" && s != "" {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

// TestMapImport takes a map into the store, running or not, and leaves the old one if a line is wrong.
func TestMapImport(t *testing.T) {
	for _, how := range []string{"stopped", "running"} {
		t.Run(how, func(t *testing.T) {
			p := newPlace(t)
			p.pack()
			var st *store.Store
			if how == "running" {
				st = p.agent()
			}
			write(t, p.path("map.csv"), "epc,hash\nT1,"+itemA+"\nT2,"+itemA+"\nT3,"+itemB+"\n")
			p.want(0, []string{"3 tags of 2 items"}, "map", "import", p.path("map.csv"))
			write(t, p.path("bad.csv"), "T9,"+itemA+"\nT8,nonsense\n")
			p.want(exitFailed, []string{`line 2: "T8" for item "nonsense"`, "the old map stays"}, "map", "import", p.path("bad.csv"))
			write(t, p.path("shared.csv"), "T1,"+itemA+"\n")
			p.want(exitFailed, []string{"no such file"}, "map", "import", p.path("none.csv"))
			if st == nil {
				st = p.open()
				defer st.Close()
			}
			if got := st.EPCsOf(itemA); !slices.Equal(got, []string{"T1", "T2"}) {
				t.Error(got)
			}
		})
	}
}

func TestWorkspaceDDL(t *testing.T) {
	p := newPlace(t)
	p.want(0, []string{"CREATE TABLE IF NOT EXISTS `ours`.`station_agent_epc`", "`external`.`buylo_products`", "VIEW `ours`.`station_agent_items`"}, "workspace", "ddl", "--schema", "ours")
	p.want(exitUsage, []string{"not a name"}, "workspace", "ddl", "--schema", "a;b")
}

// TestCommands prints what to make barcodes of; what is printed is what is taken.
func TestCommands(t *testing.T) {
	p := newPlace(t)
	out := p.want(0, []string{"remaining-one  STA-7Q4K-REMAINING-ONE  "}, "commands")
	if strings.Count(out, "\n") != len(station.Commands()) {
		t.Error(out)
	}
	rules, err := p.cfg.Packing.rules()
	if err != nil || len(rules.Commands) != len(station.Commands()) || rules.Commands["STA-7Q4K-UNDO"] != station.Undo {
		t.Errorf("%v %v", rules.Commands, err)
	}
	for _, c := range station.Commands() {
		if meaning(c) == "" {
			t.Errorf("%s has no words", c)
		}
	}
	if out := p.want(0, nil, "commands", "--json"); strings.Count(out, `"does":"`) != len(station.Commands()) {
		t.Error(out)
	}
}

// TestOldCommandCodes are taken with a warning: an agent with the configuration of the version before goes on.
func TestOldCommandCodes(t *testing.T) {
	text := strings.Replace(sample, `command_prefix = "STA-7Q4K-" # CHANGE`, "", 1)
	text = strings.NewReplacer(`#close_code = ""`, `close_code = "STA-7Q4-CLOSE"`, `#undo_code = ""`, `undo_code = "STA-7Q4-UNDO"`).Replace(text)
	c, err := parseConfig("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := c.Packing.rules()
	if err != nil || len(rules.Commands) != 2 || rules.Commands["STA-7Q4-CLOSE"] != station.Close || len(c.Packing.renamed()) != 2 {
		t.Errorf("%v %v %v", rules.Commands, c.Packing.renamed(), err)
	}
}

// TestPseudonym: the same badge is the same person at every station of a site, and the badge can't be read from it.
func TestPseudonym(t *testing.T) {
	a, b := packingConfig{CommandPrefix: "ONE-SITE-"}, packingConfig{CommandPrefix: "ANOTHER-"}
	one, again := a.pseudonym("B-0042"), (&packingConfig{CommandPrefix: "ONE-SITE-", CloseCode: "X"}).pseudonym("B-0042")
	if one != again || one == a.pseudonym("B-0043") || one == b.pseudonym("B-0042") || len(one) != 12 || strings.Contains(one, "0042") {
		t.Error(one, again)
	}
}

// TestSamplesHaveARandomPrefix: what config sample prints works as it is but for its CHANGEs, and no two sites get one prefix.
func TestSamplesHaveARandomPrefix(t *testing.T) {
	one, _, _ := command(t, "config", "sample")
	two, _, _ := command(t, "config", "sample")
	if one == two || strings.Contains(one, samplePrefix) {
		t.Error("the prefix is not random")
	}
	if _, err := parseConfig("sample", []byte(one)); err != nil {
		t.Error(err)
	}
}

// TestStanding counts what becomes of a package.
func TestStanding(t *testing.T) {
	p := newPlace(t)
	p.pack()
	st := p.open()
	defer st.Close()
	if waiting, parked := (labels{st}).Standing("PKG-1"); waiting != 1 || parked != 1 {
		t.Error(waiting, parked)
	}
	if use, ok := (labels{st}).Use("PKG-1"); !ok || len(use.Items) != 2 { // c is in another package
		t.Errorf("%+v %v", use, ok)
	}
}

// TestTheLargestStepFitsTheJournal: a whole package of the most items, with the longest label.
func TestTheLargestStepFitsTheJournal(t *testing.T) {
	p := newPlace(t)
	st := p.open()
	defer st.Close()
	rules, err := p.cfg.Packing.rules()
	if err != nil {
		t.Fatal(err)
	}
	label := "PKG-2026-" + strings.Repeat("7", 55)
	rules.Package, rules.Together = nil, true
	picture := station.NewPicture(time.Minute)
	s := station.State{Session: record.Session{Package: label}}
	w := station.World{Rows: picture, Labels: labels{st}, Online: true}
	for n := range 1000 {
		hash := fmt.Sprintf("%032x", n)
		picture.Replace(record.Reading{Here: []record.Row{{Hash: hash}}, Began: time.Now()})
		d := station.Decide(s, rules, record.Tag{Code: hash}, w)
		s = d.Next
	}
	d := station.Decide(s, rules, record.Tag{Code: "STA-7Q4K-CLOSE"}, w)
	if len(d.Intents) < 200 {
		t.Fatalf("%d intents: %s", len(d.Intents), d.Scan.Text)
	}
	if _, err := st.Journal.Append(record.Entry{Scan: d.Scan, Session: d.Session, Intents: d.Intents}); err != nil {
		t.Error(err)
	}
}
