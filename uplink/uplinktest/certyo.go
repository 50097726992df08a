// Package uplinktest holds stand-ins for what the uplink talks to: Certyo, a service on a real socket that holds the
// published contract strictly and keeps all it received, and Proxy, a way to any TCP service that can be cut and
// black-holed. Tests, the demo and the benchmarks share them; the device binary never links them.
//
// Where Certyo's contract is silent the stand-in has a Switch, and where it is lenient the stand-in is not: it is never
// kinder than the real service can be. What a well-behaved client never does (a field of its own invention, a key reused
// for another change, a row's versions out of order, the API key outside its header) is noted in Violations, besides
// being refused where that makes sense.
package uplinktest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"station-agent/store/record"
)

const (
	maxRecords = 1000
	maxBody    = 30_000_000 // a .NET 8 service's default
	keyWindow  = 24 * time.Hour
)

// CertyoConfig is what does not change while the stand-in runs.
type CertyoConfig struct {
	Addr   string   // where to listen; default a free port of 127.0.0.1, and nowhere for NoSocket
	Tenant string   // the only tenantId that is taken
	Client string   // the only clientId that is taken; "" for any
	Keys   []string // API keys that are valid at first

	// The speed at first: see Switches.
	FlushRecords            int // default 1000
	FlushAfter, AnchorAfter time.Duration
}

// Received is one record by its idempotency key, as it came first.
type Received struct {
	Tenant string
	Client string
	record.Record
	Hash       string    // SHA-256 over the compact payload, in hex
	At         time.Time // when it came, by the stand-in's clock; Record.At is the sourceTimestamp
	AnchoredAt time.Time // zero while it is not anchored
	ProvenAt   time.Time // when a verification with the right payload was first told so; zero if none was
	Snapshot   string    // the snapshot it went into
	Replays    int       // how often its key came again within the window
	Doubled    int       // how often it was taken anew because the window had passed, or by the other way to post
}

// Counts are what the stand-in saw.
type Counts struct {
	Requests int // of any kind, also refused ones
	Posts    int // requests with records that were read
	Records  int // records in them
	Replays  int // of those, known already
	Refused  int // of those, refused
	Verifies int // verifications that were answered
	Limited  int // requests that the rate limit refused
}

// Call is one request as the stand-in saw it, for comparing with what a client says that it did.
type Call struct {
	At      time.Time `json:"at"`                // when it was read, by the stand-in's clock
	Station string    `json:"station"`           // what stands in the brackets of the User-Agent, else all of it
	Client  string    `json:"client,omitempty"`  // clientId of the first record
	Method  string    `json:"method"`            //
	Path    string    `json:"path"`              // without the query
	Records int       `json:"records,omitempty"` // in the body
	Bytes   int       `json:"bytes"`             // of the body
	Status  int       `json:"status"`            // of the answer; 0: the connection was broken instead
}

// Certyo is the stand-in. Its methods may be called at any time from any goroutine.
type Certyo struct {
	cfg  CertyoConfig
	addr string

	mu         sync.Mutex
	server     *http.Server // nil while stopped
	stopped    chan struct{}
	sw         Switches
	offset     time.Duration
	entries    []*entry
	byKey      map[string]*entry
	byRow      map[row][]*entry
	pending    []*entry
	since      time.Time // of the oldest pending one
	snapshots  int       // begun
	tokens     float64   // of the rate limit
	filled     time.Time // when they were counted last
	calls      []Call
	counts     Counts
	violations []string
}

type row struct{ database, collection, id string }

func (r Received) row() row { return row{r.Database, r.Collection, r.ID} }

type entry struct {
	Received
	taken  map[string]time.Time // when the key was taken last, by scope
	anchor time.Time            // when it is or will be anchored
}

// NewCertyo starts a stand-in.
func NewCertyo(cfg CertyoConfig) (*Certyo, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	c := &Certyo{cfg: cfg, addr: cfg.Addr, byKey: map[string]*entry{}, byRow: map[row][]*entry{}, snapshots: 1}
	c.sw = Switches{
		Keys: slices.Clone(cfg.Keys), FlushRecords: cmp.Or(cfg.FlushRecords, maxRecords),
		FlushAfter: cmp.Or(cfg.FlushAfter, 60*time.Second), AnchorAfter: cmp.Or(cfg.AnchorAfter, 90*time.Second),
	}
	return c, c.Start()
}

// Addr is host:port, the same after each Start.
func (c *Certyo) Addr() string { return c.addr }

// NoSocket is an Addr at which nobody listens: the way to such a stand-in is a Line.
const NoSocket = "certyo.invalid"

// URL is the base address.
func (c *Certyo) URL() string { return "http://" + c.addr }

// Start listens again after Stop. What was received before is still there.
func (c *Certyo) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil || c.addr == NoSocket {
		return nil
	}
	l, err := listen(c.addr)
	if err != nil {
		return fmt.Errorf("start stand-in for Certyo: %w", err)
	}
	c.addr, c.stopped = l.Addr().String(), make(chan struct{})
	c.server = &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func(s *http.Server, stopped chan struct{}) {
		defer close(stopped)
		_ = s.Serve(l) // ends by Stop alone
	}(c.server, c.stopped)
	return nil
}

// listen waits a little for an address that some connection's other end holds for the moment.
func listen(addr string) (net.Listener, error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		l, err := net.Listen("tcp", addr)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return l, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Stop refuses connections and breaks the ones there are, also amid a request.
func (c *Certyo) Stop() {
	c.mu.Lock()
	server, stopped := c.server, c.stopped
	c.server = nil
	c.mu.Unlock()
	if server != nil {
		server.Close()
		<-stopped
	}
}

// Close is Stop.
func (c *Certyo) Close() { c.Stop() }

// Advance sets the stand-in's clock forward: anchoring and the 24 hours of a key go by it.
func (c *Certyo) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func (c *Certyo) now() time.Time { return time.Now().Add(c.offset).UTC() }

// Records gives what was accepted, one per key, in the order of arrival.
func (c *Certyo) Records() []Received { return c.list(func(*entry) bool { return true }) }

// History gives what was accepted of one row, in the order of arrival.
func (c *Certyo) History(recordID string) []Received {
	return c.list(func(e *entry) bool { return e.ID == recordID })
}

// Anchored counts the records that are on the chain by now.
func (c *Certyo) Anchored() int {
	return len(c.list(func(e *entry) bool { return !e.anchor.IsZero() && !e.anchor.After(c.now()) }))
}

func (c *Certyo) list(want func(*entry) bool) []Received {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	now, list := c.now(), []Received{}
	for _, e := range c.entries {
		if !want(e) {
			continue
		}
		r := e.Received
		if !e.anchor.After(now) {
			r.AnchoredAt = e.anchor
		}
		list = append(list, r)
	}
	return list
}

// Counts gives the counters.
func (c *Certyo) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Calls lists all requests in the order in which they were answered.
func (c *Certyo) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Violations lists what a well-behaved client never does. Tests demand that it stays empty.
func (c *Certyo) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

func (c *Certyo) violation(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// settle flushes what is old enough. It goes by the clock alone, so no goroutine is needed.
func (c *Certyo) settle() {
	if len(c.pending) > 0 && !c.now().Before(c.since.Add(c.sw.FlushAfter)) {
		c.flush(c.since.Add(c.sw.FlushAfter))
	}
}

func (c *Certyo) flush(at time.Time) {
	if c.sw.NeverAnchor {
		return
	}
	for _, e := range c.pending {
		e.anchor = at.Add(c.sw.AnchorAfter)
	}
	c.pending = nil
	c.snapshots++
}

// take ingests r, which came by one of the two ways to post, or replays its key. Its result tells which.
func (c *Certyo) take(r Received, by string) (first *entry, replayed bool) {
	c.settle()
	if !c.sw.KeysByPath {
		by = ""
	}
	now := c.now()
	e := c.byKey[r.Key]
	switch {
	case e != nil && now.Sub(e.taken[by]) < keyWindow:
		if !same(e.Received, r) {
			c.violation("key %s was used for another change", r.Key)
		}
		e.Replays++
		c.counts.Replays++
		return e, true
	case e != nil:
		e.Doubled++
		e.taken[by] = now
		return e, false
	}
	c.order(r)
	r.At, r.Snapshot = now, fmt.Sprint("snapshot-", c.snapshots)
	e = &entry{Received: r, taken: map[string]time.Time{by: now}}
	c.entries, c.byKey[r.Key], c.byRow[r.row()] = append(c.entries, e), e, append(c.byRow[r.row()], e)
	if len(c.pending) == 0 {
		c.since = now
	}
	if c.pending = append(c.pending, e); len(c.pending) >= c.sw.FlushRecords {
		c.flush(now)
	}
	return e, false
}

func same(a, b Received) bool {
	return a.Hash == b.Hash && a.Database == b.Database && a.Collection == b.Collection && a.ID == b.ID &&
		a.Version == b.Version && a.Op == b.Op && a.Record.At.Equal(b.Record.At)
}

// order notes a row whose versions don't increase.
func (c *Certyo) order(r Received) {
	if before := c.byRow[r.row()]; len(before) > 0 {
		if last := before[len(before)-1].Version; !less(last, r.Version) {
			c.violation("row %s: version %s came after %s", r.ID, r.Version, last)
		}
	}
}

// less compares two decimal numbers of any length.
func less(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }
