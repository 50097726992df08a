package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/station/codec"
	"station-agent/station/stationtest"
)

// flood is what comes at each port in a second.
const flood = 100_000

// pace is that of a packer in a hurry, from scan to scan.
const pace = 200 * time.Millisecond

// TestFloods sends 100,000 hostile bytes a second to a port of every protocol at once, asked readers and such that read on their own,
// while a packer packs at another one: what counts is right, memory stays flat, and the log has no line a frame. Eight seconds of
// it, or FLOOD of them (make hostile: a minute).
func TestFloods(t *testing.T) {
	seconds := 8
	if text := os.Getenv("FLOOD"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("FLOOD=%s: it is a number of seconds", text)
		}
		seconds = n
	}
	s := newSite(t, servers.MariaDB(t))
	ports := map[string]*stationtest.Scanner{}
	var tables strings.Builder
	add := func(name, protocol, more string) {
		p, err := stationtest.NewScanner(t.TempDir())
		s.must(err)
		t.Cleanup(func() { _ = p.Close() })
		ports[name] = p
		fmt.Fprintf(&tables, "[[reader]]\nname = %q\ndevice = %q\nprotocol = %q\n%s\n", name, p.Path(), protocol, more)
	}
	for _, p := range codec.Protocols() {
		switch {
		case p.Name == "line":
			add("line", p.Name, "")
			add("line rfid", p.Name, `kind = "rfid"`)
		case p.Commands != nil:
			add(p.Name+" asked", p.Name, "")
			add(p.Name, p.Name, "listen_only = true")
		default:
			add(p.Name, p.Name, "")
		}
	}
	s.Config.Tables += tables.String()
	s.started()
	items := s.stock(1, 4*seconds)

	stop := make(chan struct{})
	var floods sync.WaitGroup
	t.Cleanup(floods.Wait)
	end := sync.OnceFunc(func() { close(stop) })
	t.Cleanup(end)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d ports", seed, len(ports))
	for name, p := range ports {
		r := rand.New(rand.NewPCG(seed, uint64(len(name))))
		floods.Go(func() { pour(p, r, stop) })
	}
	began := time.Now()
	half := 0
	for n := 0; time.Since(began) < time.Duration(seconds)*time.Second && 2*n+1 < len(items); n++ {
		for _, code := range []string{fmt.Sprintf("PKG-2026-%04d", n+1), items[2*n], items[2*n+1], bed.CloseCode} {
			s.scan(code, "accepted")
			time.Sleep(pace)
		}
		if half == 0 && time.Since(began) > time.Duration(seconds)*time.Second/2 {
			half = s.memory()
		}
	}
	full := s.memory()
	end()
	if half == 0 {
		t.Errorf("the packer has packed %d packages and more in less than half of %d s: stock more", len(items)/2, seconds)
	}
	if grown := full - half; grown > 4<<20 { // what a collection leaves for the next one
		t.Errorf("memory grew from %d to %d bytes in half of the time", half, full)
	}
	t.Logf("memory %.1f MB, then %.1f MB", float64(half)/1e6, float64(full)/1e6)

	s.scan(items[len(items)-1], "no package open") // nothing that a flood said is
	damaged := map[string]bool{}
	for _, r := range s.status()["readers"].([]any) {
		one := r.(map[string]any)
		damaged[one["reader"].(string)] = one["damaged_frames"].(float64) > 0
	}
	for name := range ports {
		if !damaged[name] {
			t.Errorf("status counts no damage at reader %q", name)
		}
	}
	lines := map[string]int{}
	for _, l := range s.Agent.Lines(nil) {
		lines[l.Msg+" "+l.Reader+" "+l.Verdict]++
	}
	t.Logf("log: %v", lines)
	for msg, n := range lines {
		sound := strings.HasPrefix(msg, "verdict ") && !strings.HasSuffix(msg, " misread") // what happens to be a code is a scan
		if !sound && n > 300+110*seconds {                                                 // as station/spate.go has it
			t.Errorf("%d lines %q in the log", n, msg)
		}
	}
	if lines["misreads left out line "] == 0 {
		t.Error("the log doesn't count the misreads that were left out")
	}
	s.logIsPlain()
	s.stop()
}

// memory is what the agent takes of it now, in bytes.
func (s *site) memory() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Agent.PID()))
	s.must(err)
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	s.must(err)
	return kb << 10
}

// pour writes hostile bytes: noise, heads of frames that announce much, frames with a wrong end, and lines without one.
func pour(p *stationtest.Scanner, r *rand.Rand, stop <-chan struct{}) {
	const every = 20 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	chunk := make([]byte, flood*int(every)/int(time.Second))
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for at := 0; at < len(chunk); {
			piece := chunk[at:min(len(chunk), at+1+r.IntN(200))]
			at += len(piece)
			hostileBytes(piece, r)
		}
		_, _ = p.Write(chunk) // a port that is full or closed takes what it can
	}
}

func hostileBytes(p []byte, r *rand.Rand) {
	switch r.IntN(4) {
	case 0: // noise
		for i := range p {
			p[i] = byte(r.Uint32())
		}
	case 1: // heads
		for i := range p {
			p[i] = []byte{0xbb, 0xa0, 0x02, 0x13, 0xff, 0x22, 0x89, 0x7e}[r.IntN(8)]
		}
	case 2: // a frame whose sum is wrong
		copy(p, "\xbb\x02\x22\x00\x11\xd5\x30\x00\xe2\x00\x10\x71\x00\x00\x52\x9b\x09\x40\xb4\x02\xeb\x98\x0d\x7e")
	default: // a line that doesn't end
		for i := range p {
			p[i] = 'A'
		}
	}
}
