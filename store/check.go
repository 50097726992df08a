package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Check reads the store folder dir of a stopped agent and lists what can't be read, as opening it would find it: entries
// of the journal, records, whole files. It writes nothing. Probe reads a file of bbolt, as in Config; deep reads every
// value in it as well. A store that is in use is ErrLocked: ask its agent.
func Check(dir string, deep bool, probe func(path string) error) (losses []Loss, err error) {
	lock, err := lockForReading(dir)
	if err == nil {
		defer lock.Close()
		losses, err = check(dir, deep, probe)
	}
	if err != nil {
		return nil, fmt.Errorf("check store %s: %w", dir, err)
	}
	return losses, nil
}

func check(dir string, deep bool, probe func(path string) error) ([]Loss, error) {
	id, losses, err := checkIdentity(dir)
	if err != nil {
		return nil, err
	}
	more, err := checkJournal(filepath.Join(dir, journalFolder), id)
	losses = append(append(losses, more...), checkPresence(dir)...)
	for _, pattern := range []string{"*.db", "*/*.db"} {
		paths, bad := filepath.Glob(filepath.Join(dir, pattern))
		err = errors.Join(err, bad)
		for _, path := range paths {
			loss, bad := checkRecords(path, deep, probe)
			err = errors.Join(err, bad)
			losses = append(losses, loss...)
		}
	}
	return losses, err
}

// checkPresence lists what a store that was in use must have.
func checkPresence(dir string) (losses []Loss) {
	if exists(filepath.Join(dir, oldFile)) {
		return nil // format 1
	}
	if firsts, err := listRecords(filepath.Join(dir, recordsFolder)); err != nil || len(firsts) == 0 {
		losses = append(losses, Loss{File: filepath.Join(dir, recordsFolder), Count: -1, What: "no file of records is there"})
	}
	if rows := filepath.Join(dir, rowsName); !exists(rows) {
		losses = append(losses, Loss{File: rows, What: "the rows file is missing: the rows are read again"})
	}
	return losses
}

// lockForReading holds an agent off without writing to the folder; nil if there never was an agent.
func lockForReading(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // closing a nil file does nothing but say so
	}
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w (pid %s): stop it first", ErrLocked, holder(f))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkIdentity reads store.json. Without it and without a journal there is nothing to check.
func checkIdentity(dir string) (id string, losses []Loss, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(dir, journalFolder)) {
		return "", nil, errors.New("there is no store")
	}
	var c card
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	switch {
	case err != nil:
		return "", []Loss{{File: path, What: "the identity of the store can't be read: " + err.Error()}}, nil
	case c.Format > format:
		return "", nil, fmt.Errorf("%w (format %d, this program knows %d): check it with the newer program", ErrNewer, c.Format, format)
	}
	return c.ID, nil, nil
}

// checkJournal reads every segment. What stands behind the last entry was being written when the power failed: no damage.
func checkJournal(dir, id string) ([]Loss, error) {
	entries, losses, err := surveyJournal(dir, id)
	if errors.Is(err, fs.ErrNotExist) || err == nil && entries == 0 && len(losses) == 0 && !hasSegment(dir) {
		return []Loss{{File: dir, What: "the journal is missing", Scans: true}}, nil
	}
	return losses, err
}

func hasSegment(dir string) bool {
	firsts, err := segments(dir)
	return err == nil && len(firsts) > 0
}

// checkRecords reads a file of bbolt. Its records are counted only when something is wrong with it.
func checkRecords(path string, deep bool, probe func(path string) error) ([]Loss, error) {
	bad := probe(path)
	if bad == nil && !deep {
		return nil, nil
	}
	if bad != nil && !errors.Is(bad, ErrDamaged) {
		return nil, bad
	}
	lost, err := inspect(path)
	if bad == nil {
		bad = err
	}
	if bad == nil {
		return nil, nil
	}
	return []Loss{{File: path, What: fmt.Sprintf("%v: %s", bad, consequence(path, lost)), Count: lost}}, nil
}

// consequence tells a person what follows from a damaged file.
func consequence(path string, lost int) string {
	switch filepath.Base(path) {
	case labelsName:
		return "it is made again from the journal"
	case mapName:
		return "import the map again"
	}
	return fmt.Sprintf("%d records are lost", lost)
}
