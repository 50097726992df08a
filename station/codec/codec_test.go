package codec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// vector is bytes and what a codec makes of them, as witness tells it.
type vector struct {
	in   []byte
	want string
}

// recorded reads testdata/NAME.txt: lines of "HEX -> WANT".
func recorded(t testing.TB, name string) (list []vector) {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(file)) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		digits, want, ok := strings.Cut(l, " -> ")
		in, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil || !ok || len(in) == 0 {
			t.Fatalf("%s: %q is no vector: %v", name, l, err)
		}
		list = append(list, vector{in, want})
	}
	return list
}

// witness notes what a codec says.
type witness struct {
	Codec
	tags, answers []string
}

func watch(p Protocol) *witness {
	w := &witness{}
	w.Codec = p.New(Config{Reader: "r", Heard: func(a Answer) { w.answers = append(w.answers, told(a)) }})
	return w
}

func (w *witness) feed(p []byte) { w.note(w.Feed(p)) }
func (w *witness) idle()         { w.note(w.Idle()) }

func (w *witness) note(tags []Tag) {
	for _, t := range tags {
		s := t.Code
		if t.Antenna != 0 {
			s += fmt.Sprintf(" ant=%d", t.Antenna)
		}
		if t.RSSI != 0 {
			s += fmt.Sprintf(" rssi=%d", t.RSSI)
		}
		if t.PC != 0 {
			s += fmt.Sprintf(" pc=%04X", t.PC)
		}
		w.tags = append(w.tags, s)
	}
}

func told(a Answer) string {
	switch a.What {
	case Done:
		return "done"
	case Empty:
		return "empty"
	case Failed:
		return fmt.Sprintf("failed %02X", a.Status)
	case Version:
		return "version " + a.Version
	default:
		return "alive"
	}
}

// String is how a vector has it.
func (w *witness) String() string {
	all := append(slices.Clone(w.tags), w.answers...)
	if n := w.Bad(); n > 0 {
		all = append(all, fmt.Sprintf("%d bad", n))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// framed are the protocols whose vectors lie in testdata; the lines' stand in line_test.go.
func framed() []Protocol {
	return slices.DeleteFunc(Protocols(), func(p Protocol) bool { return p.Name == "line" })
}

func TestVectors(t *testing.T) {
	for _, p := range framed() {
		for _, v := range recorded(t, p.Name) {
			w := watch(p)
			w.feed(v.in)
			w.idle()
			if got := w.String(); got != v.want {
				t.Errorf("%s: % X\n got %s\nwant %s", p.Name, v.in, got, v.want)
			}
		}
	}
}

// TestEverySplitOfAVectorGivesTheSame: two chunks cut at each place, and single bytes.
func TestEverySplitOfAVectorGivesTheSame(t *testing.T) {
	for _, p := range framed() {
		for _, v := range recorded(t, p.Name) {
			for at := range len(v.in) + 1 {
				w := watch(p)
				w.feed(v.in[:at])
				w.feed(v.in[at:])
				w.idle()
				if got := w.String(); got != v.want {
					t.Errorf("%s: % X cut at %d\n got %s\nwant %s", p.Name, v.in, at, got, v.want)
				}
			}
			w := watch(p)
			for i := range v.in {
				w.feed(v.in[i : i+1])
			}
			w.idle()
			if got := w.String(); got != v.want {
				t.Errorf("%s: % X byte by byte\n got %s\nwant %s", p.Name, v.in, got, v.want)
			}
		}
	}
}

// TestNoiseBetweenFramesTakesNone strings all vectors together in random order, cuts the stream anywhere and puts noise between them, among it
// beginnings of frames: the tags are those of the vectors, in their order.
func TestNoiseBetweenFramesTakesNone(t *testing.T) {
	for _, p := range framed() {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 7))
			vectors := recorded(t, p.Name)
			r.Shuffle(len(vectors), func(i, j int) { vectors[i], vectors[j] = vectors[j], vectors[i] })
			var stream []byte
			var want []string
			for _, v := range vectors {
				stream = append(append(stream, noise(r, vectors)...), v.in...)
				w := watch(p)
				w.feed(v.in)
				w.idle()
				want = append(want, w.tags...)
			}
			w := watch(p)
			for len(stream) > 0 {
				n := min(len(stream), r.IntN(64))
				w.feed(stream[:n])
				stream = stream[n:]
			}
			w.idle()
			if !slices.Equal(w.tags, want) {
				t.Errorf("%s, seed %d:\n got %v\nwant %v", p.Name, seed, w.tags, want)
			}
			if w.Bad() == 0 {
				t.Errorf("%s, seed %d: noise isn't counted", p.Name, seed)
			}
		}
	}
}

// noise is random bytes, or the first bytes of a frame.
func noise(r *rand.Rand, vectors []vector) []byte {
	v := vectors[r.IntN(len(vectors))].in
	if r.IntN(2) == 0 {
		return v[:r.IntN(min(len(v), 5))]
	}
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestDamageIsFoundWhereverItIs turns over each bit of each sound frame: no other tag comes of it.
func TestDamageIsFoundWhereverItIs(t *testing.T) {
	for _, p := range framed() {
		for _, v := range recorded(t, p.Name) {
			sound := watch(p)
			sound.feed(v.in)
			if sound.idle(); sound.Bad() > 0 { // two bits may add up to nothing
				continue
			}
			for bit := range 8 * len(v.in) {
				in := bytes.Clone(v.in)
				in[bit/8] ^= 1 << (bit % 8)
				w := watch(p)
				w.feed(in)
				w.idle()
				for _, tag := range w.tags {
					if !slices.Contains(sound.tags, tag) {
						t.Errorf("%s: % X gives %s, which nothing sent", p.Name, in, tag)
					}
				}
			}
		}
	}
}

// TestBadFramesAreCountedOneByOne, each pause between answers ends one.
func TestBadFramesAreCountedOneByOne(t *testing.T) {
	for _, p := range framed() {
		list := recorded(t, p.Name)
		i := slices.IndexFunc(list, func(v vector) bool { return v.want == "1 bad" })
		w := watch(p)
		for range 5 {
			w.feed(list[i].in)
			w.idle()
		}
		if w.Bad() != 5 {
			t.Errorf("%s: %d bad frames counted, want 5", p.Name, w.Bad())
		}
	}
}

// TestMemoryIsBounded: whatever comes, at most a window is kept, and noise gives no tags.
func TestMemoryIsBounded(t *testing.T) {
	for _, p := range framed() {
		for _, filler := range []byte{0x00, 0x02, 0x30, 0xa0, 0xbb, 0xff} {
			c := p.New(Config{})
			junk := bytes.Repeat([]byte{filler}, 100_000)
			if tags := c.Feed(junk); len(tags) > 0 {
				t.Errorf("%s: %d tags in bytes %02X", p.Name, len(tags), filler)
			}
			if s := c.(*stream); cap(s.buf) != window || len(s.buf) >= window {
				t.Errorf("%s: %d bytes kept, room for %d", p.Name, len(s.buf), cap(s.buf))
			}
			if c.Idle(); c.Bad() == 0 || len(c.(*stream).buf) > 0 {
				t.Errorf("%s: bytes %02X: %d bad, %d left behind a gap", p.Name, filler, c.Bad(), len(c.(*stream).buf))
			}
		}
	}
}

// TestAnImpossibleLengthHoldsNothingUp: the tag behind it comes without waiting for a gap.
func TestAnImpossibleLengthHoldsNothingUp(t *testing.T) {
	for name, junk := range map[string]string{"r200": "bb02220100", "uhfreader18": "04ff", "r2000": "a003", "rdm6300": "023132"} {
		p, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		in, err := hex.DecodeString(junk)
		if err != nil {
			t.Fatal(err)
		}
		v := recorded(t, name)[0]
		w := watch(p)
		if w.feed(append(in, v.in...)); w.String() != v.want+", 1 bad" {
			t.Errorf("%s: %s, want %s", name, w, v.want)
		}
	}
}

// TestTagsOutliveTheNextCall: what a tag points to is its own, and nobody who appends to Raw reaches the code.
func TestTagsOutliveTheNextCall(t *testing.T) {
	for _, p := range framed() {
		list := recorded(t, p.Name)
		c := p.New(Config{Reader: "r"})
		first := c.Feed(list[0].in)[0]
		raw, code := bytes.Clone(first.Raw), strings.Clone(first.Code)
		for _, v := range list {
			c.Feed(bytes.Repeat(v.in, 3))
		}
		_ = append(first.Raw, "over"...)
		if !bytes.Equal(first.Raw, raw) || first.Code != code || !bytes.Equal(raw, list[0].in) || first.Reader != "r" || first.Symbology == "" {
			t.Errorf("%s: %+v", p.Name, first)
		}
	}
}

func TestProtocolsAreFoundByName(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Protocols() {
		got, err := Find(p.Name)
		if err != nil || got.Name != p.Name || seen[p.Name] || p.Baud == 0 || p.Reads == 0 {
			t.Errorf("%+v, %v", got, err)
		}
		seen[p.Name] = true
	}
	const want = `"llrp" is none of line, r200, uhfreader18, uhfreader288, r2000, rdm6300, id12la`
	if _, err := Find("llrp"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
