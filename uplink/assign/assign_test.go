package assign

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/mysql"
)

const table = "external.buylo_products"

// journal is Intents in memory.
type journal struct {
	mu       sync.Mutex
	state    record.State
	outcomes map[uint64]record.Outcome
	writes   [][]record.Outcome // calls of Settle that wrote
	changed  chan struct{}
	fail     error // of the next Settle
}

func newJournal(intents ...record.Intent) *journal {
	j := &journal{outcomes: map[uint64]record.Outcome{}, changed: make(chan struct{})}
	j.add(intents...)
	return j
}

func (j *journal) add(intents ...record.Intent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.Apply(record.Entry{Intents: intents})
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) Open() []record.Intent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.state.Open)
}

func (j *journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

func (j *journal) Settle(outcomes ...record.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.fail; err != nil {
		j.fail = nil
		return err
	}
	for _, o := range outcomes {
		j.state.Apply(record.Entry{Outcome: &o})
		j.outcomes[o.Intent] = o
	}
	j.writes = append(j.writes, slices.Clone(outcomes))
	return nil
}

func (j *journal) outcome(id uint64) record.Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.outcomes[id]
}

// written gives the outcomes of each write.
func (j *journal) written() [][]record.Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.writes)
}

func (j *journal) settled(t *testing.T) {
	t.Helper()
	until(t, "all intents ended", func() bool { return len(j.Open()) == 0 })
}

// lamp is a Condition that notes each turn.
type lamp struct {
	mu    sync.Mutex
	turns []string
	last  error
	lost  int // calls
}

func (l *lamp) turn(to string) {
	if len(l.turns) == 0 || l.turns[len(l.turns)-1] != to {
		l.turns = append(l.turns, to)
	}
}

func (l *lamp) Lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn("lost")
	l.last = err
	l.lost++
}

func (l *lamp) Back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn("back")
}

func (l *lamp) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.turns)
}

func (l *lamp) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *lamp) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// turned waits until the lamp turned so often, and holds it against what is wanted.
func (l *lamp) turned(t *testing.T, want ...string) {
	t.Helper()
	until(t, "the condition turns", func() bool { return len(l.seen()) >= len(want) })
	if got := l.seen(); !slices.Equal(got, want) {
		t.Errorf("condition turned %v, want %v", got, want)
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// agentDB opens the database as the agent does, under the account that Buylo grants.
func agentDB(t *testing.T, addr string, password func() (string, error)) *sql.DB {
	t.Helper()
	if password == nil {
		password = func() (string, error) { return servers.AgentPassword, nil }
	}
	db, err := mysql.Open(mysql.Config{Address: addr, Schema: "external", User: servers.AgentUser, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// runs starts a component and stops it at the end of the test, or when the returned function is called.
func runs(t *testing.T, run func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Second):
			return errors.New("Run still runs 5 s after its context ended")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// row puts an item into the table, as Buylo's bridge does.
func row(t *testing.T, db *servers.Database, hash string, p record.Value) {
	t.Helper()
	exec(t, db, "INSERT INTO `external`.buylo_products (hash, external_package_id) VALUES (?, ?)", hash, p)
}

func exec(t *testing.T, db *servers.Database, text string, args ...any) {
	t.Helper()
	if _, err := db.Root().Exec("SET NAMES utf8mb4"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Root().Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

// hold locks a row until the server dies or the test ends.
func hold(t *testing.T, db *servers.Database, hash string) {
	t.Helper()
	tx, err := db.Root().Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	if _, err := tx.Exec("SELECT * FROM `external`.buylo_products WHERE hash = '" + hash + "' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
}

// shows reads what the row shows.
func shows(t *testing.T, db *servers.Database, hash string) (v record.Value) {
	t.Helper()
	err := db.Root().QueryRow("SELECT external_package_id FROM `external`.buylo_products WHERE hash = ?", hash).Scan(&v)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// blackHole is an address that takes connections and never says a word.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

// nowhere is a database that refuses every connection.
type nowhere struct{}

func (nowhere) Connect(context.Context) (driver.Conn, error) { return nil, errors.New("refused") }
func (nowhere) Driver() driver.Driver                        { return nil }

func itself(err error) error { return err }

// ear is an Explain that remembers what it explained.
type ear struct {
	mu    sync.Mutex
	heard []string
}

func (e *ear) explain(err error) error {
	if err = mysql.Explain(err); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, err.Error())
	}
	return err
}

func (e *ear) count(text string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.heard {
		if strings.Contains(h, text) {
			n++
		}
	}
	return n
}

// status gives one of the server's counters.
func status(t *testing.T, db *servers.Database, name string) (n int) {
	t.Helper()
	if err := db.Root().QueryRow("SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQuote(t *testing.T) {
	for table, want := range map[string]string{
		"external.buylo_products": "`external`.`buylo_products`", "rows": "`rows`",
		"": "", "a.b.c": "", "a`b": "", "a b": "", "a.": "", ".b": "", "x;DROP TABLE y": "", "ä": "",
	} {
		if got, err := quote(table); got != want || (err == nil) != (want != "") {
			t.Errorf("quote(%q) = %s, %v", table, got, err)
		}
	}
}

func TestBackoffGrowsToItsCeilingAndFallsBack(t *testing.T) {
	b := backoff{max: 5 * time.Second}
	for _, want := range []time.Duration{250, 500, 1000, 2000, 4000, 5000, 5000} {
		want *= time.Millisecond
		if d := b.next(); d < want/2 || d > want {
			t.Errorf("pause %v, want %v to %v", d, want/2, want)
		}
	}
	b.reset()
	if d := b.next(); d > 250*time.Millisecond {
		t.Errorf("pause after a success %v", d)
	}
	soon := backoff{least: 50 * time.Millisecond, max: 2 * time.Second}
	for _, most := range []time.Duration{250, 500, 1000, 2000, 2000} {
		if d := soon.next(); d < soon.least || d > most*time.Millisecond {
			t.Errorf("pause %v, want %v to %v", d, soon.least, most*time.Millisecond)
		}
	}
}
