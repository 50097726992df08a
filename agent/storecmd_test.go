package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station-agent/store"
)

// recordFiles lists the files of bbolt.
func (p *place) recordFiles() []string {
	p.t.Helper()
	var files []string
	for _, pattern := range []string{"*.db", "*/*.db"} {
		some, err := filepath.Glob(filepath.Join(p.cfg.Store.Folder, pattern))
		if err != nil {
			p.t.Fatal(err)
		}
		files = append(files, some...)
	}
	if len(files) == 0 {
		p.t.Fatal("no file of records")
	}
	return files
}

// spoil overwrites the first pages of a file.
func spoil(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("spoiled ", 1024)), 0); err != nil {
		t.Fatal(err)
	}
}

func TestStoreCheck(t *testing.T) {
	p := newPlace(t)
	p.want(exitFailed, []string{"there is no store"}, "store", "check")
	if _, err := os.Stat(p.cfg.Store.Folder); err == nil {
		t.Error("a check made a folder")
	}
	p.fill(5)
	p.want(0, []string{"the store is sound"}, "store", "check")
	p.want(0, []string{"the store is sound"}, "store", "check", "--deep")
	for _, file := range p.recordFiles() {
		spoil(t, file)
		p.want(exitFailed, []string{file, "it is damaged"}, "store", "check")
		break
	}
}

func TestStoreCheckAsksTheAgent(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	p.agent()
	p.want(0, []string{"the agent runs", "the store is sound"}, "store", "check")
}

// TestProbe runs the child process: a sound file, a damaged one, and one that is not there, which is no damage.
func TestProbe(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	for _, file := range p.recordFiles() {
		if err := probe(file); err != nil {
			t.Error(err)
		}
		spoil(t, file)
		if err := probe(file); !errors.Is(err, store.ErrDamaged) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
	}
	if err := probe(p.path("none.db")); err == nil || errors.Is(err, store.ErrDamaged) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestStoreStats(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.fill(5)
		if running {
			p.agent()
		}
		p.want(0, []string{"1; 1 assignments waiting", "5 records", "1 dead letters", "1 not anchored yet", "0-1-7", "journal: 1.0 MiB", "free"}, "store", "stats")
		var s storeStats
		if err := json.Unmarshal([]byte(p.want(0, nil, "store", "stats", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		sessions := map[bool]uint64{true: 2, false: 3}[running] // opening counts one
		if s.Scans != 1 || s.QueueRecords != 5 || s.Bytes["journal"] < 1<<20 || s.FreeBytes == 0 || s.Session != sessions || len(s.StoreID) != 32 {
			t.Errorf("%+v", s)
		}
	}
	newPlace(t).want(exitFailed, []string{"there is none"}, "store", "stats")
}

// TestStoreOfAnotherUser: files that root made would lock the agent out.
func TestStoreOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can give a file away")
	}
	p := newPlace(t)
	p.fill(1)
	if err := os.Chown(filepath.Join(p.cfg.Store.Folder, "store.json"), 12345, -1); err != nil {
		t.Fatal(err)
	}
	p.want(exitFailed, []string{"belongs to user 12345", "sudo -u 12345"}, "outbox", "list")
}

// TestLossesAreAProblem: what could not be read is said where people look.
func TestLossesAreAProblem(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	spoil(t, p.recordFiles()[0])
	st := p.open()
	defer st.Close()
	b := newBoard(quiet())
	a := &attention{store: st, card: b.condition("store"), export: b.condition("evidence export")}
	a.lookAtStore(st.DB.Stats().Trouble)
	a.lookAtStore(st.DB.Stats().Trouble)
	if l := b.problems(); len(l) != 1 || l[0].Name != "store" || l[0].Count != 1 || !strings.Contains(l[0].Text, st.Losses()[0].What) {
		t.Errorf("%+v", l)
	}
}
