package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"

	"station-agent/store/record"
)

// A commit is one value of the record log:
//
//	magic 8 | crc u32 | head length u32 | body length u32 | number u64 | first u64 | count u32 | previous u32 | head | body
//
// Numbers are little-endian; the CRC-32C covers all behind it. The head says what happened: JSON, then columns (see
// packEvents). The body holds the records, in columns. Each is one zstd frame, so that opening reads heads and no body. The
// records have the sequences first .. first+count-1. Previous is the CRC of the commit before: a damaged file is put together
// again by number and by it.
const (
	commitMagic = "STNGRP1\n"
	commitHead  = 44
	maxPlain    = 64 << 20   // of a head or body, unpacked
	keptPlain   = 1 << 20    // of the room for packing, from commit to commit
	commitWords = 0x53544e31 // number of the dictionary
)

// commit is what happened between two flushes.
type commit struct {
	At         record.Stamp     `json:"at"`
	Session    uint64           `json:"session,omitempty"`
	Position   *record.Position `json:"position,omitempty"`
	Snapshot   *string          `json:"snapshot,omitempty"`   // the run that began, "" when it ended
	Missed     *string          `json:"missed,omitempty"`     // why rows must be compared, "" when they were
	Streams    map[string]turn  `json:"streams,omitempty"`    // the same three of other streams
	Ways       ways             `json:"ways,omitempty"`       // what was decided
	Carried    []span           `json:"carried,omitempty"`    // the body holds these records once more, and no new ones
	CarriedAt  []record.Stamp   `json:"carried_at,omitempty"` // when the first of each of them came in
	Retried    []span           `json:"retried,omitempty"`
	Dropped    []span           `json:"dropped,omitempty"`
	Later      []span           `json:"later,omitempty"`         // of its records: those that go behind all that waits
	Passed     []span           `json:"passed,omitempty"`        // need not be sent any more
	Horizon    []horizon        `json:"horizon,omitempty"`       // see Posting
	Lost       []span           `json:"lost,omitempty"`          // could not be read any more
	Exported   uint64           `json:"exported,omitempty"`      // evidence of every record before this one was written elsewhere
	Waived     uint64           `json:"waived,omitempty"`        // so many unverified records a person knows of
	Refused    []int64          `json:"refused_bytes,omitempty"` // of the payloads of what is refused here, in the order of refused
	QueueBytes int64            `json:"queue_bytes,omitempty"`   // of the payloads in the outbox afterwards
	State      *state           `json:"state,omitempty"`         // what all commits up to this one add up to: stands first in a file
	spills

	accepted []acceptance
	refused  []refusal
	looked   []look
	shadow   []shadowChange
	records  []stored
	rows     []record.ShadowRow // what shadow does, not written
	carried  []uint64           // the records that Carried names, not written

	number, first uint64
	count         uint32 // of new records
	sum, previous uint32
	size          int // of its value, if it was found by scanning
}

type span struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

type acceptance struct {
	seq     uint64
	receipt record.Receipt // Hash is shortened by the record's mark
}

type refusal struct {
	seq   uint64
	text  string
	bytes int64 // of the payload, 0 if not known
}

type look struct {
	seq    uint64
	state  record.Anchoring
	answer []byte // shortened by the record's mark
}

// shadowChange is what became of a shadow row: as record Of says (its place in the body), or Row.
type shadowChange struct {
	of   int // -1: row is complete
	left string
	row  record.ShadowRow
}

func (c *commit) empty() bool {
	return c.Session == 0 && c.Position == nil && c.Snapshot == nil && c.Missed == nil && len(c.Streams)+len(c.Ways)+len(c.Carried)+len(c.Retried)+len(c.Passed)+len(c.Horizon)+
		len(c.Dropped)+len(c.Lost)+len(c.accepted)+len(c.refused)+len(c.looked)+len(c.shadow)+len(c.records) == 0 &&
		c.Exported == 0 && c.Waived == 0 && c.spills == (spills{}) && c.State == nil
}

// written is c as it is read from the log, as far as records and receipts go.
func (c *commit) written() *commit {
	return &commit{At: c.At, Carried: c.Carried, accepted: c.accepted, records: c.records, number: c.number, first: c.first, count: c.count, sum: c.sum}
}

// isAt tells whether c is at p, or, if p names no commit but a record, whether it took that in.
func (c *commit) isAt(p place) bool {
	return p == place{c.first, c.number} || p.Number == math.MaxUint64 && p.First >= c.first && p.First-c.first < uint64(c.count)
}

// codec packs commits. It holds the compressor's memory and may be used by one goroutine at a time for packing, by any for
// unpacking.
type codec struct {
	pack   *zstd.Encoder
	unpack *zstd.Decoder
	plain  []byte // room for what is packed
}

func newCodec(dictionary uint32, sample string) (*codec, error) {
	common := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false), zstd.WithEncoderDictRaw(dictionary, []byte(sample))}
	pack, err := zstd.NewWriter(nil, append(common, zstd.WithWindowSize(1<<18))...)
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	d, err := newReader(dictionary, sample)
	return &codec{pack: pack, unpack: d}, err
}

func newReader(dictionary uint32, sample string) (*zstd.Decoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPlain),
		zstd.WithDecoderDictRaw(dictionary, []byte(sample)))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return d, nil
}

// encode makes the value of c and notes its sum.
func (z *codec) encode(c *commit) ([]byte, error) {
	head, err := packEvents(z.plain[:0], c)
	if err != nil {
		return nil, fmt.Errorf("encode commit: %w", err)
	}
	v := make([]byte, commitHead, commitHead+len(head)+64*len(c.records))
	v = z.pack.EncodeAll(head, v)
	z.plain = head
	headEnd := len(v)
	if len(c.records) > 0 {
		z.plain = packRecords(z.plain[:0], c.records)
		if len(z.plain) > maxPlain {
			return nil, fmt.Errorf("encode commit: its records have %d bytes: more than %d don't fit", len(z.plain), maxPlain)
		}
		v = z.pack.EncodeAll(z.plain, v)
	}
	if cap(z.plain) > keptPlain {
		z.plain = nil
	}
	copy(v, commitMagic)
	binary.LittleEndian.PutUint32(v[12:], uint32(headEnd-commitHead))
	binary.LittleEndian.PutUint32(v[16:], uint32(len(v)-headEnd))
	binary.LittleEndian.PutUint64(v[20:], c.number)
	binary.LittleEndian.PutUint64(v[28:], c.first)
	binary.LittleEndian.PutUint32(v[36:], c.count)
	binary.LittleEndian.PutUint32(v[40:], c.previous)
	c.sum = checksum(v[12:])
	binary.LittleEndian.PutUint32(v[8:], c.sum)
	return v, nil
}

// decodeHead reads everything of a commit but its records, and checks the sum over all of it if whole.
func (z *codec) decodeHead(v []byte, whole bool) (*commit, error) {
	c, head, _, err := split(v, whole)
	if err != nil {
		return nil, err
	}
	plain, err := z.unpack.DecodeAll(head, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack head of commit %d: %w", ErrDamaged, c.number, err)
	}
	if err := unpackEvents(plain, c); err != nil {
		return nil, fmt.Errorf("read head of commit %d: %w", c.number, err)
	}
	return c, nil
}

// decode reads all of a commit.
func (z *codec) decode(v []byte) (*commit, error) {
	c, err := z.decodeHead(v, true)
	if err != nil {
		return nil, err
	}
	_, _, body, _ := split(v, false)
	if len(body) == 0 {
		return c, nil
	}
	plain, err := z.unpack.DecodeAll(body, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack commit %d: %w", ErrDamaged, c.number, err)
	}
	if c.records, err = unpackRecords(plain); err != nil {
		return nil, fmt.Errorf("read commit %d: %w", c.number, err)
	}
	return c, nil
}

// split checks the frame of a commit: its sum only if whole, as that reads all of it.
func split(v []byte, whole bool) (c *commit, head, body []byte, err error) {
	if len(v) < commitHead || string(v[:8]) != commitMagic {
		return nil, nil, nil, fmt.Errorf("%w: a value is no commit", ErrDamaged)
	}
	h, b := uint64(binary.LittleEndian.Uint32(v[12:])), uint64(binary.LittleEndian.Uint32(v[16:]))
	if commitHead+h+b != uint64(len(v)) {
		return nil, nil, nil, fmt.Errorf("%w: a commit is cut off", ErrDamaged)
	}
	c = readFrame(v)
	if whole && checksum(v[12:]) != c.sum {
		return nil, nil, nil, fmt.Errorf("%w: the checksum of commit %d is wrong", ErrDamaged, c.number)
	}
	return c, v[commitHead : commitHead+h], v[commitHead+h:], nil
}

// readFrame reads what stands before the head.
func readFrame(v []byte) *commit {
	return &commit{
		number: binary.LittleEndian.Uint64(v[20:]), first: binary.LittleEndian.Uint64(v[28:]), count: binary.LittleEndian.Uint32(v[36:]),
		previous: binary.LittleEndian.Uint32(v[40:]), sum: binary.LittleEndian.Uint32(v[8:]),
	}
}
