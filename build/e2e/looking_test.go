package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/store/record"
)

// item is a line of station-agent items --json.
type item struct {
	record.Row
	Here    bool
	Pending bool
	Missing bool
	Doubt   string  `json:"as_known"`
	RowsAge float64 `json:"rows_age_s"`
}

func (i item) shows(pkg string) bool { return i.Package != nil && *i.Package == pkg }

// item is what station-agent items says of one.
func (s *site) item(hash string) item {
	s.t.Helper()
	return jsonLines[item](s, "items", hash, "--json")[0]
}

// TestLookedFor scans items before the bridge has moved them to the station: they are looked for, and accepted when they
// come in time. One that is on another station is refused, and the operator is told where it is.
func TestLookedFor(t *testing.T) {
	s := newSite(t, servers.MySQL(t))
	s.started()
	s.stock(1, 1)
	elsewhere := bed.Hash(4)
	for n, name := range map[int]string{2: "late", 3: "late by its EAN", 4: "elsewhere"} {
		s.must(s.Bridge.Insert(s.ctx, bed.Hash(n), name, "859000000000"+string(rune('0'+n))))
	}
	s.must(s.Bridge.Arrive(s.ctx, elsewhere, bed.OtherStation))
	s.scan("PKG-2026-0001", "accepted")
	s.late(bed.Hash(2), bed.Hash(2))
	s.late("8590000000003", bed.Hash(3))

	waiting := s.scan(elsewhere, "waiting")
	final, err := s.Final(s.ctx, waiting)
	s.must(err)
	if took := final.Time.Sub(waiting.Time); final.Verdict != "unknown" || took < 2500*time.Millisecond || took > 5*time.Second {
		t.Errorf("after %v: %s", took, final.Raw)
	}
	if !strings.Contains(final.Text, "elsewhere") || !strings.Contains(final.Text, bed.OtherStation) {
		t.Errorf("the operator isn't told where the item is: %s", final.Text)
	}
	s.scan(bed.CloseCode, "accepted")
	s.rows("PKG-2026-0001", bed.Hash(2), bed.Hash(3))
	s.rows("", elsewhere)
	s.stop()

	s.Config.Packing.AllowElsewhere = true
	s.started()
	s.scan("PKG-2026-0002", "accepted")
	s.scan(elsewhere, "accepted")
	s.rows("PKG-2026-0002", elsewhere)
	s.scan(bed.CloseCode, "accepted")
	s.stop()
}

// late scans a code whose item arrives a second later.
func (s *site) late(code, hash string) {
	s.t.Helper()
	waiting := s.scan(code, "waiting")
	time.Sleep(time.Second) // some reads that don't know it end nothing
	s.must(s.Bridge.Arrive(s.ctx, hash, bed.Station))
	arrived := time.Now()
	final, err := s.Final(s.ctx, waiting)
	s.must(err)
	if final.Verdict != "accepted" || final.Step != "added" || final.Hash != hash || final.At.Sub(arrived) > 1500*time.Millisecond {
		s.t.Errorf("%v after it arrived: %s", final.At.Sub(arrived), final.Raw)
	}
}

// TestLooking asks the running agent, and then the store of the stopped one, and holds the answers against table and log.
func TestLooking(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	items := s.stock(1, 4)
	for n, station := range map[int]string{5: bed.OtherStation, 6: ""} {
		s.must(s.Bridge.Insert(s.ctx, bed.Hash(n), fmt.Sprintf("Item %d", n), "8590000000005"))
		if station != "" {
			s.must(s.Bridge.Arrive(s.ctx, bed.Hash(n), station))
		}
	}
	s.pack("PKG-2026-0001", items[0])
	s.scan("PKG-2026-0002", "accepted")
	s.scan(items[1], "accepted")
	s.scan(items[1], "duplicate")
	s.rows("PKG-2026-0002", items[1])
	s.seesItems(items)
	s.seesOne(items)
	s.seesWaiting(items)
	s.seesParked(items)
	s.scan(bed.CloseCode, "accepted")
	s.seesScans()
	s.seesCommands()
	s.clean()
	s.stop()
	s.seesItems(items)
	s.seesScans()
	if list := s.intents(); len(list) != 0 {
		t.Errorf("assignments: %+v", list)
	}
	if out := s.command(0, "items"); !strings.Contains(out, "items here: 4, as they were kept on disk") {
		t.Errorf("items of a stopped agent: %q", out)
	}
}

// seesItems holds that items lists the rows on the station as the table has them.
func (s *site) seesItems(items []string) {
	s.t.Helper()
	want := map[string]string{}
	for _, hash := range items {
		want[hash] = s.shows(hash)
	}
	var got map[string]string
	s.until("items lists what the table has", func() bool {
		got = map[string]string{}
		for _, i := range jsonLines[item](s, "items", "--json") {
			if got[i.Hash] = ""; i.Package != nil {
				got[i.Hash] = *i.Package
			}
			if !i.Here || i.Pending || i.Name != fmt.Sprintf("Item %d – číslo", 1+slices.Index(items, i.Hash)) {
				return false
			}
		}
		return maps.Equal(got, want)
	})
	out := s.command(0, "items")
	for hash, pkg := range want {
		if !strings.Contains(out, hash) || !strings.Contains(out, pkg) {
			s.t.Errorf("%q lacks %s %s", out, hash, pkg)
		}
	}
}

// seesOne asks for single items: here, elsewhere, nowhere and none at all.
func (s *site) seesOne(items []string) {
	s.t.Helper()
	for hash, want := range map[string]string{
		items[0]:                "is on this station, in package \"PKG-2026-0001\"",
		items[3]:                "is on this station, in package none",
		bed.Hash(5):             "is on station " + bed.OtherStation,
		bed.Hash(6):             "is on no station",
		strings.Repeat("0", 32): "is not in the table",
	} {
		if out := s.command(0, "items", hash); !strings.Contains(out, hash) || !strings.Contains(out, want) {
			s.t.Errorf("items %s: %q lacks %q", hash, out, want)
		}
	}
	if i := s.item(bed.Hash(5)); i.Here || i.Station == nil || *i.Station != bed.OtherStation {
		s.t.Errorf("%+v", i)
	}
}

// seesWaiting packs an item offline: it is shown in its package, which the database doesn't know of yet.
func (s *site) seesWaiting(items []string) {
	s.t.Helper()
	s.MySQL.Cut()
	s.until("the station is offline", func() bool { return s.status()["online"] == false })
	s.scan(items[2], "accepted offline")
	if i := s.item(items[2]); !i.Pending || !i.shows("PKG-2026-0002") {
		s.t.Errorf("an item that waits: %+v", i)
	}
	if out := s.command(0, "items"); !strings.Contains(out, "(waits)") {
		s.t.Errorf("items: %q", out)
	}
	list := s.intents()
	if len(list) != 1 || list[0].Hash != items[2] || list[0].State != "waiting" || len(s.intents("--parked")) != 0 {
		s.t.Errorf("assignments: %+v", list)
	}
	if out := s.command(0, "intents"); !strings.Contains(out, items[2]) || !strings.Contains(out, "waits for the database") {
		s.t.Errorf("intents: %q", out)
	}
	s.MySQL.Restore()
	s.rows("PKG-2026-0002", items[2])
	s.until("nothing waits", func() bool { return len(s.intents()) == 0 })
	s.until("the station is online", func() bool { return s.status()["online"] == true })
}

// seesParked takes the right to write from the account: the assignment is listed with the right that it lacks, and goes in
// when that was given and a person sends it again.
func (s *site) seesParked(items []string) {
	s.t.Helper()
	right := func(verb, to string) {
		_, err := s.DB.Root().ExecContext(s.ctx, fmt.Sprintf("%s UPDATE (external_package_id) ON `external`.buylo_products %s '%s'@'%%'", verb, to, servers.AgentUser))
		s.must(err)
	}
	right("REVOKE", "FROM")
	mark := s.Agent.Mark()
	s.scan(items[3], "accepted")
	s.calledBack(mark, items[3])
	list := s.intents("--parked")
	if len(list) != 1 || list[0].Hash != items[3] || list[0].Outcome.Result != record.Refused || !strings.Contains(list[0].Outcome.Text, "UPDATE") {
		s.t.Fatalf("parked: %+v", list)
	}
	right("GRANT", "TO")
	time.Sleep(time.Second) // longer than the settler waits for anything that it tries again by itself
	s.rows("", items[3])    // nobody has said that it may go again
	s.command(0, "intents", "retry", fmt.Sprint(list[0].ID))
	s.rows("PKG-2026-0002", items[3])
	s.problem("assignments", false)
}

// seesScans holds that scans lists what the operator was told, scan by scan.
func (s *site) seesScans() {
	s.t.Helper()
	told := s.verdicts(0)
	list := s.scans("--limit", "0")
	if len(list) != len(told) {
		s.t.Fatalf("%d scans, and %d verdicts in the log", len(list), len(told))
	}
	for n, l := range list {
		if l.Code != told[n].Code || string(l.Verdict) != told[n].Verdict || string(l.Step) != told[n].Step || l.Text != told[n].Text {
			s.t.Errorf("scan %+v, told: %s", l, told[n].Raw)
		}
	}
	if some := s.scans("--limit", "2"); len(some) != 2 || some[1].Seq != list[len(list)-1].Seq {
		s.t.Errorf("the newest two: %+v", some)
	}
	for _, l := range s.scans("--package", "PKG-2026-0001") {
		if l.Package != "PKG-2026-0001" {
			s.t.Errorf("a scan of another package: %+v", l)
		}
	}
	if out := s.command(0, "scans"); strings.Count(out, "\n") != min(len(list), 50) || !strings.Contains(out, told[len(told)-1].Code) {
		s.t.Errorf("scans: %q", out)
	}
}

// seesCommands takes a code from the printed list and scans it.
func (s *site) seesCommands() {
	s.t.Helper()
	codes := map[string]string{}
	for _, c := range jsonLines[struct{ Command, Code, Does string }](s, "commands", "--json") {
		if codes[c.Command] = c.Code; !strings.HasPrefix(c.Code, bed.CommandPrefix) || c.Does == "" {
			s.t.Errorf("%+v", c)
		}
	}
	if len(codes) != 10 || codes["close"] != bed.CloseCode || codes["acknowledge"] != bed.AcknowledgeCode {
		s.t.Errorf("commands: %v", codes)
	}
	s.step(codes["status"], "armed")
	if l := s.step("PKG-2026-0002", "told"); l.Count != 3 {
		s.t.Errorf("%s", l.Raw)
	}
	if out := s.command(0, "commands"); !strings.Contains(out, bed.OverrideCode) {
		s.t.Errorf("commands: %q", out)
	}
}
