package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/store"
	"station-agent/store/record"
)

// scanLine is a line of station-agent scans --json.
type scanLine struct {
	Seq uint64
	record.Scan
	Intents []record.Intent
}

func (s *site) scans(flags ...string) []scanLine {
	s.t.Helper()
	return jsonLines[scanLine](s, append([]string{"scans", "--json"}, flags...)...)
}

// TestBadges signs two people on and off. Journal and proof name each by a pseudonym and a shift; the badge's own code is
// nowhere, and the fleet learns neither.
func TestBadges(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.Config.Packing.BadgePattern = "BADGE-[0-9]{6}"
	const first, second = "BADGE-271828", "BADGE-314159"
	heard := s.listen()
	s.started()
	items := s.stock(1, 2)
	anna := s.badge(first, "signed on")
	s.scan("PKG-2026-0001", "accepted")
	s.scan(items[0], "accepted")
	s.badge(second, "") // with an open package it must be answered
	s.scan(items[1], "question")
	petr := s.badge(second, "signed on")
	s.scan(items[1], "accepted")
	s.scan(bed.CloseCode, "accepted")
	s.badge(second, "signed off")
	if anna == petr || anna == "" {
		t.Errorf("pseudonyms %q and %q", anna, petr)
	}
	s.clean()
	byHash := map[string]record.Badge{items[0]: {Pseudonym: anna, Shift: 1}, items[1]: {Pseudonym: petr, Shift: 2}}
	s.scansName(byHash)
	s.until("two health messages are heard", func() bool { return heard.health() >= 2 })
	s.stop()
	proven := s.proofsName(byHash)
	if len(proven) != 2 {
		t.Errorf("proofs of %v name who packed", proven)
	}
	s.journalHides(first, second)
	s.filesHide(first, second)
	for _, secret := range []string{first, second, anna, petr, `"badge"`, `"shift"`} {
		heard.hides(t, secret)
	}
	for _, l := range s.Agent.Lines(nil) {
		if strings.Contains(l.Raw, first) || strings.Contains(l.Raw, second) {
			t.Errorf("a badge in the log: %s", l.Raw)
		}
	}
}

// badge holds a badge before the scanner and gives its pseudonym.
func (s *site) badge(code, step string) string {
	s.t.Helper()
	mark := s.Agent.Mark()
	s.must(s.Scanner.Scan(code))
	l, err := s.Agent.Wait(s.ctx, mark, func(l bed.Line) bool { return l.Msg == "verdict" })
	s.must(err)
	pseudonym, ok := strings.CutPrefix(l.Code, "badge ")
	if !ok || l.Step != step || (step == "") != (l.Verdict == "question") {
		s.t.Fatalf("badge: %s", l.Raw)
	}
	return pseudonym
}

// scansName holds that the scans of the items say who packed.
func (s *site) scansName(byHash map[string]record.Badge) {
	s.t.Helper()
	for hash, want := range byHash {
		found := false
		for _, l := range s.scans("--item", hash) {
			if l.Step == record.Added {
				found = l.Badge != nil && *l.Badge == want
			}
		}
		if !found {
			s.t.Errorf("the scan of %s doesn't say %+v: %+v", hash, want, s.scans("--item", hash))
		}
	}
}

// proofsName opens the store of the stopped agent: the proof of each packed row leads to the scan, and that to who packed.
func (s *site) proofsName(byHash map[string]record.Badge) (proven []string) {
	s.t.Helper()
	scans := map[uint64]*record.Scan{}
	s.must(store.ReplayDir(s.folder(), func(e record.Entry) error { scans[e.Seq] = e.Scan; return nil }))
	st, err := store.Open(store.Config{
		Dir: s.folder(), Now: func() record.Stamp { return record.Stamp{} },
		Identity: store.Identity{Environment: "test", Station: bed.Station, Database: s.Config.MySQL + "/external"},
	})
	s.must(err)
	defer st.Close()
	s.must(st.DB.Evidence(func(e store.Evidence) error {
		scan := scans[e.Scan]
		if scan == nil {
			return nil
		}
		if want := byHash[e.Record.ID]; scan.Badge == nil || *scan.Badge != want {
			s.t.Errorf("the proof of %s names %+v, want %+v", e.Record.ID, scan.Badge, want)
		}
		proven = append(proven, e.Record.ID)
		return nil
	}))
	return proven
}

func (s *site) folder() string { return filepath.Join(s.Dir, "store") }

// journalHides holds that no entry of the journal has a badge's code in any form: entries are packed on the card.
func (s *site) journalHides(secrets ...string) {
	s.t.Helper()
	s.must(store.ReplayDir(s.folder(), func(e record.Entry) error {
		text, err := json.Marshal(e)
		if e.Scan != nil {
			text = append(text, e.Scan.Raw...) // in the text it is base64
		}
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("a badge in the journal: %q", text)
			}
		}
		return err
	}))
}

// filesHide holds that no file of the store has it in clear.
func (s *site) filesHide(secrets ...string) {
	s.t.Helper()
	n := 0
	s.must(filepath.WalkDir(s.folder(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("a badge in %s", path)
			}
		}
		n++
		return err
	}))
	if n < 4 {
		s.t.Errorf("only %d files in the store", n)
	}
}

// ear keeps everything that the broker passes on.
type ear struct {
	mu    sync.Mutex
	heard []string
}

// listen subscribes to everything.
func (s *site) listen() *ear {
	s.t.Helper()
	e := &ear{}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.Options.Broker.Addr).SetClientID("e2e-ear"))
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		s.t.Fatal(t.Error())
	}
	s.t.Cleanup(func() { client.Disconnect(0) })
	take := func(_ mqtt.Client, m mqtt.Message) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, m.Topic()+" "+string(m.Payload()))
	}
	if t := client.Subscribe("#", 1, take); t.Wait() && t.Error() != nil {
		s.t.Fatal(t.Error())
	}
	return e
}

// health is how many health messages were heard.
func (e *ear) health() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if strings.Contains(h, "/health ") {
			n++
		}
	}
	return n
}

// hides holds that nothing heard so far has the text.
func (e *ear) hides(t *testing.T, text string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if strings.Contains(h, text) {
			t.Errorf("%q in a message: %s", text, h)
		}
	}
}
