package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"station-agent/store/record"
)

// Format 1 kept all of the records in one bbolt file, records.db, with a key for each:
//
//	meta      version, id, session, position, snapshot   JSON
//	outbox    seq u64          -> {put, record} | payload
//	refused   seq              -> {record, refusal, time} | payload
//	ledger    seq              -> {record, receipt, since, state} | payload | answer
//	evidence  time u64, seq    -> {record, receipt, since, time} | payload | answer
//	shadow    collection 0 id  -> row | payload
//	picture   "rows"           -> rows
//
// A value is crc u32 | parts, each part a uvarint length and bytes; the first is JSON. It is read once: what it holds goes
// into a log, and then it goes.
const oldFile = "records.db"

type migration struct {
	d    *DB
	tx   *bolt.Tx
	lost int // values that can't be read
}

// migrate makes a log of a store of format 1. A crash on the way leaves the old file, and all is begun anew.
func (d *DB) migrate() error {
	path := filepath.Join(d.cfg.dir, oldFile)
	if !exists(path) {
		return nil
	}
	if err := d.startAnew(); err != nil {
		return err
	}
	if err := d.cfg.probe(path); errors.Is(err, ErrDamaged) {
		return d.abandon(path, err)
	} else if err != nil {
		return err
	}
	err := guard(func() error {
		b, err := openBolt(path, os.O_RDONLY)
		if err != nil {
			return explain(err)
		}
		defer b.Close() // it was only read
		return b.View(func(tx *bolt.Tx) error { return (&migration{d: d, tx: tx}).run() })
	})
	d.log.close()
	d.log.files, d.log.sum, d.state = nil, 0, state{}
	if err != nil {
		return fmt.Errorf("take over %s: %w", path, err)
	}
	return errors.Join(os.Remove(path), syncFolder(openFile, d.cfg.dir))
}

// abandon sets a file of format 1 aside that has a bad page: what it held is lost, the rows are read anew.
func (d *DB) abandon(path string, why error) error {
	d.cfg.tell(Loss{File: path + damagedSuffix, Count: -1, What: fmt.Sprintf("the records of an older program can't be read (%v): "+
		"what was not sent yet is lost, the rows are read anew", why)})
	return errors.Join(os.Rename(path, path+damagedSuffix), syncFolder(openFile, d.cfg.dir))
}

// startAnew removes what an interrupted migration made.
func (d *DB) startAnew() error {
	firsts, err := listRecords(d.log.dir)
	for _, p := range firsts {
		err = errors.Join(err, os.Remove(d.log.path(p)))
	}
	if rows := filepath.Join(d.cfg.dir, rowsName); exists(rows) {
		err = errors.Join(err, os.Remove(rows))
	}
	return err
}

func (m *migration) run() error {
	d := m.d
	first := &commit{At: d.cfg.now(), Position: &record.Position{}, Snapshot: new(string)}
	var owner string
	if err := errors.Join(m.meta("id", &owner), m.meta("session", &first.Session), m.meta("position", first.Position), m.meta("snapshot", first.Snapshot)); err != nil {
		return err
	}
	if owner != d.cfg.id {
		return fmt.Errorf("%w: it belongs to store %s, this one is %s: put the right file back", ErrForeign, owner, d.cfg.id)
	}
	d.state.Next = 1
	if err := m.append(first); err != nil {
		return err
	}
	for _, bucket := range []string{"evidence", "ledger", "refused", "outbox"} {
		if err := m.take(bucket); err != nil {
			return err
		}
	}
	if m.lost > 0 {
		missed := fmt.Sprintf("%d values of %s could not be read", m.lost, oldFile)
		d.cfg.tell(Loss{File: filepath.Join(d.cfg.dir, oldFile), Count: m.lost, What: missed + ": the rows are compared with the database"})
		if err := m.append(&commit{At: first.At, Missed: &missed}); err != nil {
			return err
		}
	}
	return m.rows()
}

func (m *migration) meta(name string, into any) error {
	b := m.tx.Bucket([]byte(metaBucket))
	if b == nil {
		return fmt.Errorf("%w: it holds nothing of ours", ErrDamaged)
	}
	v := b.Get([]byte(name))
	if v == nil {
		return nil
	}
	return json.Unmarshal(v, into)
}

func (m *migration) append(c *commit) error {
	d := m.d
	c.number, c.first, c.count = d.state.Number+1, d.state.Next, uint32(len(c.records))
	c.QueueBytes = d.state.QueueBytes
	if len(c.accepted)+len(c.refused) == 0 {
		for _, r := range c.records {
			c.QueueBytes += int64(len(r.Payload))
		}
	}
	value, err := d.log.encode(c, func() *state { return d.after(c) })
	if err == nil {
		err = d.log.append(c, value)
	}
	if err == nil {
		d.state.apply(c)
	}
	return err
}

// take takes one bucket of records over, a group at a time, and with each what became of it.
func (m *migration) take(bucket string) error {
	group, after := &commit{At: m.d.cfg.now()}, &commit{At: m.d.cfg.now()}
	flush := func() error {
		if len(group.records) == 0 {
			return nil
		}
		err := m.append(group)
		if err == nil && !after.empty() {
			for _, r := range group.records {
				m.d.state.QueueBytes -= int64(len(r.Payload))
			}
			err = m.append(after)
		}
		group, after = &commit{At: group.At}, &commit{At: group.At}
		return err
	}
	err := m.tx.Bucket([]byte(bucket)).ForEach(func(_, v []byte) error {
		seq := m.d.state.Next + uint64(len(group.records))
		if err := readOld(bucket, seq, v, group, after); err != nil {
			m.lost++
			return nil
		}
		if len(group.records) < 500 {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", bucket, err)
	}
	return nil
}

// readOld reads one value of format 1 into the group that takes it in and the commit that says what became of it.
func readOld(bucket string, seq uint64, v []byte, group, after *commit) error {
	var old struct {
		record.Record
		Nested  *record.Record   `json:"record"`
		Receipt *record.Receipt  `json:"receipt"`
		State   record.Anchoring `json:"state"`
		Refusal string           `json:"refusal"`
	}
	raw, err := unpackOld(v, &old)
	if err != nil {
		return err
	}
	r := old.Record
	if old.Nested != nil {
		r = *old.Nested
	}
	r.Payload = raw[0]
	group.records = append(group.records, stored{Record: r})
	if bucket == "refused" {
		after.refused = append(after.refused, refusal{seq, old.Refusal, int64(len(r.Payload))})
	}
	if old.Receipt == nil {
		return nil
	}
	m := markOf(&r)
	answers := m.with(old.Receipt.Hash)
	old.Receipt.Hash = string(shorten([]byte(old.Receipt.Hash), m))
	after.accepted = append(after.accepted, acceptance{seq, *old.Receipt})
	if bucket == "evidence" {
		old.State = record.Anchored
	}
	if old.State != "" && old.State != record.Pending {
		after.looked = append(after.looked, look{seq, old.State, shorten(raw[1], answers)})
	}
	return nil
}

func (m *migration) rows() error {
	d := m.d
	path := filepath.Join(d.cfg.dir, rowsName)
	if err := createRows(path, d.cfg.id, d.state.Number); err != nil {
		return err
	}
	f, _, err := openRowsFile(path, d.cfg.id, d.log.codec)
	if err != nil {
		return err
	}
	defer f.close()
	var rows []record.ShadowRow
	err = m.tx.Bucket([]byte(shadowBucket)).ForEach(func(k, v []byte) error {
		var r record.ShadowRow
		raw, err := unpackOld(v, &r)
		if err != nil {
			return nil // as if it had not been seen yet
		}
		if _, _, ok := bytes.Cut(k, []byte{0}); !ok {
			return fmt.Errorf("%w: a row has no name", ErrDamaged)
		}
		r.Payload = raw[0]
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return err
	}
	if err := f.putShadow(rows, d.state.Number); err != nil {
		return err
	}
	return m.picture(f)
}

func (m *migration) picture(f *rowsFile) error {
	v := m.tx.Bucket([]byte(pictureBucket)).Get([]byte("rows"))
	var p Picture
	if v == nil {
		return nil
	}
	if _, err := unpackOld(v, &p); err != nil {
		return nil // the bench starts without; the next picture is right
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return f.putPicture(b)
}

// unpackOld reads a value of format 1.
func unpackOld(v []byte, head any) (raw [3][]byte, err error) {
	if len(v) < 4 || binary.LittleEndian.Uint32(v) != checksum(v[4:]) {
		return raw, fmt.Errorf("%w: the checksum of a value is wrong", ErrDamaged)
	}
	u := &unpacker{b: v[4:]}
	b := u.text()
	for i := range raw {
		if len(u.b) > 0 {
			raw[i] = bytes.Clone(u.text())
		}
	}
	if u.err != nil {
		return raw, u.err
	}
	if err := json.Unmarshal(b, head); err != nil {
		return raw, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return raw, nil
}
