package store

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// SecretsFolder is where the agent keeps secrets in the store's folder. It stays on its card.
const SecretsFolder = "secrets"

const (
	lockFile    = "lock"
	reserveFile = reserveName
	blockSize   = 4096 // what a card reads or doesn't
)

// Export writes the whole folder as an archive, with identity, unsent work and what was set aside as damaged. What the
// card does not give any more is zeros in the archive and listed in the manifest; only without store.json is there nothing
// to export. The folder is left as it is.
func (f *Folder) Export(w io.Writer, at time.Time) (m Manifest, err error) {
	c, err := f.card()
	if err == nil && c.Moved != nil {
		err = c.Moved.refusal()
	}
	if err != nil {
		return m, fmt.Errorf("export store %s: %w", f.dir, err)
	}
	m = Manifest{Format: archiveFormat, Identity: c.Identity, Store: c.ID, At: at.UTC()}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return m, err
	}
	t := tar.NewWriter(z)
	if err = f.addAll(t, &m); err == nil {
		err = addManifest(t, m)
	}
	if err := errors.Join(err, t.Close(), z.Close()); err != nil {
		return m, fmt.Errorf("export store %s: %w", f.dir, err)
	}
	return m, nil
}

func (f *Folder) addAll(t *tar.Writer, m *Manifest) error {
	names, err := f.files()
	for _, name := range names {
		if err != nil {
			return err
		}
		var a Archived
		if a, err = f.add(t, name); err == nil {
			m.Files = append(m.Files, a)
		}
	}
	return err
}

// files lists what belongs to the store, store.json first.
func (f *Folder) files() ([]string, error) {
	names := []string{identityFile}
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.dir, path)
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(name, temporary), name == "lost+found", name == SecretsFolder:
			if e.IsDir() {
				return fs.SkipDir
			}
		case e.Type().IsRegular() && !slices.Contains([]string{identityFile, identityFile + copySuffix, lockFile, reserveFile, manifestFile}, name):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// add adds one file, whatever of it can be read.
func (f *Folder) add(t *tar.Writer, name string) (Archived, error) {
	path := filepath.Join(f.dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return Archived{}, err
	}
	rescue := &rescue{size: info.Size()}
	if rescue.file, err = f.open(path); err == nil {
		defer rescue.file.Close()
	} else {
		rescue.file = nil // then all of it is lost
	}
	if err := t.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return Archived{}, err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(t, sum), rescue); err != nil {
		return Archived{}, err
	}
	return Archived{filepath.ToSlash(name), info.Size(), hex.EncodeToString(sum.Sum(nil)), rescue.lost}, nil
}

func addManifest(t *tar.Writer, m Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: manifestFile, Mode: 0o600, Size: int64(len(b)), ModTime: m.At}); err != nil {
		return err
	}
	_, err = t.Write(b)
	return err
}

// rescue reads a file to its size and never fails: blocks that can't be read are zeros, and listed.
type rescue struct {
	file   source // nil: none of it can be read
	size   int64
	off    int64
	slowly int64 // up to here block by block, because a larger piece could not be read
	lost   []Span
}

func (r *rescue) Read(b []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.size-r.off)]
	if r.off >= r.slowly {
		if r.readAt(b) == len(b) {
			r.off += int64(len(b))
			return len(b), nil
		}
		r.slowly = r.off + int64(len(b))
	}
	b = b[:min(int64(len(b)), blockSize-r.off%blockSize)]
	if n := r.readAt(b); n < len(b) {
		clear(b[n:])
		r.lose(r.off+int64(n), int64(len(b)-n))
	}
	r.off += int64(len(b))
	return len(b), nil
}

func (r *rescue) readAt(b []byte) int {
	if r.file == nil {
		return 0
	}
	n, _ := r.file.ReadAt(b, r.off) // what is missing is listed, whatever the reason
	return n
}

func (r *rescue) lose(off, n int64) {
	if last := len(r.lost) - 1; last >= 0 && r.lost[last].Offset+r.lost[last].Bytes == off {
		r.lost[last].Bytes += n
		return
	}
	r.lost = append(r.lost, Span{off, n})
}
