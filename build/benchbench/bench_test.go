// Package benchbench measures what the bench costs between a reader and a verdict, without devices: make bench-bench.
//
//	codec.NAME.allocs       pieces of memory a tag, of each protocol of station/codec
//	codec.NAME.mb_per_s     bytes of frames with tags read in a second of one core
//	codec.NAME.noise_mb_s   random bytes, which are the dearest: each may begin a frame
//	presence.cpu_percent    of one core, for 500 tags that are read 1,000 times a second
//	bench.byte_to_pattern_ms  from the last byte of a code at a port to the lamp, without the journal's flush; p99 too
//
// Every figure is a line "bench: name value unit"; those with a limit stand in a table at the end, and the run fails if one is
// missed. Time is the process's own processor time, but for the way to the lamp.
package benchbench

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/sheet"
	"station-agent/station/codec"
	"station-agent/station/presence"
)

// figures is what is measured.
type figures struct{ *sheet.Sheet }

// BenchmarkBench measures everything.
func BenchmarkBench(b *testing.B) {
	limits := []sheet.Limit{{Name: "presence.cpu_percent", Most: 2}, {Name: "bench.byte_to_pattern_ms", Most: 1}}
	for _, p := range codec.Protocols() {
		limits = append(limits, sheet.Limit{Name: "codec." + p.Name + ".allocs", Most: 1})
	}
	f := figures{sheet.New(b, limits...)}
	for _, p := range codec.Protocols() {
		f.Measure(func() error { return f.codec(p) })
	}
	f.Measure(f.presence)
	f.Measure(f.way)
	f.Conclude()
}

// codec feeds frames as a port hands them out, and noise.
func (f figures) codec(p codec.Protocol) error {
	frame, err := sound(p.Name)
	if err != nil {
		return err
	}
	c := p.New(codec.Config{Reader: "r"})
	tags := len(c.Feed(frame))
	if tags == 0 {
		return fmt.Errorf("%s: no tag in % X", p.Name, frame)
	}
	f.Note("codec."+p.Name+".allocs", testing.AllocsPerRun(1000, func() { c.Feed(frame) })/float64(tags), "a tag")
	f.Note("codec."+p.Name+".mb_per_s", speed(c, bytes.Repeat(frame, 4096/len(frame))), "MB/s")
	noise, r := make([]byte, 1<<16), rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	f.Note("codec."+p.Name+".noise_mb_s", speed(c, noise), "MB/s")
	return nil
}

// speed feeds chunk for half a second.
func speed(c codec.Codec, chunk []byte) float64 {
	began, n := busy(), 0
	for busy()-began < 500*time.Millisecond {
		for range 16 {
			c.Feed(chunk)
			n += len(chunk)
		}
	}
	return float64(n) / 1e6 / (busy() - began).Seconds()
}

// sound gives the first frame with a tag of a protocol's vectors.
func sound(name string) ([]byte, error) {
	if name == "line" {
		return []byte("]E04006381333931\r\n"), nil
	}
	file, err := os.ReadFile("../../station/codec/testdata/" + name + ".txt")
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(file)) {
		if digits, _, ok := strings.Cut(l, " -> "); ok && l[0] != '#' {
			return hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		}
	}
	return nil, fmt.Errorf("no vector of %s", name)
}

// presence plays five minutes in which 500 tags lie there, are read 1,000 times a second, and now and then one is exchanged.
func (f figures) presence() error {
	const tags, reads, seconds = 500, 1000, 300
	p := presence.New(presence.Config{Readers: map[string]presence.Reader{"mat": {Reads: 2, Limit: presence.Limit{Come: -55, Stay: -60}}}})
	r := rand.New(rand.NewPCG(1, 2))
	codes := make([]string, tags+seconds)
	for n := range codes {
		codes[n] = fmt.Sprintf("3074257BF7194E40%08X", n)
	}
	came, began := 0, busy()
	for n := range reads * seconds {
		at := time.Duration(n) * time.Second / reads
		second := n / reads
		for _, e := range p.Feed(presence.Read{Reader: "mat", Antenna: 1, Code: codes[second+r.IntN(tags)], RSSI: -40 - r.IntN(25), At: at}) {
			if e.Kind == presence.Came {
				came++
			}
		}
		if n%reads == 0 {
			p.Tick(at)
			p.Tags(at)
		}
	}
	took := busy() - began
	if came < seconds/2 {
		return fmt.Errorf("presence: only %d tags came", came)
	}
	f.Note("presence.cpu_percent", 100*took.Seconds()/seconds, "% of a core")
	return nil
}

// busy is the processor time that this process took.
func busy() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // the kernel knows this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
