package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"station-agent/store/record"
)

// A segment is one file of the journal: a header, then frames one behind the other, then zeros. All numbers are little-endian.
//
//	header  magic 8 | version u32 | store id 16 | first sequence u64 | crc u32
//	frame   length u32 | crc u32 | sequence u64 | durable u64 | payload, a record.Entry in JSON, length bytes
//
// CRCs are CRC-32C over what stands between them and the end of the payload (frame) or before them (header). Sequences
// have no gaps. The first frame is a checkpoint: the State that all entries before it add up to. Durable is the sequence
// up to which everything was flushed when the frame was written: it tells a torn tail from damage (see lost).
const (
	segmentMagic   = "STNJRNL\n"
	segmentVersion = 1
	headerSize     = 40
	frameHead      = 24
)

var errNoCheckpoint = errors.New("the segment has no checkpoint")

type frame struct {
	seq, durable uint64
	payload      []byte
	end          int // offset behind it
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func appendHeader(b []byte, id string, first uint64) ([]byte, error) {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return nil, fmt.Errorf("read store id: %w", err)
	}
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = append(b, raw...)
	b = binary.LittleEndian.AppendUint64(b, first)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:])), nil
}

// readHeader gives the store id and the first sequence of a segment.
func readHeader(b []byte) (id string, first uint64, err error) {
	const sum = headerSize - 4
	if len(b) < headerSize || string(b[:8]) != segmentMagic {
		return "", 0, errNoCheckpoint
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > segmentVersion {
		return "", 0, fmt.Errorf("%w (segment version %d, this program knows %d): install the newer program again", ErrNewer, v, segmentVersion)
	}
	if binary.LittleEndian.Uint32(b[sum:]) != checksum(b[:sum]) {
		return "", 0, errNoCheckpoint
	}
	return hex.EncodeToString(b[12:28]), binary.LittleEndian.Uint64(b[28:]), nil
}

func appendFrame(b []byte, seq, durable uint64, payload []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, durable)
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start+8:]))
	return b
}

// frameAt reads the frame at off if there is a whole one with a sequence from low to high.
func frameAt(b []byte, off int, low, high uint64) (frame, bool) {
	if off > len(b)-frameHead {
		return frame{}, false
	}
	head := b[off:]
	n, seq := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint64(head[8:])
	if n == 0 || uint64(n) > uint64(len(head)-frameHead) || seq < low || seq > high {
		return frame{}, false
	}
	end := frameHead + int(n)
	if binary.LittleEndian.Uint32(head[4:]) != checksum(head[8:end]) {
		return frame{}, false
	}
	return frame{seq, binary.LittleEndian.Uint64(head[16:]), head[frameHead:end], off + end}, true
}

// walk gives the entries of a segment to f, the checkpoint first, and tells where the next one goes. An error of f ends
// it. Bytes behind the end that are no entry are a torn tail, unless a later entry proves that one was there: that is
// ErrDamaged. A segment without a checkpoint and without any such proof is errNoCheckpoint.
func walk(data []byte, id string, name uint64, f func(record.Entry) error) (end int, err error) {
	owner, want, err := readHeader(data)
	if errors.Is(err, errNoCheckpoint) {
		return 0, errors.Join(err, lost(data, 0, name))
	}
	if err != nil {
		return 0, err
	}
	if id != "" && owner != id {
		return 0, fmt.Errorf("%w: the segment belongs to store %s, this one is %s: take the file away", ErrForeign, owner, id)
	}
	end = headerSize
	for {
		fr, ok := frameAt(data, end, want, want)
		if !ok {
			break
		}
		e, err := fr.entry(end == headerSize)
		if err != nil {
			return end, err
		}
		if err := f(e); err != nil {
			return end, err
		}
		end, want = fr.end, want+1
	}
	if err := lost(data, end, want); err != nil {
		return end, err
	}
	if end == headerSize {
		return end, errNoCheckpoint
	}
	return end, nil
}

func (f frame) entry(first bool) (record.Entry, error) {
	var e record.Entry
	if err := json.Unmarshal(f.payload, &e); err != nil {
		return e, fmt.Errorf("%w: entry %d: %w", ErrDamaged, f.seq, err)
	}
	if first != (e.State != nil) {
		return e, fmt.Errorf("%w: entry %d: a checkpoint stands at the head of a segment and nowhere else", ErrDamaged, f.seq)
	}
	e.Seq = f.seq
	return e, nil
}

// lost looks behind an entry that can't be read for proof that it had been durable. Blocks that were never flushed reach
// the card in any order, so a later entry alone proves nothing: only one that was written after a flush does.
func lost(data []byte, off int, seq uint64) error {
	rest := tail(data, off)
	for i := range rest {
		fr, ok := frameAt(rest, i, seq, seq+uint64(len(rest)))
		if ok && fr.durable >= seq {
			return fmt.Errorf("%w: entry %d at byte %d can't be read although entry %d behind it can", ErrDamaged, seq, off, fr.seq)
		}
	}
	return nil
}

// tail is what stands behind off, without the zeros of the room that is left. No payload ends in a zero.
func tail(data []byte, off int) []byte { return bytes.TrimRight(data[min(off, len(data)):], "\x00") }
