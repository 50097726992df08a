package store

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"station-agent/store/record"
)

// Records are packed in columns, so that like lies beside like when zstd sees them:
//
//	count | databases | collections | ops | ids | times | versions | keys | scans | payloads
//
// Numbers are varints, signed ones in zigzag. A text is a length and its bytes; in a column of texts that often repeat, 0
// stands for "as the one before" and the length is one more. A key is the number of bytes that it shares with the one
// before, and the rest. An id of 32 hexadecimal digits is 16 bytes. Times are seconds since the one before, and nanoseconds;
// a version that is a number is kept as its distance from the time in microseconds. In a payload, its own id and the SHA-256
// of a payload are shortened, see shorten.

// stored is a record as it lies in the log.
type stored struct {
	record.Record
	Scan uint64 // journal sequence of the scan that led to it, 0 if none is known
}

// packer appends fields to b.
type packer struct {
	b     []byte
	short []byte // what was shortened last
}

func (p *packer) uint(v uint64) { p.b = binary.AppendUvarint(p.b, v) }
func (p *packer) int(v int64)   { p.b = binary.AppendVarint(p.b, v) }

func (p *packer) text(s []byte) {
	p.uint(uint64(len(s)))
	p.b = append(p.b, s...)
}

// payload writes a record's payload, shortened.
func (p *packer) payload(s []byte, id string) {
	if len(id) < leastID || hasMark(s) || hasMark([]byte(id)) {
		p.text(shorten(s, mark{id: id}))
		return
	}
	p.short = appendSubstituted(p.short[:0], s, id, idMark)
	p.text(p.short)
}

// like writes s, or that it is as last, which it becomes.
func (p *packer) like(last *string, s string) {
	if s == *last {
		p.uint(0)
		return
	}
	*last = s
	p.uint(uint64(len(s)) + 1)
	p.b = append(p.b, s...)
}

// unpacker takes fields off b. The first fault stays and makes all that follows zero.
type unpacker struct {
	b   []byte
	err error
}

func (u *unpacker) fail() {
	if u.err == nil {
		u.err = fmt.Errorf("%w: a value is cut off", ErrDamaged)
	}
	u.b = nil
}

func (u *unpacker) uint() uint64 {
	v, n := binary.Uvarint(u.b)
	if n <= 0 {
		u.fail()
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int64 {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.fail()
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) take(n uint64) []byte {
	if n > uint64(len(u.b)) {
		u.fail()
		return nil
	}
	s := u.b[:n:n]
	u.b = u.b[n:]
	return s
}

func (u *unpacker) text() []byte { return u.take(u.uint()) }

func (u *unpacker) like(last *string) string {
	if n := u.uint(); n > 0 {
		*last = string(u.take(n - 1))
	}
	return *last
}

// count reads how many of something follow; each takes a byte at least.
func (u *unpacker) count() int {
	n := u.uint()
	if n > uint64(len(u.b)) {
		u.fail()
		return 0
	}
	return int(n)
}

// packRecords appends records to dst.
func packRecords(dst []byte, records []stored) []byte {
	p := &packer{b: slices.Grow(dst, 512*len(records)+16)}
	p.uint(uint64(len(records)))
	for _, of := range []func(*stored) string{
		func(r *stored) string { return r.Database },
		func(r *stored) string { return r.Collection },
		func(r *stored) string { return string(r.Op) },
	} {
		last := ""
		for i := range records {
			p.like(&last, of(&records[i]))
		}
	}
	for i := range records {
		p.id(records[i].ID)
	}
	p.times(records)
	last := ""
	for i := range records {
		p.key(&last, records[i].Key)
	}
	for i := range records {
		p.uint(records[i].Scan)
	}
	for i := range records {
		p.payload(records[i].Payload, records[i].ID)
	}
	return p.b
}

// id writes 0 and 16 bytes for 32 hexadecimal digits, else the length, one more, and the text.
func (p *packer) id(id string) {
	if isDigest(id) {
		p.uint(0)
		p.b, _ = hex.AppendDecode(p.b, []byte(id)) // can't fail: it was looked at
		return
	}
	p.uint(uint64(len(id)) + 1)
	p.b = append(p.b, id...)
}

// isDigest tells whether id is 32 hexadecimal digits in small letters.
func isDigest(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(id) == 32
}

func (u *unpacker) id() string {
	if n := u.uint(); n > 0 {
		return string(u.take(n - 1))
	}
	return hex.EncodeToString(u.take(16))
}

// times writes the times, then the versions beside them.
func (p *packer) times(records []stored) {
	var last int64
	for i := range records {
		at := records[i].At
		p.int(at.Unix() - last)
		p.uint(uint64(at.Nanosecond()))
		last = at.Unix()
	}
	var text [20]byte // the longest number
	for i := range records {
		r := &records[i]
		v, err := strconv.ParseInt(r.Version, 10, 64)
		if err == nil && v != math.MinInt64 && string(strconv.AppendInt(text[:0], v, 10)) == r.Version {
			p.uint(0)
			p.int(v - r.At.UnixMicro()) // may wrap around; so does its sum
			continue
		}
		p.uint(uint64(len(r.Version)) + 1)
		p.b = append(p.b, r.Version...)
	}
}

func (u *unpacker) times(records []stored) {
	var last int64
	for i := range records {
		last += u.int()
		records[i].At = time.Unix(last, int64(u.uint()%1e9)).UTC()
	}
	for i := range records {
		r := &records[i]
		if n := u.uint(); n > 0 {
			r.Version = string(u.take(n - 1))
			continue
		}
		r.Version = strconv.FormatInt(r.At.UnixMicro()+u.int(), 10)
	}
}

func (p *packer) key(last *string, key string) {
	n := 0
	for n < len(key) && n < len(*last) && key[n] == (*last)[n] {
		n++
	}
	p.uint(uint64(n))
	p.uint(uint64(len(key) - n))
	p.b = append(p.b, key[n:]...)
	*last = key
}

func (u *unpacker) key(last *string) string {
	n := u.uint()
	if n > uint64(len(*last)) {
		u.fail()
		return ""
	}
	*last = (*last)[:n] + string(u.text())
	return *last
}

func unpackRecords(b []byte) ([]stored, error) {
	u := &unpacker{b: b}
	records := make([]stored, u.count())
	for _, into := range []func(*stored, string){
		func(r *stored, s string) { r.Database = s },
		func(r *stored, s string) { r.Collection = s },
		func(r *stored, s string) { r.Op = record.Op(s) },
	} {
		last := ""
		for i := range records {
			into(&records[i], u.like(&last))
		}
	}
	for i := range records {
		records[i].ID = u.id()
	}
	u.times(records)
	last := ""
	for i := range records {
		records[i].Key = u.key(&last)
	}
	for i := range records {
		records[i].Scan = u.uint()
	}
	for i := range records {
		records[i].Payload = expand(u.text(), mark{id: records[i].ID})
	}
	if u.err == nil && len(u.b) > 0 {
		u.fail()
	}
	return records, u.err
}
