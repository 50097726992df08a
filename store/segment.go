package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/klauspost/compress/zstd"

	"station-agent/store/record"
)

// A segment is one file of the journal: a header, then frames one behind the other, then zeros. All numbers are little-endian.
//
//	header  magic 8 | version u32 | store id 16 | first sequence u64 | crc u32
//	frame   length u32 | crc u32 | sequence u64 | durable u64 | payload, length bytes
//
// A payload is a record.Entry in JSON, or that as a zstd frame and one byte that is not zero, as zeros are room that is left.
//
// CRCs are CRC-32C over what stands between them and the end of the payload (frame) or before them (header); every version
// keeps the header. Sequences have no gaps. The first frame is a checkpoint: the State that all entries before it add up
// to, and how long the file is. Durable is the sequence up to which everything was flushed when the frame was written: it
// tells a torn tail from damage (see missing).
const (
	segmentMagic   = "STNJRNL\n"
	segmentVersion = 2 // 1 wrote the session with every item, and JSON only
	headerSize     = 40
	frameHead      = 24
	leastFrame     = frameHead + 2 // the payload {}
	entryWords     = 0x53544a31    // number of the dictionary
	entryEnd       = '.'
)

var errNoHeader = errors.New("its header can't be read")

// frame is one entry where it lies, from off to end.
type frame struct {
	seq, durable uint64
	payload      []byte
	off, end     int
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
	if len(b) < headerSize || string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[sum:]) != checksum(b[:sum]) {
		return "", 0, errNoHeader
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > segmentVersion {
		return "", 0, fmt.Errorf("%w (segment version %d, this program knows %d): install the newer program again", ErrNewer, v, segmentVersion)
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

// packEntry makes a payload of an entry's JSON.
func (z *codec) packEntry(plain []byte) []byte {
	if b := z.pack.EncodeAll(plain, make([]byte, 0, len(plain))); len(b)+1 < len(plain) {
		return append(b, entryEnd)
	}
	return plain
}

// unpackEntry gives the JSON of a payload, nothing if it can't be read.
func unpackEntry(d *zstd.Decoder, payload []byte) []byte {
	if len(payload) == 0 || payload[0] == '{' {
		return payload
	}
	plain, err := d.DecodeAll(payload[:len(payload)-1], nil)
	if err != nil {
		return nil
	}
	return plain
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
	return frame{seq, binary.LittleEndian.Uint64(head[16:]), head[frameHead:end], off, off + end}, true
}

// readFrames finds every whole frame of a segment, in order, also behind what can't be read.
func readFrames(data []byte, first uint64) (frames []frame) {
	off, want := headerSize, first
	for {
		f, ok := frameAt(data, off, want, want)
		if !ok {
			return append(frames, scatteredFrames(data, off, want)...)
		}
		frames = append(frames, f)
		off, want = f.end, f.seq+1
	}
}

// scatteredFrames finds the whole frames behind one, of sequence lost, that can't be read where it should lie, and puts them in order:
// a card may also give a page of another place. What looks like a frame, has its CRC and a sequence that fits is one, and no piece of a
// payload.
func scatteredFrames(data []byte, off int, lost uint64) (frames []frame) {
	end := off + len(tail(data, off))
	most := lost + uint64((end-off)/leastFrame)
	for i := off + leastFrame; i < end; {
		f, ok := frameAt(data, i, lost, most)
		if !ok {
			i++
			continue
		}
		frames = append(frames, f)
		i = f.end
	}
	sort.SliceStable(frames, func(i, k int) bool { return frames[i].seq < frames[k].seq })
	return slices.CompactFunc(frames, func(a, b frame) bool { return a.seq == b.seq })
}

// tail is what stands behind off, without the zeros of the room that is left. No payload ends in a zero.
func tail(data []byte, off int) []byte { return bytes.TrimRight(data[min(off, len(data)):], "\x00") }

// entry decodes what stands in the frame. A checkpoint stands at the head of a segment and nowhere else.
func (f frame) entry(checkpoint bool) (record.Entry, bool) {
	var e record.Entry
	if err := json.Unmarshal(f.payload, &e); err != nil || checkpoint != (e.State != nil) {
		return record.Entry{}, false
	}
	e.Seq = f.seq
	return e, true
}

// segment is what reads of one file.
type segment struct {
	path       string
	first      uint64
	data       []byte
	frames     []frame
	checkpoint *record.Entry // nil if it can't be read
	fault      string        // why the file as a whole is damaged, for a person; "" if it isn't
}

// parseSegment reads data as the segment of that path, name and store (id; "" for any). It fails only if the segment
// belongs to another store or a newer program.
func parseSegment(path string, name uint64, data []byte, id string) (*segment, error) {
	s := &segment{path: path, first: name, data: data}
	owner, first, err := readHeader(data)
	switch {
	case errors.Is(err, errNoHeader):
		s.fault = err.Error()
	case err != nil:
		return nil, err
	case id != "" && owner != id:
		return nil, fmt.Errorf("%w: the segment belongs to store %s, this one is %s: take the file away", ErrForeign, owner, id)
	default:
		s.first = first
	}
	d, err := newReader(entryWords, entrySample)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s.frames = readFrames(data, s.first)
	for i := range s.frames {
		s.frames[i].payload = unpackEntry(d, s.frames[i].payload)
	}
	if len(s.frames) > 0 && s.frames[0].off == headerSize {
		if e, ok := s.frames[0].entry(true); ok {
			s.checkpoint = &e
		}
	}
	switch {
	case s.checkpoint == nil:
		s.fault = "its checkpoint can't be read"
	case s.cutOff():
		s.fault = fmt.Sprintf("the file is cut off at byte %d", len(data))
	case s.misplaced():
		s.fault = "entries in it lie where they were not written"
	}
	return s, nil
}

// misplaced tells whether the entries that read are not in the order of the file, or leave less room between them than those
// that are missing had, or some where none is missing.
func (s *segment) misplaced() bool {
	end, next := headerSize, s.first
	for _, f := range s.frames {
		missing := f.seq - next
		if f.off < end || uint64(f.off-end) < missing*leastFrame || missing == 0 && f.off > end {
			return true
		}
		end, next = f.end, f.seq+1
	}
	return false
}

// cutOff tells whether the file is shorter than it was made. The first release didn't note how long that was.
func (s *segment) cutOff() bool {
	if s.checkpoint.Bytes > 0 {
		return int64(len(s.data)) < s.checkpoint.Bytes
	}
	return len(s.data)%segmentSize != 0
}

// old tells whether an older program may still go on in the segment, so that nothing new may be written into it.
func (s *segment) old() bool { return binary.LittleEndian.Uint32(s.data[8:]) < segmentVersion }

// end is where the next frame goes.
func (s *segment) end() int {
	end := headerSize
	for _, f := range s.frames {
		end = max(end, f.end)
	}
	return end
}

// last is the highest sequence that reads.
func (s *segment) last() uint64 {
	if len(s.frames) == 0 {
		return s.first
	}
	return s.frames[len(s.frames)-1].seq
}

// each gives f the entries that read, the checkpoint first.
func (s *segment) each(f func(record.Entry) error) error {
	for _, fr := range s.frames {
		e, ok := fr.entry(fr.off == headerSize)
		if !ok {
			continue
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// hole is a number of entries that had been durable and can't be read; they lie between two frames that can.
type hole struct {
	entries       uint64
	before, after int // indices of frames: of the last before the first lost entry, of the first behind the last one
}

// missing looks for proof that what can't be read had been durable. Blocks that were never flushed reach the card in any
// order, so a later entry alone proves nothing: only one that was written after a flush does, and known, the last sequence
// that the next segment builds on; 0 if there is none. The checkpoint doesn't count: it only repeats.
func (s *segment) missing(known uint64) hole {
	h := hole{before: -1, after: len(s.frames)}
	durable, above := known, known+1
	look := func(seq uint64, at int) { // between seq, of frame at, and above
		if high := min(above-1, durable); high > seq {
			if h.entries == 0 {
				h.after = at + 1
			}
			h.entries, h.before = h.entries+high-seq, at
		}
	}
	for n := len(s.frames) - 1; n >= 0; n-- {
		f := s.frames[n]
		look(f.seq, n)
		durable, above = max(durable, f.durable), f.seq
	}
	look(s.first, -1)
	return h
}
