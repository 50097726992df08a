package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// stagingFolder holds what is imported until all of it is verified. While it is there, a folder without store.json is no
// place for a new store.
const stagingFolder = "import" + temporary

// Import makes the store of c.Identity in the empty or missing folder c.Dir out of an archive. The store keeps its id: to
// Certyo and to the fleet it is the old one. Nothing gets its final name before every file was held against its sum, and
// store.json gets it last; an import that ended on the way is never taken for a store, and the next one clears it away.
func Import(c Config, r io.Reader) (m Manifest, err error) {
	if err := makeFolder(c.Dir); err != nil {
		return m, fmt.Errorf("import store into %s: %w", c.Dir, err)
	}
	lock, err := lockFolder(c.Dir)
	if err != nil {
		return m, fmt.Errorf("import store into %s: %w", c.Dir, err)
	}
	defer lock.Close()
	if err = errors.Join(give(c.Dir, lock.Name()), clearUnfinished(c.Dir)); err == nil {
		m, err = importInto(c, r)
	}
	if err != nil {
		return m, fmt.Errorf("import store into %s: %w", c.Dir, err)
	}
	return m, nil
}

// clearUnfinished makes dir empty if only an import that did not end is there, and refuses any other content.
func clearUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return slices.Contains([]string{lockFile, reserveFile, "lost+found"}, e.Name())
	})
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	if len(entries) > 0 && (!has(stagingFolder) || has(identityFile)) {
		return fmt.Errorf("%w: %s is there: name an empty store folder in the configuration", ErrNotEmpty, entries[0].Name())
	}
	for _, e := range entries {
		if e.Name() != stagingFolder { // goes last: it says what the others are
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(dir, stagingFolder)))
}

func importInto(c Config, r io.Reader) (m Manifest, err error) {
	s := staging{c.Dir, filepath.Join(c.Dir, stagingFolder)}
	if err := s.folder("."); err != nil {
		return m, err
	}
	defer func() {
		if err != nil {
			_ = clearUnfinished(c.Dir) // what stays is not taken for a store either
		}
	}()
	if m, err = readArchive(r, s.write); err != nil {
		return m, err
	}
	if !slices.ContainsFunc(m.Files, func(a Archived) bool { return a.Name == identityFile }) {
		return m, fmt.Errorf("the archive holds no %s: it is no store", identityFile)
	}
	if _, _, _, err := identify(s.path, c.Identity); err != nil {
		return m, err
	}
	if err := s.flush(); err != nil {
		return m, err
	}
	names, err := s.names()
	if err != nil {
		return m, err
	}
	return m, s.place(names)
}

// staging is where an import collects its files.
type staging struct{ dir, path string }

// folder makes a folder below path and all above it.
func (s staging) folder(name string) error {
	if name != "." {
		if err := s.folder(filepath.Dir(name)); err != nil {
			return err
		}
	}
	path := filepath.Join(s.path, name)
	if err := os.Mkdir(path, 0o750); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return give(s.dir, path)
}

// write makes one file durable.
func (s staging) write(name string, r io.Reader) error {
	if err := s.folder(filepath.Dir(name)); err != nil {
		return err
	}
	path := filepath.Join(s.path, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, r); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), give(s.dir, path))
}

// flush makes the names of all files durable.
func (s staging) flush() error {
	return filepath.WalkDir(s.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncFolder(openFile, path)
	})
}

// names lists what is to be put in place, store.json last.
func (s staging) names() ([]string, error) {
	entries, err := os.ReadDir(s.path)
	var names []string
	for _, e := range entries {
		if e.Name() != identityFile {
			names = append(names, e.Name())
		}
	}
	return append(names, identityFile), err
}

// place gives the files their final names.
func (s staging) place(names []string) error {
	for _, name := range names {
		if name == identityFile { // makes the others a store
			if err := syncFolder(openFile, s.dir); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(s.path, name), filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return errors.Join(syncFolder(openFile, s.dir), os.RemoveAll(s.path))
}
