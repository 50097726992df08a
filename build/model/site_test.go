package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"station-agent/build/servers"
	"station-agent/station/stationtest"
	"station-agent/uplink/uplinktest"
)

const (
	stationCount = 3
	prefix       = "STA-MODEL-" // of the command codes
	startItems   = 45
)

// site is three stations at one table.
type site struct {
	t        *testing.T
	ctx      context.Context
	db       *servers.Database
	seed     uint64
	length   time.Duration
	audit    audit
	world    *world
	stations []*station
}

func newSite(t *testing.T, db *servers.Database, seed uint64, length time.Duration) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length+2*drainWithin)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, db: db, seed: seed, length: length, audit: audit{db.Root()}}
	s.must(s.audit.begin(ctx))
	s.world = newWorld(db.Root(), s.random("world"))
	dir := t.TempDir()
	for n := range stationCount {
		st := newStation(n, filepath.Join(dir, fmt.Sprint(n)), s.world, s.random("rules "+fmt.Sprint(n)))
		s.stations = append(s.stations, st)
		t.Cleanup(st.close)
		s.must(st.setUp(ctx, db, dir))
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.tell()
		}
	})
	s.must(s.world.fill(ctx, startItems))
	return s
}

// random is the source of one thing's choices: it does not depend on what others choose meanwhile.
func (s *site) random(of string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(of))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

func (s *site) start() {
	for _, st := range s.stations {
		s.t.Logf("station %d: %s", st.n, st.rules)
		s.must(st.agent.Start())
	}
	for _, st := range s.stations {
		s.must(st.ready(s.ctx))
	}
}

// tell prints the end of each agent's log and keeps all of it, as the folders of a test are removed.
func (s *site) tell() {
	kept, err := os.MkdirTemp("", "model-failed-")
	if err != nil {
		s.t.Log(err)
		return
	}
	for _, st := range s.stations {
		path := filepath.Join(kept, fmt.Sprintf("station-%d.log", st.n))
		s.t.Logf("the log of station %d is in %s: %v", st.n, path, os.WriteFile(path, []byte(st.agent.text()), 0o600))
	}
}

// rules are what differs between the stations of a run.
type rules struct {
	itemsFirst, together, anyUnit, elsewhere, next bool
}

func (r rules) String() string {
	text := map[bool]string{true: "items first", false: "label first"}[r.itemsFirst] + ", commit " + r.Commit() + ", identical " + r.Identical()
	if r.elsewhere {
		text += ", items may be elsewhere"
	}
	if r.next {
		text += ", with a next password"
	}
	return text
}

// Way, Commit, Identical and Next are values of the configuration.
func (r rules) Way() string {
	return map[bool]string{true: "items first", false: "label first"}[r.itemsFirst]
}
func (r rules) Commit() string    { return map[bool]string{true: "close", false: "item"}[r.together] }
func (r rules) Identical() string { return map[bool]string{true: "any", false: "refuse"}[r.anyUnit] }
func (r rules) Elsewhere() bool   { return r.elsewhere }
func (r rules) Next() bool        { return r.next }

// station is one agent with all that belongs to it.
type station struct {
	n                int
	uuid, user, dir  string
	rules            rules
	world            *world
	db               *servers.Database
	proxy            *uplinktest.Proxy
	scanner          *stationtest.Scanner
	agent            *process
	ledger           *ledger
	read             int // lines of the log that the ledger has taken
	answers          []answer
	journaled        int // answers that were found in the journal
	passwordsChanged int
	calm             atomic.Bool // nothing breaks any more

	mu     sync.Mutex
	faults []period
	parked []intent // in the end
	counts map[string]int
}

// period is from when to when something was broken.
type period struct{ from, to time.Time }

func newStation(n int, dir string, w *world, r *rand.Rand) *station {
	st := &station{n: n, dir: dir, world: w, uuid: fmt.Sprintf("7d6f0f0e-3b7a-4c55-9a0b-%012d", n), user: fmt.Sprintf("bench%d", n), counts: map[string]int{}}
	st.rules = rules{itemsFirst: n == 2, together: r.IntN(2) == 0, anyUnit: r.IntN(2) == 0, elsewhere: r.IntN(2) == 0, next: r.IntN(2) == 0}
	st.ledger = newLedger(st.rules)
	return st
}

// setUp makes an account with exactly the rights that Buylo grants, and everything else that the agent needs.
func (st *station) setUp(ctx context.Context, db *servers.Database, dir string) (err error) {
	st.db = db
	if err := os.Mkdir(st.dir, 0o700); err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("DROP USER IF EXISTS '%s'@'%%'", st.user),
		fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", st.user, st.password()),
		fmt.Sprintf("GRANT SELECT, UPDATE (external_package_id) ON `external`.buylo_products TO '%s'@'%%'", st.user),
	} {
		if _, err := db.Root().ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make account of station %d: %w", st.n, err)
		}
	}
	if st.proxy, err = uplinktest.NewProxy(db.Addr); err != nil {
		return err
	}
	if st.scanner, err = stationtest.NewScanner(st.dir); err != nil {
		return err
	}
	if err := errors.Join(st.put("password", st.password()), st.put("next-password", st.password()), st.put("key", "none")); err != nil {
		return err
	}
	st.agent = newProcess(st.path("agent.toml"))
	return st.writeConfig()
}

func (st *station) close() {
	if st.agent != nil {
		st.agent.Kill()
	}
	if st.scanner != nil {
		st.scanner.Close()
	}
	if st.proxy != nil {
		st.proxy.Close()
	}
}

func (st *station) path(name string) string { return filepath.Join(st.dir, name) }

func (st *station) password() string { return fmt.Sprintf("password-%d-%d", st.n, st.passwordsChanged) }

// put replaces a secret in one step, as a careful person would.
func (st *station) put(name, secret string) error {
	if err := os.WriteFile(st.path(name+".new"), []byte(secret+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(st.path(name+".new"), st.path(name))
}

// configText has nothing to capture and nobody to deliver to: this is about scans and rows. The cool-down is the shortest,
// as these operators are quicker than any trigger bounces.
const configText = `environment = "test"
[station]
uuid = "{{.UUID}}"
[store]
folder = "{{.Dir}}/store"
reserve_mb = 0
[[reader]]
name = "scanner"
device = "{{.Device}}"
[packing]
way = "{{.Way}}"
commit = "{{.Commit}}"
identical = "{{.Identical}}"
allow_elsewhere = {{.Elsewhere}}
package_pattern = "PKG-[0-9]{4}-[0-9]{4,8}"
command_prefix = "{{.Prefix}}"
cool_down = "1ms"
[mysql]
address = "{{.MySQL}}"
user = "{{.User}}"
password_file = "{{.Dir}}/password"
{{- if .Next}}
next_password_file = "{{.Dir}}/next-password"
{{- end}}
refresh = "250ms"
tls = "off"
[capture]
source = "off"
[certyo]
url = "http://127.0.0.1:9"
tenant = "nobody"
client = "nobody"
key_file = "{{.Dir}}/key"
[fleet]
broker = ""
[status]
socket = "{{.Dir}}/agent.sock"
[log]
format = "json"
`

func (st *station) writeConfig() error {
	t, err := template.New("config").Parse(configText)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		rules
		UUID, Dir, Device, Prefix, MySQL, User string
	}{st.rules, st.uuid, st.dir, st.scanner.Path(), prefix, st.proxy.Addr(), st.user})
	if err != nil {
		return err
	}
	return os.WriteFile(st.path("agent.toml"), out.Bytes(), 0o600)
}

// broken notes a fault from then until now.
func (st *station) broken(kind string, from time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.counts[kind]++
	st.faults = append(st.faults, period{from, time.Now()})
}

// group runs things side by side and gives what went wrong.
type group struct {
	join sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *group) run(f func() error) {
	g.join.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.errs = append(g.errs, err)
		}
	})
}

func (g *group) wait() error {
	g.join.Wait()
	return errors.Join(g.errs...)
}

// pause tells whether ctx goes on after d.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// between gives a random time.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

// oneLine makes a text fit for one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
