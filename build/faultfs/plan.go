package faultfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Op is an operation that changes the card.
type Op string

// The operations. A folder is flushed to save its names.
const (
	Write       Op = "write"
	Flush       Op = "fsync"
	DataFlush   Op = "fdatasync"
	FolderFlush Op = "fsync of folder"
	Create      Op = "create" // of a file or folder
	Rename      Op = "rename"
	Remove      Op = "remove"
	Truncate    Op = "truncate" // to less or to more
)

// Fault is what shall go wrong, and when.
type Fault struct {
	On    []Op          // which operations count and fail; nil: all
	In    string        // only those whose path below the mount contains this; for a rename the new path
	Grows bool          // only those that need more room on the card than there was
	From  int           // the how many-th of them is the first to fail, from 1
	Once  bool          // the first only; else every later one too
	Err   syscall.Errno // how they fail
	Short bool          // the first, a write, leaves its first half on the card and says so, before Err comes
	Loses bool          // a failed flush takes back what was written since the last good one
}

// Count is what happened to one file.
type Count struct {
	Writes     int
	Bytes      int64
	BlockBytes int64 // each write rounded out to whole blocks of 4,096 bytes
	Flushes    int   // of both kinds
}

// plan decides what becomes of every operation and keeps count.
type plan struct {
	mu         sync.Mutex
	faults     []*armed
	operations int
	met        []string
	retried    []string
	counts     map[string]Count
	delay      time.Duration
	gates      []*Gate
}

type armed struct {
	Fault
	seen int
}

// Set replaces the faults and begins to count operations anew.
func (p *plan) Set(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.operations, p.met = nil, 0, nil
	for _, f := range faults {
		p.faults = append(p.faults, &armed{Fault: f})
	}
}

// Delay makes every flush take that much longer.
func (p *plan) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Operations counts the operations since Set.
func (p *plan) Operations() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.operations
}

// Seen tells how many operations each of the faults concerned since Set, whether it struck or not.
func (p *plan) Seen() (seen []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		seen = append(seen, f.seen)
	}
	return seen
}

// Met lists the operations that failed since Set, oldest first.
func (p *plan) Met() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.met)
}

// Retried lists the writes and flushes that came through the same open file after a flush of it had failed: what they
// seem to save may be gone.
func (p *plan) Retried() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.retried)
}

// Counts are the counts since Mount, by path below the mount.
func (p *plan) Counts() map[string]Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// count changes what is known of one file.
func (p *plan) count(path string, f func(*Count)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[path]
	f(&c)
	p.counts[path] = c
}

func (p *plan) retry(op Op, path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retried = append(p.retried, fmt.Sprintf("%s %s", op, path))
}

// meet counts the operation and tells what goes wrong with it: nil if nothing does.
func (p *plan) meet(op Op, path string, grows bool) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.operations++
	for _, f := range p.faults {
		if !f.concerns(op, path, grows) {
			continue
		}
		f.seen++
		if f.seen < f.From || f.Once && f.seen > f.From {
			continue
		}
		p.met = append(p.met, fmt.Sprintf("%d: %s %s", p.operations, op, path))
		hit := f.Fault
		hit.Short = hit.Short && op == Write && f.seen == f.From
		return &hit
	}
	return nil
}

func (f Fault) concerns(op Op, path string, grows bool) bool {
	return (f.On == nil || slices.Contains(f.On, op)) && strings.Contains(path, f.In) && (grows || !f.Grows)
}

// Gate is a place where flushes stand until it is opened.
type Gate struct {
	Arrived chan string // the path of each flush that stands here

	in   string
	open chan struct{}
	once sync.Once
}

// Hold makes every flush of paths that contain in stand at the Gate.
func (p *plan) Hold(in string) *Gate {
	g := &Gate{Arrived: make(chan string, 100), in: in, open: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gates = append(p.gates, g)
	return g
}

// Open lets everyone through, for good.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// wait stands where a flush of path has to stand.
func (p *plan) wait(path string) {
	p.mu.Lock()
	gates, delay := slices.Clone(p.gates), p.delay
	p.mu.Unlock()
	for _, g := range gates {
		if !strings.Contains(path, g.in) {
			continue
		}
		select {
		case g.Arrived <- path:
		default:
		}
		<-g.open
	}
	if delay > 0 {
		<-time.After(delay)
	}
}
