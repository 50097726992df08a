package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Book is what people noted about troubles: which of them somebody knows, and which stations are under maintenance. It is one
// small file, written whole or not at all, and read again before each change and when another program wrote it. It is for one
// goroutine. The zero Book has no file and is empty.
type Book struct {
	file  string
	stamp os.FileInfo // of the file as it was read
	notes notes
}

type notes struct {
	Acknowledged []ack    `json:"acknowledged"`
	Maintenance  []Window `json:"maintenance"`
}

// ack is one trouble that somebody knows, until it clears.
type ack struct {
	Station string    `json:"station"`
	Code    string    `json:"code"`
	Name    string    `json:"name"`
	Mark    string    `json:"occurrence"`
	At      time.Time `json:"at"`
}

// Window is a maintenance of stations. Their troubles don't count meanwhile.
type Window struct {
	Stations string    `json:"stations"` // a pattern of names or uuids, such as "Line 2*"
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Why      string    `json:"why"`
}

const (
	mostBook    = 4 << 20
	bookHint    = "correct it or move it away"
	longestWork = 31 * 24 * time.Hour
)

// OpenBook reads a book; there need not be one yet.
func OpenBook(file string) (*Book, error) {
	b := &Book{file: file}
	return b, b.Refresh()
}

// Refresh reads the file again if it is another one.
func (b *Book) Refresh() error {
	if b.file == "" {
		return nil
	}
	info, err := os.Stat(b.file)
	if errors.Is(err, fs.ErrNotExist) {
		b.stamp, b.notes = nil, notes{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read notes: %w", err)
	}
	if b.stamp != nil && os.SameFile(info, b.stamp) && info.ModTime().Equal(b.stamp.ModTime()) && info.Size() == b.stamp.Size() {
		return nil
	}
	if info.Size() > mostBook {
		return fmt.Errorf("read notes %s: longer than %d bytes: %s", b.file, mostBook, bookHint)
	}
	data, err := os.ReadFile(b.file)
	if err != nil {
		return fmt.Errorf("read notes: %w", err)
	}
	var n notes
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("read notes %s: %w: %s", b.file, err, bookHint)
	}
	b.stamp, b.notes = info, n
	return nil
}

// write replaces the file.
func (b *Book) write() error {
	if b.file == "" {
		return nil
	}
	data, err := json.MarshalIndent(b.notes, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(b.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write notes: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(b.file)+"-*")
	if err != nil {
		return fmt.Errorf("write notes: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), b.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write notes: %w", err)
	}
	b.stamp, err = os.Stat(b.file)
	return err
}

// Acknowledge notes that somebody knows the open troubles of rows, and all those with a code if it isn't "".
func (b *Book) Acknowledge(rows []Row, code string, now time.Time) (n int, err error) {
	if err := b.Refresh(); err != nil {
		return 0, err
	}
	for _, r := range rows {
		for _, t := range r.Open() {
			if code != "" && t.Code != code || b.acknowledged(r.Station, t) {
				continue
			}
			b.notes.Acknowledged = append(b.notes.Acknowledged, ack{r.Station, t.Code, t.Name, t.mark, now.UTC()})
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	return n, b.write()
}

func (b *Book) acknowledged(station string, t Trouble) bool {
	return slices.ContainsFunc(b.notes.Acknowledged, func(a ack) bool {
		return a.Station == station && a.Code == t.Code && a.Name == t.Name && a.Mark == t.mark
	})
}

// Settle forgets what was acknowledged and has cleared, and maintenance that is over. Call it once all retained messages came.
func (b *Book) Settle(rows []Row, now time.Time) error {
	if len(b.notes.Acknowledged)+len(b.notes.Maintenance) == 0 {
		return nil
	}
	if err := b.Refresh(); err != nil {
		return err
	}
	stands, known := map[ack]bool{}, map[string]bool{}
	for _, r := range rows {
		known[r.Station] = true
		for _, t := range r.Troubles {
			stands[ack{Station: r.Station, Code: t.Code, Name: t.Name, Mark: t.mark}] = true
		}
	}
	before := len(b.notes.Acknowledged) + len(b.notes.Maintenance)
	b.notes.Acknowledged = slices.DeleteFunc(b.notes.Acknowledged, func(a ack) bool {
		a.At = time.Time{}
		return known[a.Station] && !stands[a]
	})
	b.notes.Maintenance = slices.DeleteFunc(b.notes.Maintenance, func(w Window) bool { return now.After(w.To) })
	if before == len(b.notes.Acknowledged)+len(b.notes.Maintenance) {
		return nil
	}
	return b.write()
}

// Maintain notes a maintenance.
func (b *Book) Maintain(w Window) error {
	if err := w.check(); err != nil {
		return err
	}
	if err := b.Refresh(); err != nil {
		return err
	}
	w.From, w.To = w.From.UTC(), w.To.UTC()
	b.notes.Maintenance = append(b.notes.Maintenance, w)
	return b.write()
}

func (w Window) check() error {
	if _, err := path.Match(w.Stations, ""); err != nil || strings.TrimSpace(w.Stations) == "" {
		return fmt.Errorf("%q is no pattern of stations, such as \"Line 2*\" or a uuid", w.Stations)
	}
	if d := w.To.Sub(w.From); d <= 0 || d > longestWork {
		return fmt.Errorf("a maintenance of %s: it lasts up to 31 days", d)
	}
	return nil
}

// maintained tells why a station is under maintenance; nil if it isn't.
func (b *Book) maintained(station, name string, now time.Time) *string {
	for _, w := range b.notes.Maintenance {
		if !now.Before(w.From) && now.Before(w.To) && Matches(w.Stations, station, name) {
			why := clean(w.Why, textLength)
			return &why
		}
	}
	return nil
}

// Matches tells whether a pattern means a station: its uuid or its name, whatever its case. * stands for anything, ? for one
// character, [a-c] for one of these. A slash in a name is one character like others.
func Matches(pattern, station, name string) bool {
	flat := strings.NewReplacer("/", "\x00")
	for _, s := range []string{station, name} {
		if ok, _ := path.Match(flat.Replace(strings.ToLower(pattern)), flat.Replace(strings.ToLower(s))); ok {
			return true
		}
	}
	return false
}
