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
		if err != nil || e.IsDir() || e.Name() == "lock" || e.Name() == identityFile+copySuffix {
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
		replace(t, filepath.Join(dir, identityFile), `"format": 3`, `"format": 4, "unknown": {}`)
		refused(t, dir, here, ErrNewer, "format 4")
	})
	for _, file := range []string{rowsName, labelsName, filepath.Join(recordsFolder, recordName(place{1, 1}))} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			ok(t, openTest(t, dir).Close())
			b, err := openBolt(filepath.Join(dir, file), os.O_RDWR)
			ok(t, err)
			ok(t, b.Update(func(tx *bolt.Tx) error { return putMeta(tx, map[string]any{"version": recordsVersion + 1}) }))
			ok(t, b.Close())
			refused(t, dir, here, ErrNewer)
		})
	}
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

func TestFilesOfTwoStoresDontMix(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	ok(t, openTest(t, a).Close())
	ok(t, openTest(t, b).Close())
	for _, name := range []string{rowsName, labelsName, recordsFolder, journalFolder} {
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
	s := openTest(t, dir)
	id := s.ID()
	ok(t, s.Close())
	ok(t, writeCard(filepath.Join(dir, identityFile), card{Format: format, ID: id, Identity: here}))
	for _, rest := range [][]string{{}, {identityFile}, {identityFile, rowsName}, {identityFile, rowsName, labelsName}} {
		cut := t.TempDir()
		for _, name := range rest {
			ok(t, os.WriteFile(filepath.Join(cut, name), read(t, filepath.Join(dir, name)), 0o600))
		}
		for _, name := range []string{rowsName, labelsName, mapName} {
			ok(t, os.WriteFile(filepath.Join(cut, name+temporary), []byte("half"), 0o600))
		}
		s := openTest(t, cut)
		if s.Session() != 1 || len(rest) > 0 && s.ID() != id || len(s.Losses()) > 0 {
			t.Fatal(rest, s.Session(), s.ID(), s.Losses())
		}
		if files, _ := filepath.Glob(filepath.Join(cut, "*"+temporary)); len(files) > 0 {
			t.Fatal(files, "are left")
		}
		mustAppend(t, s.Journal, scanEntry("a"))
		ok(t, s.Close())
	}
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
