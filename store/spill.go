package store

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"station-agent/store/record"
)

// Dead letters wait for a person, who may be long in coming: a wrong grant at Certyo can refuse thousands. They are bounded by
// number and by the bytes of their payloads. What exceeds goes, those that were refused longest ago first: into a file of the
// export folder if there is one, else it is dropped, counted, and told until a person acknowledges it. While the folder can't be
// written twice as many are kept.

// limitLetters lets go of what exceeds the bounds.
func (d *DB) limitLetters() error {
	over := d.lettersOver(1)
	if len(over) == 0 {
		d.noteExport(nil)
		return nil
	}
	if d.cfg.exportDir == "" {
		return d.spill(over, false)
	}
	err := d.exportLetters(over)
	d.noteExport(err)
	switch {
	case err == nil:
		return d.spill(over, true)
	case record.ClassOf(err) == record.StopHere:
		return err
	}
	return d.spill(d.lettersOver(2), false)
}

// noteExport keeps why dead letters could not be exported, for Stats.
func (d *DB) noteExport(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letterErr = err
}

// lettersOver gives the oldest dead letters that are more than so many times what is kept.
func (d *DB) lettersOver(times int) (over []letter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.state.Refused
	number, bytes := len(list), lettersBytes(list)
	n := 0
	for ; number > times*d.cfg.maxRefused || number > 0 && bytes > int64(times)*d.cfg.refusedBytes; n++ {
		number, bytes = number-1, bytes-list[n].Bytes
	}
	return append(over, list[:n]...)
}

// spill drops dead letters for want of room, those that nobody has retried or dropped meanwhile, and counts them.
func (d *DB) spill(over []letter, exported bool) error {
	if len(over) == 0 {
		return nil
	}
	return d.commit(func(c *commit) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		var gone []span
		for _, sp := range spans(over, func(l *letter) uint64 { return l.Seq }) {
			gone = append(gone, d.state.Runs.within(sp, func(a standing) bool { return a == declined })...)
		}
		c.Dropped = append(c.Dropped, gone...)
		if exported {
			c.SpillsExported = d.state.SpillsExported + length(gone)
		} else {
			c.Spilled = d.state.Spilled + length(gone)
		}
		return nil
	})
}

// letterLine is a dead letter in an exported file. `station-agent outbox export` writes the same.
type letterLine struct {
	Seq        uint64    `json:"seq"`
	Database   string    `json:"database"`
	Collection string    `json:"collection"`
	ID         string    `json:"id"`
	Version    string    `json:"version"`
	Op         record.Op `json:"op"`
	At         time.Time `json:"at"`
	Key        string    `json:"key"`
	Bytes      int       `json:"bytes"`
	Refusal    string    `json:"refusal"`
	Tries      int       `json:"tries"`
	FirstAt    time.Time `json:"first_refused_at"`
	RefusedAt  time.Time `json:"refused_at"`
	Payload    []byte    `json:"payload"` // to the byte, and so in base64
}

// exportLetters writes dead letters into a file of the export folder, one JSON object a line, gzipped. What is there already
// under that name is replaced: a crash before they are dropped writes them once more.
func (d *DB) exportLetters(list []letter) error {
	first, last := list[0], list[len(list)-1]
	path := filepath.Join(d.cfg.exportDir, fmt.Sprintf("refused-%s-%s-%016x-%016x.ndjson.gz", d.cfg.id, first.At.Wall.UTC().Format("20060102T150405Z"), first.Seq, last.Seq))
	now := d.cfg.now()
	err := putFile(path, func(w io.Writer) error {
		zip := gzip.NewWriter(w)
		enc := json.NewEncoder(zip)
		enc.SetEscapeHTML(false)
		for _, l := range list {
			r, err := d.record(l.Seq)
			if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
				continue // it goes, and its file says what reads
			}
			if err != nil {
				return err
			}
			if err := enc.Encode(letterLine{l.Seq, r.Database, r.Collection, r.ID, r.Version, r.Op, r.At, r.Key, len(r.Payload),
				l.Text, l.tries(), sometime(now, l.first()), sometime(now, l.At), r.Payload}); err != nil {
				return err
			}
		}
		return zip.Close()
	})
	if err != nil {
		return fmt.Errorf("export dead letters to %s: %w: make the folder of store.export_folder writable", path, err)
	}
	return nil
}
