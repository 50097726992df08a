package store

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

// damageable makes a store with several files of records in which something waits, is unproven, refused and anchored.
func damageable(t *testing.T) (Config, string) {
	t.Helper()
	cfg := testConfig(t.TempDir(), here)
	cfg.FileBytes = 64 << 10
	s, err := Open(cfg)
	ok(t, err)
	for n := 0; n < 4000; n += 20 {
		g := group(n, n+20)
		for i, r := range g.Records {
			g.Records[i].Payload = fmt.Appendf(nil, `{"noise":"%x"}`, checksum([]byte(r.ID)))
			g.Shadow = append(g.Shadow, record.ShadowRow{Collection: r.Collection, ID: fmt.Sprint(n % 400), Version: r.Version, Payload: r.Payload})
		}
		ok(t, s.DB.Put(g))
		if n%500 == 0 {
			ok(t, s.DB.Settle([]record.Delivery{{Seq: uint64(n + 1), Receipt: &record.Receipt{Hash: "h"}}, {Seq: uint64(n + 2), Refusal: "no"}, {Seq: uint64(n + 3), Receipt: &record.Receipt{}}}))
			ok(t, s.DB.Look([]record.Look{{Seq: uint64(n + 3), State: record.Anchored, Answer: []byte("{}")}}))
		}
	}
	if len(s.DB.log.files) < 3 {
		t.Fatal("only", len(s.DB.log.files), "files")
	}
	mustAppend(t, s.Journal, scanEntry("a"))
	ok(t, s.Close())
	return cfg, s.ID()
}

// TestDamageIsSetAsideAndCounted spoils pages of every file, with DAMAGE=all each of them: the store opens, gives what still
// reads, invents nothing, and says what is missing.
func TestDamageIsSetAsideAndCounted(t *testing.T) {
	cfg, _ := damageable(t)
	whole := t.TempDir()
	ok(t, os.CopyFS(whole, os.DirFS(cfg.Dir)))
	var files []string
	for _, f := range names(t, filepath.Join(whole, recordsFolder)) {
		files = append(files, filepath.Join(recordsFolder, f))
	}
	var worst uint64
	for i, name := range append(files, rowsName) {
		b := read(t, filepath.Join(whole, name))
		step := pageSize
		if os.Getenv("DAMAGE") != "all" {
			step = 7 * pageSize
		}
		for off := i % 3 * pageSize; off < len(b); off += step {
			for how, spoil := range map[string]func([]byte) []byte{
				"zeros": func(b []byte) []byte { clear(b[off:min(off+pageSize, len(b))]); return b },
				"ones":  func(b []byte) []byte { copy(b[off:], bytes.Repeat([]byte{0xff}, pageSize)); return b },
				"bit":   func(b []byte) []byte { b[off+(off/7)%pageSize] ^= 4; return b },
				"cut":   func(b []byte) []byte { return b[:off] },
			} {
				dir := filepath.Join(t.TempDir(), "store")
				ok(t, os.CopyFS(dir, os.DirFS(whole)))
				ok(t, os.WriteFile(filepath.Join(dir, name), spoil(bytes.Clone(b)), 0o600))
				lost := useDamaged(t, cfg, dir, fmt.Sprintf("%s at %d of %s", how, off, name))
				worst = max(worst, lost)
				os.RemoveAll(dir)
			}
		}
	}
	if worst == 0 {
		t.Fatal("nothing was ever lost: the test sees nothing")
	}
}

func useDamaged(t *testing.T, cfg Config, dir, what string) (lost uint64) {
	t.Helper()
	cfg.Dir, cfg.Probe = dir, probeInChild
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(what, err)
	}
	defer s.Close()
	count := map[string]int{}
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(what, err)
		}
	}
	see := func(kind string, r record.Record) {
		var n int
		fmt.Sscanf(strings.TrimLeft(r.ID, "0"), "%d", &n)
		want := rec(n)
		want.Payload = fmt.Appendf(nil, `{"noise":"%x"}`, checksum([]byte(r.ID)))
		if !reflect.DeepEqual(r, want) {
			t.Fatalf("%s: %s invented %+v", what, kind, r)
		}
		count[kind]++
	}
	ok(t, s.DB.Waiting(func(q record.Queued) error { see("outbox", q.Record); return nil }))
	ok(t, s.DB.DeadLetters(func(l DeadLetter) error { see("dead", l.Record); return nil }))
	due, _, err := s.DB.Due(testNow().Wall.AddDate(1, 0, 0), 1<<20)
	ok(t, err)
	for _, u := range due {
		see("ledger", u.Record)
	}
	ok(t, s.DB.Evidence(func(e Evidence) error { see("evidence", e.Record); return nil }))
	all := count["outbox"] + count["dead"] + count["ledger"] + count["evidence"]
	missed, _ := s.DB.Missed()
	if all < 4000 && len(s.Losses()) == 0 {
		t.Fatalf("%s: %v are left and nobody says so", what, count)
	}
	p, err := s.DB.Position()
	ok(t, err)
	if all < 4000 && s.DB.Stats().Lost == 0 && missed == "" && p.GTID == "0-1-4000" && count["evidence"] == 8 {
		t.Fatalf("%s: %v are left, position %v, losses %v", what, count, p, s.Losses())
	}
	ok(t, s.DB.Put(group(5000, 5001)))
	if n := len(s.Journal.Open()); n != 1 {
		t.Fatalf("%s: %d open intents", what, n)
	}
	return uint64(max(0, 4000-all))
}

func TestAStoreOfFormat1IsTakenOver(t *testing.T) {
	dir := unpackFixture(t, "testdata/format1.tar.gz")
	for range 2 {
		s := openTest(t, dir)
		if n := len(s.Losses()); n > 0 {
			t.Fatal(s.Losses())
		}
		if p, _ := s.DB.Position(); p.GTID != "0-1-9" || p.Flavor != "mariadb" {
			t.Fatal(p)
		}
		st := s.DB.Stats()
		if st.QueueRecords != 3 || st.DeadLetters != 1 || st.Unanchored != 3 || st.Mismatches != 1 || st.Anchored != 2 || st.Accepted != 5 {
			t.Fatalf("%+v", st)
		}
		for i, q := range head(t, s.DB) {
			if want := fmt.Sprintf(`{"hash":"item-%d","name":"Hrnek modrý <&>","n":%d}`, i+6, i+6); string(q.Payload) != want || q.Key != fmt.Sprintf("b:0-1-%d/0/0", i+6) {
				t.Fatalf("%+v", q)
			}
		}
		var proofs []string
		ok(t, s.DB.Evidence(func(e Evidence) error {
			proofs = append(proofs, e.Record.ID+" "+e.Receipt.Hash+" "+string(e.Answer))
			return nil
		}))
		if fmt.Sprint(proofs) != `[item-0 0xhash0 {"anchored":true,  "n":0} item-1 0xhash1 {"anchored":true,  "n":1}]` {
			t.Fatal(proofs)
		}
		ok(t, s.DB.DeadLetters(func(l DeadLetter) error {
			if l.ID != "item-5" || l.Refusal != "422 payload is no good" {
				t.Fatalf("%+v", l)
			}
			return nil
		}))
		rows, err := s.DB.Shadow("buylo_products", []string{"item-3", "item-8"})
		if err != nil || len(rows) != 2 || rows["item-8"].Left.IsZero() || rows["item-3"].Version != "1003" {
			t.Fatal(rows, err)
		}
		if p, err := s.DB.LoadPicture(); err != nil || len(p.Rows) != 1 || p.Rows[0].Name != "Hrnek" {
			t.Fatal(rows, err)
		}
		if run, err := s.DB.BeginSnapshot(); err != nil || len(run) != 32 {
			t.Fatal(run, err)
		}
		if len(s.Journal.Open()) != 3 || len(s.Journal.State().Parked) != 1 || s.Journal.State().Session.Package != "P" {
			t.Fatalf("%+v", s.Journal.State())
		}
		ok(t, s.Close())
	}
	if exists(filepath.Join(dir, oldFile)) {
		t.Fatal("the old file is still there")
	}
}

func TestEvidenceIsExportedAndGoesWithAge(t *testing.T) {
	cfg := testConfig(t.TempDir(), here)
	cfg.FileBytes, cfg.ExportDir, cfg.EvidenceDays = 32<<10, t.TempDir(), 30
	now := testNow()
	cfg.Now = func() record.Stamp { return now }
	s, err := Open(cfg)
	ok(t, err)
	defer s.Close()
	for n := range 40 {
		ok(t, s.DB.Put(bigGroup(n*10, n*10+10)))
		if n > 0 { // the first ten wait
			q, err := s.DB.Head(nil, 1000, 1<<30)
			ok(t, err)
			var out []record.Delivery
			var looks []record.Look
			for _, r := range q[10:] {
				out = append(out, record.Delivery{Seq: r.Seq, Receipt: &record.Receipt{Hash: "h"}})
				looks = append(looks, record.Look{Seq: r.Seq, State: record.Anchored, Answer: json.RawMessage(`{"x":1}`)})
			}
			ok(t, s.DB.Settle(out))
			ok(t, s.DB.Look(looks))
		}
		now.Wall, now.Mono = now.Wall.Add(24*time.Hour), now.Mono+24*time.Hour
	}
	before := len(s.DB.log.files)
	now.Trusted = false
	ok(t, s.DB.keepHouse())
	if len(s.DB.log.files) < before {
		t.Fatal("evidence went by a clock that nobody trusts")
	}
	now.Trusted = true
	ok(t, s.DB.keepHouse())
	if after := len(s.DB.log.files); after >= before || after < before/2 {
		t.Fatalf("%d files, then %d", before, after)
	}
	if got := len(head(t, s.DB)); got != 10 {
		t.Fatal("what waits went with the file:", got)
	}
	if n := len(names(t, cfg.ExportDir)); n != before-len(s.DB.log.files)+0 && n < 1 {
		t.Fatal(n, "exports")
	}
	lines := exported(t, cfg.ExportDir)
	kept := map[uint64]bool{}
	ok(t, s.DB.Evidence(func(e Evidence) error { kept[e.Seq] = true; return nil }))
	for seq := uint64(11); seq <= 400; seq++ {
		if !kept[seq] && !lines[seq] {
			t.Fatalf("the evidence of record %d is neither kept nor exported", seq)
		}
	}
}

// exported reads the sequences in all exports.
func exported(t *testing.T, dir string) map[uint64]bool {
	t.Helper()
	seen := map[uint64]bool{}
	for _, name := range names(t, dir) {
		f, err := os.Open(filepath.Join(dir, name))
		ok(t, err)
		z, err := gzip.NewReader(f)
		ok(t, err)
		for dec := json.NewDecoder(z); ; {
			var e Evidence
			if err := dec.Decode(&e); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if len(e.Record.Payload) == 0 || string(e.Answer) != `{"x":1}` {
				t.Fatalf("%+v", e)
			}
			seen[e.Seq] = true
		}
		ok(t, f.Close())
	}
	return seen
}
