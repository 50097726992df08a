package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// image is one row image in the form that the log has it:
//
//	null bits   one for each column that is there (lowest bit first), in whole bytes
//	values      of the columns that are there and not NULL, each in the form of its type
//
// (MySQL's Rows_log_event and the binary forms of its fields; MariaDB's are the same.) Its memory is used again for the next
// one: the values lie in it or in the event.
type image struct {
	row     []any // nil, *int64, *float64 or *[]byte
	skipped []int // columns that are not there

	numbers []int64
	reals   []float64
	texts   [][]byte
	moments []moment // the last TIMESTAMP of each column: many rows have the same
	printed []byte
}

// moment is a second, and how it is printed.
type moment struct {
	seconds uint32 // 0: none yet
	text    [len(time.DateTime)]byte
}

var errCut = errors.New("a row image is cut off")

// direct tells whether image knows all types of the table. MySQL's JSON it doesn't.
func direct(m *replication.TableMapEvent) bool {
	for i, typ := range m.ColumnType {
		if realType(typ, m.ColumnMeta[i]) == mysql.MYSQL_TYPE_JSON {
			return false
		}
	}
	return countable(m)
}

// realType is the type of a column's values: what shares MYSQL_TYPE_STRING has its own in the upper byte of the meta word.
func realType(typ byte, meta uint16) byte {
	if typ == mysql.MYSQL_TYPE_STRING && meta >= 256 {
		return byte(meta>>8) | 0x30
	}
	return typ
}

// longest is the longest text of a column of MYSQL_TYPE_STRING in bytes: bits above 255 stand inverted in the type's.
func longest(meta uint16) int {
	if meta < 256 {
		return int(meta)
	}
	return int(meta&0xff | (meta>>4&0x300 ^ 0x300))
}

// decode reads an image and tells how many bytes it has. Bytes that are none make it panic.
func (m *image) decode(b []byte, table *replication.TableMapEvent, there []byte) int {
	columns := int(table.ColumnCount)
	m.begin(columns)
	nulls, n := nullBits(b, columns, there)
	bit := 0
	for i := range columns {
		if !set(there, i) {
			m.skipped = append(m.skipped, i)
			continue
		}
		null := set(nulls, bit)
		if bit++; null {
			continue
		}
		typ, meta := table.ColumnType[i], table.ColumnMeta[i]
		size := width(b[n:], typ, meta)
		m.row[i] = m.value(i, first(b[n:], size), realType(typ, meta), meta)
		n += size
	}
	return n
}

func (m *image) begin(columns int) {
	if len(m.row) != columns {
		*m = image{row: make([]any, columns), numbers: make([]int64, columns), reals: make([]float64, columns), texts: make([][]byte, columns), moments: make([]moment, columns)}
	}
	clear(m.row)
	m.skipped, m.printed = m.skipped[:0], m.printed[:0]
}

// skip tells how many bytes an image has. Bytes that are none make it panic.
func skip(b []byte, table *replication.TableMapEvent, there []byte) int {
	columns := int(table.ColumnCount)
	nulls, n := nullBits(b, columns, there)
	bit := 0
	for i := range columns {
		if !set(there, i) {
			continue
		}
		if !set(nulls, bit) {
			n += width(b[n:], table.ColumnType[i], table.ColumnMeta[i])
		}
		bit++
	}
	return n
}

func set(bitmap []byte, i int) bool { return bitmap[i/8]>>(i%8)&1 == 1 }

func nullBits(b []byte, columns int, there []byte) (nulls []byte, n int) {
	count := 0
	for i := range columns / 8 {
		count += bits.OnesCount8(there[i])
	}
	if rest := columns % 8; rest > 0 {
		count += bits.OnesCount8(there[columns/8] & (1<<rest - 1))
	}
	n = (count + 7) / 8
	return first(b, n), n
}

// width is how many bytes a value takes.
func width(b []byte, typ byte, meta uint16) int {
	switch realType(typ, meta) {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_YEAR:
		return 1
	case mysql.MYSQL_TYPE_SHORT:
		return 2
	case mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE, mysql.MYSQL_TYPE_TIME:
		return 3
	case mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_FLOAT, mysql.MYSQL_TYPE_TIMESTAMP:
		return 4
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE, mysql.MYSQL_TYPE_DATETIME:
		return 8
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		return 4 + int(meta+1)/2
	case mysql.MYSQL_TYPE_DATETIME2:
		return 5 + int(meta+1)/2
	case mysql.MYSQL_TYPE_TIME2:
		return 3 + int(meta+1)/2
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return decimalWidth(meta)
	case mysql.MYSQL_TYPE_BIT:
		return int(meta>>8) + int(meta&0xff+7)/8
	case mysql.MYSQL_TYPE_ENUM, mysql.MYSQL_TYPE_SET:
		return int(meta & 0xff)
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING:
		return prefixed(b, lengthOf(int(meta)))
	case mysql.MYSQL_TYPE_STRING:
		return prefixed(b, lengthOf(longest(meta)))
	case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_VECTOR, mysql.MYSQL_TYPE_JSON:
		return prefixed(b, int(meta))
	}
	panic(fmt.Sprintf("type %d", typ)) // countable was asked before
}

// lengthOf is how many bytes the length of a text takes that may be so long.
func lengthOf(longest int) int {
	if longest < 256 {
		return 1
	}
	return 2
}

// prefixed is the width of bytes behind their length, which takes n bytes.
func prefixed(b []byte, n int) int {
	size := little(first(b, n))
	if size > uint64(len(b)) {
		panic(errCut)
	}
	return n + int(size)
}

// first gives the first n bytes. It panics if there are not so many, also where more lie behind the slice.
func first(b []byte, n int) []byte {
	if n > len(b) {
		panic(errCut)
	}
	return b[:n:n]
}

func little(b []byte) (v uint64) {
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

func big(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// value reads the value of column i.
func (m *image) value(i int, b []byte, typ byte, meta uint16) any {
	switch typ {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONGLONG:
		free := 64 - 8*len(b)
		m.numbers[i] = int64(little(b)<<free) >> free // with its sign
		return &m.numbers[i]
	case mysql.MYSQL_TYPE_ENUM, mysql.MYSQL_TYPE_SET:
		m.numbers[i] = int64(little(b))
		return &m.numbers[i]
	case mysql.MYSQL_TYPE_BIT:
		m.numbers[i] = int64(big(b))
		return &m.numbers[i]
	case mysql.MYSQL_TYPE_YEAR:
		if m.numbers[i] = int64(b[0]); b[0] != 0 {
			m.numbers[i] += 1900
		}
		return &m.numbers[i]
	case mysql.MYSQL_TYPE_FLOAT:
		m.reals[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		return &m.reals[i]
	case mysql.MYSQL_TYPE_DOUBLE:
		m.reals[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		return &m.reals[i]
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING:
		m.texts[i] = b[lengthOf(int(meta)):]
		return &m.texts[i]
	case mysql.MYSQL_TYPE_STRING:
		m.texts[i] = b[lengthOf(longest(meta)):]
		return &m.texts[i]
	case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_VECTOR:
		m.texts[i] = b[meta:]
		return &m.texts[i]
	}
	from := len(m.printed)
	switch typ {
	case mysql.MYSQL_TYPE_TIMESTAMP:
		m.printed = m.moments[i].append(m.printed, binary.LittleEndian.Uint32(b))
	case mysql.MYSQL_TYPE_TIMESTAMP2:
		m.printed = appendFraction(m.moments[i].append(m.printed, binary.BigEndian.Uint32(b)), big(b[4:]), len(b)-4, int(meta))
	default:
		m.printed = appendPrinted(m.printed, b, typ, meta)
	}
	m.texts[i] = m.printed[from:len(m.printed):len(m.printed)]
	return &m.texts[i]
}

// appendPrinted appends a value of a type that MySQL prints in digits.
func appendPrinted(dst, b []byte, typ byte, meta uint16) []byte {
	switch typ {
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return appendDecimal(dst, b, meta)
	case mysql.MYSQL_TYPE_DATETIME: // YYYYMMDDhhmmss in decimal
		v := binary.LittleEndian.Uint64(b)
		dst = appendDate(dst, v/1e10, v/1e8%100, v/1e6%100)
		return appendClock(append(dst, ' '), v/1e4%100, v/100%100, v%100)
	case mysql.MYSQL_TYPE_DATETIME2: // 1 bit sign, 17 bits year*13+month, 5 day, 5 hour, 6 minute, 6 second
		v := big(b[:5]) & (1<<39 - 1)
		month := v >> 22
		dst = appendDate(dst, month/13, month%13, v>>17&31)
		dst = appendClock(append(dst, ' '), v>>12&31, v>>6&63, v&63)
		return appendFraction(dst, big(b[5:]), len(b)-5, int(meta))
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE: // 15 bits year, 4 month, 5 day
		v := little(b)
		return appendDate(dst, v>>9, v>>5&15, v&31)
	case mysql.MYSQL_TYPE_TIME: // hhmmss in decimal, negative in two's complement
		v := int64(little(b)<<40) >> 40
		if v < 0 {
			dst, v = append(dst, '-'), -v
		}
		return appendClock(dst, uint64(v/1e4), uint64(v/100%100), uint64(v%100))
	case mysql.MYSQL_TYPE_TIME2:
		return appendTime(dst, b, int(meta))
	}
	panic(fmt.Sprintf("type %d", typ))
}

func appendDate(dst []byte, year, month, day uint64) []byte {
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), month, 2)
	return appendDigits(append(dst, '-'), day, 2)
}

func appendClock(dst []byte, hour, minute, second uint64) []byte {
	if hour > 99 {
		dst = appendDigits(dst, hour, 3)
	} else {
		dst = appendDigits(dst, hour, 2)
	}
	dst = appendDigits(append(dst, ':'), minute, 2)
	return appendDigits(append(dst, ':'), second, 2)
}

// appendDigits appends the last n digits of v.
func appendDigits(dst []byte, v uint64, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i, n, v = i-1, n-1, v/10 {
		dst[i] = byte('0' + v%10)
	}
	return dst
}

// appendFraction appends the digits behind the second of a number of so many bytes, which counts hundredths, ten-thousandths or
// millionths.
func appendFraction(dst []byte, v uint64, bytes, digits int) []byte {
	if digits == 0 {
		return dst
	}
	if digits%2 == 1 {
		v /= 10
	}
	return appendDigits(append(dst, '.'), v, digits)
}

// append appends a TIMESTAMP's seconds since 1970 in UTC; 0 is the zero date.
func (m *moment) append(dst []byte, seconds uint32) []byte {
	if seconds == 0 {
		return append(dst, "0000-00-00 00:00:00"...)
	}
	if m.seconds != seconds {
		m.seconds = seconds
		time.Unix(int64(seconds), 0).UTC().AppendFormat(m.text[:0], time.DateTime)
	}
	return append(dst, m.text[:]...)
}

// appendTime appends a TIME: 1 bit sign (inverted), 1 unused, 10 bits hour, 6 minute, 6 second and the fraction, as one number;
// a negative one in two's complement.
func appendTime(dst, b []byte, digits int) []byte {
	v, half := big(b), uint64(1)<<(8*len(b)-1)
	if v >= half {
		v -= half
	} else {
		dst, v = append(dst, '-'), half-v
	}
	size := 8 * (len(b) - 3)
	whole := v >> size
	dst = appendClock(dst, whole>>12&1023, whole>>6&63, whole&63)
	return appendFraction(dst, v&(1<<size-1), len(b)-3, digits)
}

// A DECIMAL has its digits in groups of nine, each a number of four bytes; what is left at both ends takes as few bytes as it
// can. The highest bit is inverted, and so are all if the number is negative.
var groupBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalWidth(meta uint16) int {
	digits, scale := int(meta>>8), int(meta&0xff)
	whole := digits - scale
	if whole < 0 || digits == 0 {
		panic(fmt.Sprintf("decimals of %d digits, %d of them behind the point", digits, scale))
	}
	return whole/9*4 + groupBytes[whole%9] + scale/9*4 + groupBytes[scale%9]
}

func appendDecimal(dst, b []byte, meta uint16) []byte {
	digits, scale := int(meta>>8), int(meta&0xff)
	flip := byte(0)
	if b[0]&0x80 == 0 {
		flip = 0xff
		dst = append(dst, '-')
	}
	first := byte(0x80)
	take := func(n int) {
		if n == 0 {
			return
		}
		v, size := uint64(0), groupBytes[n]
		for _, c := range b[:size] {
			v = v<<8 | uint64(c^flip^first)
			first = 0
		}
		b = b[size:]
		dst = appendDigits(dst, v, n)
	}
	begun := len(dst)
	whole := digits - scale
	take(whole % 9)
	for range whole / 9 {
		take(9)
	}
	zeros := 0
	for zeros < len(dst)-begun-1 && dst[begun+zeros] == '0' {
		zeros++
	}
	dst = append(dst[:begun], dst[begun+zeros:]...)
	if len(dst) == begun {
		dst = append(dst, '0')
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for range scale / 9 {
		take(9)
	}
	take(scale % 9)
	return dst
}
