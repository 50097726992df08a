package store

import (
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station-agent/store/record"
)

// TestMakeFormat2 makes the store of testdata/format2.tar.gz in the folder FIXTURE. It was run once, by the code that was released.
func TestMakeFormat2(t *testing.T) {
	dir := os.Getenv("FIXTURE")
	if dir == "" {
		t.Skip("makes a fixture: only with FIXTURE=folder")
	}
	c := testConfig(dir, here)
	c.Reserve = -1
	s, err := Open(c)
	ok(t, err)
	for _, code := range []string{"item-0", "item-1", "item-2"} {
		mustAppend(t, s.Journal, scanEntry(code))
	}
	ok(t, s.Journal.Settle(record.Outcome{Intent: 1, Result: record.Settled}))
	g := group(0, 6)
	for _, r := range g.Records {
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload})
	}
	ok(t, s.DB.Put(g))
	r0 := rec(0)
	ok(t, s.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{Hash: "0x" + markOf(&r0).sum}}, {Seq: 2, Receipt: &record.Receipt{Hash: "h"}}, {Seq: 3, Refusal: "no"}}))
	ok(t, s.DB.Look([]record.Look{{Seq: 1, State: record.Anchored, Answer: []byte(`{"x":"` + markOf(&r0).sum + `"}`)}}))
	ok(t, s.DB.SavePicture(Picture{Rows: []record.Row{{Hash: "item-1", Name: "Hrnek"}}, At: testNow().Wall}))
	ok(t, s.Close())
}

// TestAStoreOfFormat2Opens reads what the release of format 2 wrote, dictionaries and all.
func TestAStoreOfFormat2Opens(t *testing.T) {
	dir := unpackFixture(t, "testdata/format2.tar.gz")
	ok(t, Probe(filepath.Join(dir, rowsName)))
	s := openTest(t, dir)
	if len(s.Losses()) > 0 || len(s.Journal.Open()) != 2 || s.Session() != 2 {
		t.Fatal(s.Losses(), s.Journal.Open(), s.Session())
	}
	if card := read(t, filepath.Join(dir, identityFile)); !strings.Contains(string(card), `"format": 3`) {
		t.Fatalf("an older program would not refuse it: %s", card)
	}
	r0 := rec(0)
	proofs := 0
	ok(t, s.DB.Evidence(func(e Evidence) error {
		proofs++
		if e.Receipt.Hash != "0x"+markOf(&r0).sum || string(e.Answer) != `{"x":"`+markOf(&r0).sum+`"}` || string(e.Record.Payload) != string(r0.Payload) {
			t.Errorf("%+v", e)
		}
		return nil
	}))
	st := s.DB.Stats()
	if p, _ := s.DB.Position(); p.GTID != "0-1-6" || proofs != 1 || st.QueueRecords != 3 || st.Unanchored != 1 || st.DeadLetters != 1 {
		t.Fatalf("%v %+v", p, st)
	}
	rows, err := s.DB.Shadow("buylo_products", []string{rec(4).ID})
	if err != nil || string(rows[rec(4).ID].Payload) != string(rec(4).Payload) {
		t.Fatal(rows, err)
	}
	if p, err := s.DB.LoadPicture(); err != nil || len(p.Rows) != 1 || p.Rows[0].Name != "Hrnek" {
		t.Fatal(p, err)
	}
}

// TestDictionariesStayAsTheyAre: what is on cards was packed with them.
func TestDictionariesStayAsTheyAre(t *testing.T) {
	if a, b := crc32.ChecksumIEEE([]byte(sample)), crc32.ChecksumIEEE([]byte(entrySample)); a != 0xe932ada6 || b != 0x5bf43868 {
		t.Fatalf("a dictionary was changed: %#x, %#x: give the new one another number and keep the old one", a, b)
	}
}

// The release of format 2 didn't note what it posted: all that it can have posted may have been.
func TestWhatFormat2MayHavePostedIsTold(t *testing.T) {
	dir := unpackFixture(t, "testdata/format2.tar.gz")
	for n := range 3 {
		s, err := Open(testConfig(dir, here))
		ok(t, err)
		for _, q := range head(t, s.DB) {
			if old := q.Seq <= 6; q.Again != old || old && q.First.IsZero() {
				t.Errorf("start %d: record %d: %v since %s", n, q.Seq, q.Again, q.First)
			}
		}
		if n == 1 {
			ok(t, s.DB.Put(group(6, 9)))
		}
		ok(t, s.Close())
	}
	s := &state{Runs: runs{{span: span{5, 104}, As: waits}, {span: span{105, 200}, As: declined}, {span: span{201, 5000}, As: waits}}}
	if m := s.untold(); len(m) != 1 || m[0].Upto != 200+untoldMost-100 {
		t.Fatal(m)
	}
}
