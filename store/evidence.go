package store

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"station-agent/store/record"
)

// errEnough ends a walk that has seen what it wants.
var errEnough = errors.New("enough")

// receiptAt is a receipt whose record is not anchored yet.
type receiptAt struct {
	record.Receipt
	since record.Stamp
}

// Evidence gives f all that is kept, in the order of anchoring, until f returns an error.
func (d *DB) Evidence(f func(Evidence) error) error {
	if err := d.Flush(); err != nil {
		return err
	}
	err := d.evidence(0, func(uint64) bool { return true }, f)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// evidence joins records, receipts and looks of the wanted records, as they follow one another from a commit on.
func (d *DB) evidence(from uint64, wanted func(seq uint64) bool, f func(Evidence) error) error {
	receipts := map[uint64]receiptAt{}
	clock := clocks{}
	return d.log.each(from, false, func(c *commit) error {
		clock.note(c.At)
		for _, a := range c.accepted {
			if wanted(a.seq) {
				receipts[a.seq] = receiptAt{a.receipt, c.At}
			}
		}
		for _, l := range c.looked {
			r, ok := receipts[l.seq]
			if !ok || !l.state.Ends() {
				continue
			}
			delete(receipts, l.seq)
			e, err := d.prove(l, r)
			if errors.Is(err, ErrDamaged) && record.ClassOf(err) != record.StopHere {
				continue // it is lost, and was counted or will be
			}
			if err != nil {
				return err
			}
			e.Since, e.At = clock.date(r.since).Wall, clock.date(c.At).Wall
			if err := f(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *DB) prove(l look, r receiptAt) (Evidence, error) {
	s, err := d.record(l.seq)
	if err != nil {
		return Evidence{}, fmt.Errorf("read evidence of record %d: %w", l.seq, err)
	}
	m := markOf(&s.Record)
	r.Hash = string(expand([]byte(r.Hash), m))
	e := Evidence{Seq: l.seq, Record: s.Record, Receipt: r.Receipt, State: l.state, Scan: s.Scan}
	if len(l.answer) > 0 { // else nobody asked
		e.Answer = expand(l.answer, m.with(r.Hash))
	}
	return e, nil
}

// exportEvidence writes the evidence of the records in one file of the log, the one before next, into a file of the export
// folder, one JSON object a line, gzipped. What is there already under that name is replaced.
func (d *DB) exportEvidence(f *recordFile, next place) error {
	name := fmt.Sprintf("evidence-%s-%016x-%016x.ndjson.gz", d.cfg.id, f.first.First, next.First)
	path := filepath.Join(d.cfg.exportDir, name)
	scans, err := d.scansOf(f.first, next)
	if err != nil {
		return fmt.Errorf("export evidence to %s: %w", path, err)
	}
	err = putFile(path, func(w io.Writer) error {
		zip := gzip.NewWriter(w)
		enc := json.NewEncoder(zip)
		enc.SetEscapeHTML(false)
		err := d.someEvidence(f.first, next, func(e Evidence) error {
			e.Read = scans[e.Scan]
			return enc.Encode(e)
		})
		return errors.Join(err, zip.Close())
	})
	if err != nil {
		return fmt.Errorf("export evidence to %s: %w: make the folder of store.export_folder writable", path, err)
	}
	return d.commit(func(c *commit) error {
		c.Exported = next.First
		return nil
	})
}

// someEvidence gives f the evidence of the records that lie in commits from first to next, those that came in there and those
// that were carried there. It reads on until it has that of all.
func (d *DB) someEvidence(first, next place, f func(Evidence) error) error {
	in := []span{{first.First, next.First - 1}}
	d.mu.Lock()
	for _, m := range d.state.Carried {
		if m.In.Number >= first.Number && m.In.Number < next.Number {
			in = append(in, m.span)
		}
	}
	d.mu.Unlock()
	left := length(in)
	wanted := func(seq uint64) bool {
		return slices.ContainsFunc(in, func(s span) bool { return s.First <= seq && seq <= s.Last })
	}
	err := d.evidence(first.Number, wanted, func(e Evidence) error {
		err := f(e)
		if left--; left == 0 && err == nil {
			return errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// scansOf gives the journal's entries of the scans that led to the records in these commits, as far as they are kept.
func (d *DB) scansOf(first, next place) (map[uint64]*record.Entry, error) {
	scans := map[uint64]*record.Entry{}
	err := d.someEvidence(first, next, func(e Evidence) error {
		if e.Scan > 0 {
			scans[e.Scan] = nil
		}
		return nil
	})
	if err != nil || len(scans) == 0 || d.scans == nil {
		return nil, err
	}
	return scans, d.scans(scans)
}

// putFile puts a large file in place, whole or not at all.
func putFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	err = write(w)
	if err := errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		os.Remove(path + temporary)
		return err
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(path))
}
