package store

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestADamagedArchiveIsNotImported cuts and bends the archive everywhere: the folder is never taken for a store.
func TestADamagedArchiveIsNotImported(t *testing.T) {
	from := t.TempDir()
	movable(t, from)
	archive := archiveOf(t, from)
	step := max(1, len(archive)/60)
	for n := 0; n < len(archive); n += step {
		bent := bytes.Clone(archive)
		bent[n] ^= 0x10
		for what, bad := range map[string][]byte{"cut": archive[:n], "bent": bent} {
			dir := t.TempDir()
			if _, err := Import(testConfig(dir, here), bytes.NewReader(bad)); err == nil {
				if got := contents(t, dir); what == "bent" && sameFiles(got, dir, contents(t, from), from) {
					continue // a bit that means nothing
				}
				t.Fatalf("%s at %d of %d was imported", what, n, len(archive))
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			if left := contents(t, dir); len(left) != 0 {
				t.Fatalf("%s at %d left %d files", what, n, len(left))
			}
		}
	}
}

// sameFiles tells whether two folders hold the same but for the mark in store.json.
func sameFiles(a map[string]string, dirA string, b map[string]string, dirB string) bool {
	for path, text := range b {
		name, _ := filepath.Rel(dirB, path)
		if name != identityFile && a[filepath.Join(dirA, name)] != text {
			return false
		}
	}
	return len(a) == len(b)
}

// TestAnArchiveIsHeldAgainstItsManifest: zstd's own sum says nothing about what was put in.
func TestAnArchiveIsHeldAgainstItsManifest(t *testing.T) {
	sum := sha256.Sum256([]byte("text"))
	right := Manifest{Format: 1, Files: []Archived{{Name: "a/b.seg", Bytes: 4, SHA256: hex.EncodeToString(sum[:])}}}
	for name, c := range map[string]struct {
		bend func(m *Manifest, h *tar.Header)
		want string // of the error, "" if there is none
	}{
		"as it is":        {func(*Manifest, *tar.Header) {}, ""},
		"another sum":     {func(m *Manifest, _ *tar.Header) { m.Files[0].SHA256 = strings.Repeat("0", 64) }, "not those of its manifest"},
		"one too few":     {func(m *Manifest, _ *tar.Header) { m.Files = append(m.Files, Archived{Name: "c"}) }, "not those of its manifest"},
		"one too many":    {func(m *Manifest, _ *tar.Header) { m.Files = nil }, "not those of its manifest"},
		"newer":           {func(m *Manifest, _ *tar.Header) { m.Format = 2 }, "format is newer"},
		"out of the tree": {func(_ *Manifest, h *tar.Header) { h.Name = "../b.seg" }, "no place in a store"},
		"a link":          {func(_ *Manifest, h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc", 0 }, "no place in a store"},
	} {
		t.Run(name, func(t *testing.T) {
			m, h := right, &tar.Header{Name: "a/b.seg", Size: 4, Mode: 0o600}
			m.Files = slices.Clone(right.Files)
			c.bend(&m, h)
			var b bytes.Buffer
			z, err := zstd.NewWriter(&b)
			ok(t, err)
			w := tar.NewWriter(z)
			ok(t, w.WriteHeader(h))
			if h.Size > 0 {
				_, err = w.Write([]byte("text"))
				ok(t, err)
			}
			ok(t, addManifest(w, m))
			ok(t, w.Close())
			ok(t, z.Close())
			_, err = Verify(&b)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestImportIntoTheWrongPlace(t *testing.T) {
	from := t.TempDir()
	movable(t, from)
	archive := archiveOf(t, from)
	elsewhere := here
	elsewhere.Station = "bench-2"
	dir := t.TempDir()
	if _, err := Import(testConfig(dir, elsewhere), bytes.NewReader(archive)); !errors.Is(err, ErrForeign) || len(contents(t, dir)) != 0 {
		t.Errorf("another station: %v", err)
	}
	ok(t, os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600))
	if _, err := Import(testConfig(dir, here), bytes.NewReader(archive)); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), "notes") {
		t.Errorf("a folder with something in it: %v", err)
	}
	dir = t.TempDir()
	s := openTest(t, dir)
	if _, err := Import(testConfig(dir, here), bytes.NewReader(archive)); !errors.Is(err, ErrLocked) {
		t.Errorf("under an agent: %v", err)
	}
	ok(t, s.Close())
	if _, err := Import(testConfig(dir, here), bytes.NewReader(archive)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("over a store: %v", err)
	}
}

// snapshots reads an archive and copies the folder as it stands now and then: what a kill would leave.
type snapshots struct {
	r   io.Reader
	dir string
	to  func() string
}

func (s snapshots) Read(p []byte) (int, error) {
	if err := os.CopyFS(s.to(), os.DirFS(s.dir)); err != nil {
		return 0, err
	}
	return s.r.Read(p[:min(len(p), 5000)])
}

// TestAKilledImportIsNoStore holds that whatever a kill leaves is refused, unharmed, and that the next import ends well.
func TestAKilledImportIsNoStore(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	movable(t, from)
	archive := archiveOf(t, from)
	var states []string
	state := func() string {
		states = append(states, filepath.Join(t.TempDir(), "state"))
		return states[len(states)-1]
	}
	_, err := Import(testConfig(dir, here), snapshots{bytes.NewReader(archive), dir, state})
	ok(t, err)
	entries, err := fs.Glob(os.DirFS(dir), "*")
	ok(t, err)
	for n := range entries { // and between the renames: the first n are in place, store.json is not
		to := state()
		ok(t, os.CopyFS(to, os.DirFS(dir)))
		ok(t, os.Mkdir(filepath.Join(to, stagingFolder), 0o700))
		for i, name := range append(entries, identityFile) {
			if name == identityFile || i >= n && name != lockFile {
				err := os.Rename(filepath.Join(to, name), filepath.Join(to, stagingFolder, name))
				if !errors.Is(err, fs.ErrNotExist) {
					ok(t, err)
				}
			}
		}
	}
	for _, dir := range states {
		before := contents(t, dir)
		if _, err := Open(testConfig(dir, here)); err == nil || !strings.Contains(err.Error(), "import was begun here") {
			t.Fatalf("%v: taken for a store: %v", before, err)
		}
		_, err := Import(testConfig(dir, here), bytes.NewReader(archive))
		ok(t, err)
		if !sameFiles(contents(t, dir), dir, contents(t, from), from) {
			t.Fatal("the second import is not the store")
		}
	}
	t.Logf("%d states", len(states))
}
