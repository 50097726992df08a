package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// A value of the database has a checksum of its own, because bbolt's pages have none, and keeps payloads to the byte,
// which JSON inside JSON doesn't:
//
//	crc u32, CRC-32C of the rest | parts, each: length uvarint, bytes
//
// The first part is JSON, the others are raw.
func pack(head any, raw ...[]byte) ([]byte, error) {
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	v := appendPart(make([]byte, 4, 64+len(b)), b)
	for _, part := range raw {
		v = appendPart(v, part)
	}
	binary.LittleEndian.PutUint32(v, checksum(v[4:]))
	return v, nil
}

func appendPart(v, part []byte) []byte {
	return append(binary.AppendUvarint(v, uint64(len(part))), part...)
}

// unpack fills head and gives copies of the raw parts, nil for an empty one.
func unpack(v []byte, head any) (raw [][]byte, err error) {
	if len(v) < 4 || binary.LittleEndian.Uint32(v) != checksum(v[4:]) {
		return nil, fmt.Errorf("%w: the checksum of a value is wrong", ErrDamaged)
	}
	for rest := v[4:]; len(rest) > 0; {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return nil, fmt.Errorf("%w: a value is cut off", ErrDamaged)
		}
		rest = rest[used:]
		raw = append(raw, append([]byte(nil), rest[:n]...))
		rest = rest[n:]
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("%w: a value is empty", ErrDamaged)
	}
	if err := json.Unmarshal(raw[0], head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return append(raw[1:], nil, nil), nil // a part that isn't there reads as nil
}

// sequenceKey orders by sequence.
func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// timeKey orders by time, then sequence. Times before 1970 are all the same.
func timeKey(t time.Time, seq uint64) []byte {
	var nanos uint64
	if t.Unix() > 0 {
		nanos = uint64(t.UnixNano())
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, nanos), seq)
}

func splitTimeKey(k []byte) (time.Time, uint64) {
	if len(k) != 16 {
		return time.Time{}, 0
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(k))).UTC(), binary.BigEndian.Uint64(k[8:])
}
