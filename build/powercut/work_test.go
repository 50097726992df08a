package powercut

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheCheckKnowsTheWork looks at a copy of the store after each step of the work, without any power cut: what the check
// calls a loss must not come from the check. And the work must reach what it is for.
func TestTheCheckKnowsTheWork(t *testing.T) {
	dir, seen := t.TempDir(), map[string]bool{}
	steps := slices.DeleteFunc(Script(16), func(s Step) bool { return s.Act == Rest }) // takes long
	done := 0
	err := Work(dir, steps, func() error {
		done++
		look(t, dir, seen)
		if s := steps[done-1].Act; s != Close && s != Days {
			return nil
		}
		return Check(copied(t, dir), steps, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"journal/", "records/"} {
		files := 0
		for name := range seen {
			if strings.HasPrefix(name, kind) {
				files++
			}
		}
		if files < 3 {
			t.Errorf("only %d files %s: it does not come to rotation", files, kind)
		}
	}
}

// look notes the files of the store.
func look(t *testing.T, dir string, seen map[string]bool) {
	t.Helper()
	for _, kind := range []string{"journal/*.seg", "records/*.db"} {
		files, err := filepath.Glob(filepath.Join(dir, "store", kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			seen[filepath.Join(filepath.Base(filepath.Dir(name)), filepath.Base(name))] = true
		}
	}
}

// copied gives a copy of dir, so that the check can open the store in it.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
