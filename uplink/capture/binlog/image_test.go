package binlog

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// imageTypes are types that both the library and image decode, with meta words, and the columns that they may be of.
var imageTypes = []struct {
	name string
	typ  byte
	meta []uint16
	as   capture.Column
	fits func(b []byte) // makes random bytes ones that a server could have written
}{
	{"TINY", mysql.MYSQL_TYPE_TINY, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 1}, nil},
	{"SHORT", mysql.MYSQL_TYPE_SHORT, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 2}, nil},
	{"INT24", mysql.MYSQL_TYPE_INT24, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 3}, nil},
	{"LONG", mysql.MYSQL_TYPE_LONG, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 4}, nil},
	{"LONGLONG", mysql.MYSQL_TYPE_LONGLONG, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 8}, nil},
	{"LONG UNSIGNED", mysql.MYSQL_TYPE_LONG, []uint16{0}, capture.Column{Kind: capture.Integer, Size: 4, Unsigned: true}, nil},
	{"LONGLONG UNSIGNED", mysql.MYSQL_TYPE_LONGLONG, []uint16{0}, capture.Column{Kind: capture.Big, Size: 8}, nil},
	{"FLOAT", mysql.MYSQL_TYPE_FLOAT, []uint16{4}, capture.Column{Kind: capture.Float}, nil},
	{"DOUBLE", mysql.MYSQL_TYPE_DOUBLE, []uint16{8}, capture.Column{Kind: capture.Double}, nil},
	{"DECIMAL", mysql.MYSQL_TYPE_NEWDECIMAL, []uint16{10<<8 | 2, 65<<8 | 30, 5<<8 | 5, 1 << 8, 18<<8 | 9, 20 << 8}, capture.Column{Kind: capture.Decimal}, nil},
	{"BIT", mysql.MYSQL_TYPE_BIT, []uint16{1, 7, 1 << 8, 1<<8 | 3, 8 << 8}, capture.Column{Kind: capture.Big}, nil},
	{"YEAR", mysql.MYSQL_TYPE_YEAR, []uint16{0}, capture.Column{Kind: capture.Year}, nil},
	{"DATE", mysql.MYSQL_TYPE_DATE, []uint16{0}, capture.Column{Kind: capture.Date}, func(b []byte) { b[2] %= 0x4e }},
	{"TIMESTAMP", mysql.MYSQL_TYPE_TIMESTAMP, []uint16{0}, capture.Column{Kind: capture.Timestamp}, nil},
	{"TIMESTAMP2", mysql.MYSQL_TYPE_TIMESTAMP2, []uint16{0, 1, 2, 3, 4, 5, 6}, capture.Column{Kind: capture.Timestamp}, nil},
	{"DATETIME2", mysql.MYSQL_TYPE_DATETIME2, []uint16{0, 1, 2, 3, 4, 5, 6}, capture.Column{Kind: capture.Datetime}, func(b []byte) { b[0] = 0x80 + b[0]%0x7e }},
	{"TIME2", mysql.MYSQL_TYPE_TIME2, []uint16{0, 1, 2, 3, 4, 5, 6}, capture.Column{Kind: capture.Time}, nil},
	{"VARCHAR", mysql.MYSQL_TYPE_VARCHAR, []uint16{200, 1000}, capture.Column{Kind: capture.Text}, nil},
	{"CHAR", mysql.MYSQL_TYPE_STRING, []uint16{0xfe<<8 | 200, 0xee<<8 | 10}, capture.Column{Kind: capture.Text}, nil},
	{"BLOB", mysql.MYSQL_TYPE_BLOB, []uint16{1, 2, 3, 4}, capture.Column{Kind: capture.Bytes}, nil},
	{"ENUM", mysql.MYSQL_TYPE_STRING, []uint16{0xf7<<8 | 1}, capture.Column{Kind: capture.Enum, Labels: make([]string, 255)}, nil},
	{"SET", mysql.MYSQL_TYPE_STRING, []uint16{0xf8<<8 | 1}, capture.Column{Kind: capture.Set, Labels: []string{"a", "b", "c", "d", "e", "f", "g", "h"}}, nil},
}

// Whatever bytes stand in an image, it reads the same values out of them as the library, and takes as many of them.
func TestImageReadsWhatTheLibraryReads(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, c := range imageTypes {
		for _, meta := range c.meta {
			for range 3000 {
				value := randomValue(r, c.typ, meta)
				if c.fits != nil {
					c.fits(value)
				}
				sameAsLibrary(t, c.name, c.typ, meta, c.as, value)
			}
		}
	}
}

// randomValue makes the bytes of one value: often zeros, ones or the ends of the range.
func randomValue(r *rand.Rand, typ byte, meta uint16) []byte {
	if typ == mysql.MYSQL_TYPE_NEWDECIMAL {
		return randomDecimal(r, meta)
	}
	size, prefix := 0, 0
	switch {
	case typ == mysql.MYSQL_TYPE_BLOB:
		prefix = int(meta)
	case typ == mysql.MYSQL_TYPE_VARCHAR:
		prefix = lengthOf(int(meta))
	case realType(typ, meta) == mysql.MYSQL_TYPE_STRING:
		prefix = lengthOf(longest(meta))
	default:
		size = width(nil, typ, meta)
	}
	if prefix > 0 {
		b := make([]byte, 8, 8+40)
		n := r.IntN(40)
		binary.LittleEndian.PutUint64(b, uint64(n))
		b = b[:prefix]
		for range n {
			b = append(b, "aä\"\\\x00\xff/z"[r.IntN(9)])
		}
		return b
	}
	b := make([]byte, size)
	switch r.IntN(4) {
	case 0:
		for i := range b {
			b[i] = []byte{0, 0x7f, 0x80, 0xff}[r.IntN(4)]
		}
	case 1: // a zero, or next to it
		if b[0] = 0x80; r.IntN(2) == 0 {
			b[size-1]++
		}
	default:
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	if typ == mysql.MYSQL_TYPE_TIMESTAMP2 || typ == mysql.MYSQL_TYPE_DATETIME2 || typ == mysql.MYSQL_TYPE_TIME2 {
		randomFraction(r, b, int(meta+1)/2, typ == mysql.MYSQL_TYPE_TIME2)
	}
	return b
}

// randomFraction makes the last n bytes a number of hundredths, ten-thousandths or millionths; a signed value below zero is
// kept in two's complement.
func randomFraction(r *rand.Rand, b []byte, n int, signed bool) {
	most := []int{1, 100, 10_000, 1_000_000}[n]
	fraction := binary.BigEndian.AppendUint64(nil, uint64(r.IntN(2)*r.IntN(most)))
	copy(b[len(b)-n:], fraction[8-n:])
	if signed {
		b[0] = 0x80 + b[0]%0x34 // up to 839 hours
	}
	if signed && r.IntN(2) == 0 {
		half := uint64(1) << (8*len(b) - 1)
		negative := binary.BigEndian.AppendUint64(nil, half-(big(b)-half))
		copy(b, negative[8-len(b):])
	}
}

// randomDecimal makes one whose groups hold no more digits than they can.
func randomDecimal(r *rand.Rand, meta uint16) (b []byte) {
	whole, scale := int(meta>>8)-int(meta&0xff), int(meta&0xff)
	groups := []int{whole % 9}
	for range whole/9 + scale/9 {
		groups = append(groups, 9)
	}
	for _, digits := range append(groups, scale%9) {
		var v uint64
		for range digits {
			v = 10*v + uint64(r.IntN(3)*r.IntN(5)) // often zero
		}
		b = append(b, binary.BigEndian.AppendUint64(nil, v)[8-groupBytes[digits]:]...)
	}
	flip := byte(r.IntN(2) * 0xff)
	for i := range b {
		b[i] ^= flip
	}
	b[0] ^= 0x80
	return b
}

func sameAsLibrary(t *testing.T, name string, typ byte, meta uint16, as capture.Column, value []byte) {
	t.Helper()
	m := &replication.TableMapEvent{ColumnCount: 1, ColumnType: []byte{typ}, ColumnMeta: []uint16{meta}}
	if k := realType(typ, meta); k == mysql.MYSQL_TYPE_TIMESTAMP2 || k == mysql.MYSQL_TYPE_DATETIME2 || k == mysql.MYSQL_TYPE_TIME2 {
		as.Fraction = int(meta)
	}
	event := append([]byte{0}, value...)
	theirs := &replication.RowsEvent{ColumnCount: 1, ColumnBitmap1: []byte{1}, Table: m}
	err := (&rowsEvent{library: theirs, rows: event}).libraryRows()
	if err != nil || len(theirs.Rows) != 1 {
		return // no value, or not just one: nobody writes that
	}
	var ours image
	if n := ours.decode(event, m, []byte{1}); n != len(event) {
		t.Fatalf("%s(%#x) %x: %d bytes were read", name, meta, value, n)
	}
	if n := skip(event, m, []byte{1}); n != len(event) {
		t.Fatalf("%s(%#x) %x: %d bytes were skipped", name, meta, value, n)
	}
	want, wantErr := as.Append(nil, theirs.Rows[0][0])
	got, gotErr := as.Append(nil, ours.row[0])
	if string(got) != string(want) || (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%s(%#x) %x: got %s %v, the library %s %v", name, meta, value, got, gotErr, want, wantErr)
	}
}

// FuzzRows holds that no bytes make reading or counting the rows of an event panic, hang or read beyond them.
func FuzzRows(f *testing.F) {
	f.Add(byte(replication.WRITE_ROWS_EVENTv1), []byte{mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_VARCHAR}, []byte{0, 0, 40, 0},
		[]byte{0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 0, 1, 0, 0, 0, 1, 'x'})
	f.Add(byte(replication.UPDATE_ROWS_EVENTv2), []byte{mysql.MYSQL_TYPE_NEWDECIMAL, mysql.MYSQL_TYPE_TIME2}, []byte{2, 5, 2, 0},
		[]byte{0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 3, 3, 0, 0x80, 0x80, 0, 0, 0, 5, 0, 0x80, 0x80, 0, 0, 0, 6})
	f.Fuzz(func(t *testing.T, typ byte, types, metas, body []byte) {
		n := min(len(types), len(metas)/2, 64)
		if n == 0 {
			return
		}
		m := &replication.TableMapEvent{ColumnCount: uint64(n), ColumnType: types[:n]}
		for i := range n {
			m.ColumnMeta = append(m.ColumnMeta, binary.LittleEndian.Uint16(metas[2*i:]))
		}
		h, e := &replication.EventHeader{EventType: replication.EventType(typ)}, &rowsEvent{table: m}
		if !direct(m) || images(h.EventType) == 0 || h.EventType == replication.PARTIAL_UPDATE_ROWS_EVENT || e.head(h.EventType, body) != nil {
			return
		}
		read := 0
		s := &stream{keep: func(*capture.RowChange) bool { return true }}
		err := s.each(h, e, func([][]any, [][]int) error { read++; return nil })
		counted, countErr := e.count(h)
		if (err == nil) != (countErr == nil) || err == nil && counted != read {
			t.Fatalf("read %d %v, counted %d %v", read, err, counted, countErr)
		}
	})
}
