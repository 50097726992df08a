package store

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// An archive is a tar in zstd: store.json, every other file of the store folder, and a manifest behind them.
const (
	manifestFile  = "manifest.json"
	archiveFormat = 1
	maxManifest   = 64 << 20
	maxWindow     = 8 << 20 // of zstd: what reading an archive may take of the memory
)

// Manifest is the last member of an archive.
type Manifest struct {
	Format int `json:"format"` // of the archive; comes first, as in store.json
	Identity
	Store string     `json:"store"` // its id
	At    time.Time  `json:"at"`
	Files []Archived `json:"files"`
}

// Archived is one file of an archive.
type Archived struct {
	Name   string `json:"name"` // below the store folder
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`         // as archived
	Lost   []Span `json:"lost,omitempty"` // what could not be read and is zeros in the archive
}

// Span is a part of a file.
type Span struct {
	Offset int64 `json:"offset"`
	Bytes  int64 `json:"bytes"`
}

// Lost tells how many bytes of the store could not be read.
func (m Manifest) Lost() (n int64) {
	for _, f := range m.Files {
		for _, s := range f.Lost {
			n += s.Bytes
		}
	}
	return n
}

// Verify reads an archive to its end and holds every file against its sum.
func Verify(r io.Reader) (Manifest, error) {
	return readArchive(r, func(string, io.Reader) error { return nil })
}

// readArchive gives every file of an archive to f, which may read as much of it as it likes, and then checks what it gave
// against the manifest. Nothing is to be trusted before it returns.
func readArchive(r io.Reader, f func(name string, r io.Reader) error) (m Manifest, err error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return m, err
	}
	defer z.Close()
	var found []Archived
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return m, errors.New("read archive: it is cut off: export again")
		case err != nil:
			return m, fmt.Errorf("read archive: %w: it is no archive of a store, or damaged: export again", err)
		case h.Name == manifestFile:
			return finish(z, t, found)
		case h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name):
			return m, fmt.Errorf("read archive: %q has no place in a store", h.Name)
		}
		a, err := pass(h.Name, t, f)
		if err != nil {
			return m, err
		}
		found = append(found, a)
	}
}

// pass gives one file to f and tells what it was.
func pass(name string, r io.Reader, f func(string, io.Reader) error) (Archived, error) {
	sum := sha256.New()
	count := &counter{w: sum}
	seen := io.TeeReader(r, count)
	if err := f(name, seen); err != nil {
		return Archived{}, err
	}
	if _, err := io.Copy(io.Discard, seen); err != nil {
		return Archived{}, fmt.Errorf("read archive: %s: %w: it is cut off or damaged: export again", name, err)
	}
	return Archived{Name: name, Bytes: count.n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// finish reads the manifest and what is behind it, and compares.
func finish(z, t io.Reader, found []Archived) (m Manifest, err error) {
	b, err := io.ReadAll(io.LimitReader(t, maxManifest))
	if err == nil {
		_, err = io.Copy(io.Discard, z) // zstd's own sum stands at the end
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case err != nil:
		return m, fmt.Errorf("read archive: %w: it is cut off or damaged: export again", err)
	case m.Format > archiveFormat:
		return m, fmt.Errorf("read archive: %w (archive format %d, this program knows %d): install the newer program", ErrNewer, m.Format, archiveFormat)
	}
	same := func(a, b Archived) bool { return a.Name == b.Name && a.Bytes == b.Bytes && a.SHA256 == b.SHA256 }
	if !slices.EqualFunc(found, m.Files, same) {
		return m, errors.New("read archive: its files are not those of its manifest: it is damaged: export again")
	}
	return m, nil
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
