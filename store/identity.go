package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	identityFile = "store.json"
	format       = 3 // of the folder as a whole: 3 knows more states of the ledger than 2
)

// Identity says for whom a store keeps its promises. A store made for one never serves another.
type Identity struct {
	Environment string `json:"environment"` // "test", "production", ...
	Station     string `json:"station"`
	Database    string `json:"database"` // address and schema, "127.0.0.1:3306/external"
}

// String names all three for a person.
func (i Identity) String() string {
	return fmt.Sprintf("environment %q, station %q, database %q", i.Environment, i.Station, i.Database)
}

// card is the content of store.json. Format comes first and is all that a program may read of a newer store.
type card struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Begun  bool   `json:"begun"`            // both stores were made once: what is missing now was lost
	Untold bool   `json:"untold,omitempty"` // a program had it before that didn't note what it posted: the first opening does
	Identity
	Moved *Move `json:"moved,omitempty"` // away from here: see Folder
}

// identify reads the store's id and refuses a store of another identity or a newer format. An empty folder becomes a
// store of this identity. Untold says that what was posted of it isn't noted.
func identify(dir string, id Identity) (storeID string, fresh, untold bool, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		storeID, err = introduce(dir, path, id)
		return storeID, true, false, err
	}
	if err != nil {
		return "", false, false, err
	}
	var c card
	if err := readCard(b, path, &c); err != nil {
		return "", false, false, fmt.Errorf("%w: read %s: %w: restore the file or use another store folder", ErrDamaged, path, err)
	}
	if c.Format > format {
		return "", false, false, fmt.Errorf("%w (format %d, this program knows %d): install the newer program again", ErrNewer, c.Format, format)
	}
	if c.Identity != id {
		return "", false, false, fmt.Errorf("%w: it was made for %v, the configuration says %v: use another store folder or the right configuration",
			ErrForeign, c.Identity, id)
	}
	if c.Moved != nil {
		return "", false, false, c.Moved.refusal()
	}
	if raw, err := hex.DecodeString(c.ID); err != nil || len(raw) != idSize {
		return "", false, false, fmt.Errorf("%w: %s holds no store id: restore the file or use another store folder", ErrDamaged, path)
	}
	if c.Format < format { // before anything else changes, so that an older program refuses what it finds
		c.Format, c.Begun, c.Untold = format, true, true
		err = writeCard(path, c)
	}
	return c.ID, !c.Begun, c.Untold, err
}

// begun notes that a store is complete.
func begun(dir, storeID string, id Identity) error {
	return writeCard(filepath.Join(dir, identityFile), card{Format: format, ID: storeID, Begun: true, Identity: id})
}

// introduce gives a new store its id. Data without a store.json is somebody's lost store and not a place for a new one.
func introduce(dir, path string, id Identity) (string, error) {
	if exists(filepath.Join(dir, stagingFolder)) {
		return "", errUnfinished
	}
	for _, name := range []string{oldFile, recordsFolder, journalFolder} {
		if exists(filepath.Join(dir, name)) {
			return "", fmt.Errorf("%w: %s is there but %s is missing: restore it or use another store folder",
				ErrDamaged, name, identityFile)
		}
	}
	c := card{Format: format, ID: newID(), Identity: id}
	return c.ID, writeCard(path, c)
}

// readCard reads store.json, or its copy if a rotten block has spoiled it.
func readCard(b []byte, path string, c *card) error {
	err := json.Unmarshal(b, c)
	if err == nil {
		return nil
	}
	if b, copyErr := os.ReadFile(path + copySuffix); copyErr == nil && json.Unmarshal(b, c) == nil {
		return nil
	}
	return err
}

const copySuffix = ".copy" // of store.json, written after it

func writeCard(path string, c card) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	return errors.Join(replaceFile(path, b), replaceFile(path+copySuffix, b))
}

const idSize = 16

// newID makes 128 random bits, as 32 hexadecimal digits.
func newID() string {
	b := make([]byte, idSize)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// lockFolder takes the folder for this process. The kernel lets go of it when the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: give the agent's user a folder that it can write", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, fmt.Errorf("%w (pid %s): stop it first", ErrLocked, holder(f))
	}
	if err == nil {
		if _, noted := f.WriteAt(fmt.Appendf(nil, "%-19d\n", os.Getpid()), 0); noted != nil && !noRoom(noted) {
			err = noted // on a full card the lock does without
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w: give the agent a folder on a writable local disk", f.Name(), err)
	}
	return f, nil
}

func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(bytes.TrimRight(b[:n], "\x00"))); pid != "" {
		return pid
	}
	return "unknown"
}
