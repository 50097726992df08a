package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

func TestAStoreKeepsItsIDAndCountsSessions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "store")
	var id string
	for n := uint64(1); n <= 3; n++ {
		s := openTest(t, dir)
		if s.Session() != n || len(s.ID()) != 32 || id != "" && s.ID() != id {
			t.Fatal(s.Session(), s.ID(), id)
		}
		id = s.ID()
		ok(t, s.Close())
		ok(t, s.Close())
	}
}

// refused opens the store, checks class and text of the error, and that no byte of the folder changed.
func refused(t *testing.T, dir string, id Identity, want error, words ...string) {
	t.Helper()
	before := contents(t, dir)
	_, err := Open(testConfig(dir, id))
	if !errors.Is(err, want) || record.ClassOf(err) != record.StopHere {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, w := range append(words, dir) {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("%q doesn't say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Fatalf("more than one line: %q", err)
	}
	after := contents(t, dir)
	if len(before) != len(after) {
		t.Fatalf("%d files, then %d", len(before), len(after))
	}
	for name := range before {
		if before[name] != after[name] {
			t.Fatalf("%s was changed", name)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	ok(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}))
	return files
}

func TestASecondAgentIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	refused(t, dir, here, ErrLocked, "pid "+strconv.Itoa(os.Getpid()), "stop it first")
	out, err := child("open", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another agent (pid "+strconv.Itoa(os.Getpid())) {
		t.Fatalf("another process: %v, %s", err, out)
	}
	ok(t, s.DB.Put(group(0, 1)))
	ok(t, s.Close())
	if out, err := child("open", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
}

func TestAForeignStoreIsRefusedUnharmed(t *testing.T) {
	dir := t.TempDir()
	ok(t, openTest(t, dir).Close())
	for _, id := range []Identity{{"production", here.Station, here.Database}, {here.Environment, "bench-2", here.Database}, {here.Environment, here.Station, "other:3306/external"}} {
		refused(t, dir, id, ErrForeign, here.String(), id.String(), "use another store folder")
	}
	ok(t, openTest(t, dir).Close())
}

func TestANewerStoreIsRefusedUnharmed(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		ok(t, openTest(t, dir).Close())
		replace(t, filepath.Join(dir, identityFile), `"format": 1`, `"format": 2, "unknown": {}`)
		refused(t, dir, here, ErrNewer, "format 2")
	})
	t.Run("database", func(t *testing.T) {
		dir := t.TempDir()
		ok(t, openTest(t, dir).Close())
		b, err := bolt.Open(filepath.Join(dir, databaseFile), 0o600, nil)
		ok(t, err)
		ok(t, b.Update(func(tx *bolt.Tx) error { return (&txn{Tx: tx}).setMeta("version", databaseVersion+1) }))
		ok(t, b.Close())
		refused(t, dir, here, ErrNewer)
	})
}

func replace(t *testing.T, path, old, new string) {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %s: %s", path, old, b)
	}
	ok(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o600))
}

func TestALostFileIsDamage(t *testing.T) {
	for _, name := range []string{identityFile, databaseFile, journalFolder} {
		dir := t.TempDir()
		s := openTest(t, dir)
		mustAppend(t, s.Journal, scanEntry("a"))
		ok(t, s.Close())
		ok(t, os.RemoveAll(filepath.Join(dir, name)))
		if _, err := Open(testConfig(dir, here)); !errors.Is(err, ErrDamaged) || record.ClassOf(err) != record.StopHere {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesOfTwoStoresDontMix(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	ok(t, openTest(t, a).Close())
	ok(t, openTest(t, b).Close())
	for _, name := range []string{databaseFile, journalFolder} {
		from, to := filepath.Join(a, name), filepath.Join(b, name)
		ok(t, os.Rename(to, to+".own"))
		ok(t, os.Rename(from, to))
		refused(t, b, here, ErrForeign)
		ok(t, os.Rename(to, from))
		ok(t, os.Rename(to+".own", to))
	}
	ok(t, openTest(t, b).Close())
}

// TestAFirstUseThatWasCutShort leaves each prefix of what Open makes on first use; the next Open goes on.
func TestAFirstUseThatWasCutShort(t *testing.T) {
	dir := t.TempDir()
	id := openFirst(t, dir)
	for _, rest := range [][]string{{}, {identityFile}, {identityFile, databaseFile}} {
		cut := t.TempDir()
		for _, name := range rest {
			b, err := os.ReadFile(filepath.Join(dir, name))
			ok(t, err)
			ok(t, os.WriteFile(filepath.Join(cut, name), b, 0o600))
		}
		ok(t, os.WriteFile(filepath.Join(cut, databaseFile+temporary), []byte("half"), 0o600))
		s := openTest(t, cut)
		if s.Session() != 1 || len(rest) > 0 && s.ID() != id {
			t.Fatal(rest, s.Session(), s.ID())
		}
		mustAppend(t, s.Journal, scanEntry("a"))
		ok(t, s.Close())
	}
}

// openFirst makes the files of a first use up to the point where sessions are counted.
func openFirst(t *testing.T, dir string) string {
	t.Helper()
	id, err := identify(dir, here)
	ok(t, err)
	d, err := openDB(filepath.Join(dir, databaseFile), id, testNow)
	ok(t, err)
	ok(t, d.Close())
	return id
}

func TestAFolderThatCantBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "store"), "/proc/store"} {
		if _, err := Open(testConfig(dir, here)); record.ClassOf(err) != record.StopHere || !strings.Contains(err.Error(), "give the agent's user a folder that it can write") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func child(what, dir string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+what, childFolder+"="+dir)
	return c
}
