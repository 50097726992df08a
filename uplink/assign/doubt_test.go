package assign

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
)

// late is a network that holds the first connection's bytes back after hold, lets nobody else in until open, and delivers
// what it held when it is told to, although the client is long gone.
//
//	client ──▶ late ┄┄ held ┄┄▶ database
type late struct {
	mu      sync.Mutex
	holding bool
	closed  bool // for new connections
	held    []byte
	up      net.Conn // of the first connection
	client  net.Conn
	trigger string // in bytes of the first connection: then does something, before they go on
	then    func()
}

func newLate(t *testing.T, upstream string) (*late, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &late{}
	var joined sync.WaitGroup
	joined.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			joined.Go(func() { n.carry(c, upstream) })
		}
	})
	t.Cleanup(func() { l.Close(); n.end(); joined.Wait() })
	return n, l.Addr().String()
}

func (n *late) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up != nil {
		n.up.Close()
		n.client.Close()
	}
}

func (n *late) carry(c net.Conn, upstream string) {
	defer c.Close()
	n.mu.Lock()
	closed, first := n.closed, n.up == nil
	n.mu.Unlock()
	if closed {
		return
	}
	up, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	if !first {
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(up, c); up.Close() })
		both.Go(func() { _, _ = io.Copy(c, up); c.Close() })
		both.Wait()
		return
	}
	n.mu.Lock()
	n.up, n.client = up, c
	n.mu.Unlock()
	var answers sync.WaitGroup
	answers.Go(func() { n.answer(c, up) })
	_, _ = io.Copy(n, c)
	answers.Wait()
}

// answer carries answers until hold; that to the late bytes is for deliver.
func (n *late) answer(c, up net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		k, err := up.Read(buf)
		if err != nil {
			return
		}
		_, _ = c.Write(buf[:k])
	}
}

// Write takes the bytes of the first connection.
func (n *late) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.then != nil && bytes.Contains(b, []byte(n.trigger)) {
		n.then()
		n.then = nil
	}
	if n.holding {
		n.held = append(n.held, b...)
		return len(b), nil
	}
	return n.up.Write(b)
}

func (n *late) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holding = true
	n.deafen()
}

// deafen lets no answer through any more, and nobody in. The lock is held.
func (n *late) deafen() {
	n.closed = true
	_ = n.up.SetReadDeadline(time.Now()) // ends answer
}

// at does something with the lock held when text comes over the first connection, before it is handed on.
func (n *late) at(text string, then func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trigger, n.then = text, then
}

func (n *late) open() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = false
}

// deliver gives the database what was held and waits for its answer.
func (n *late) deliver(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.held) == 0 {
		t.Error("nothing was held: the test shows nothing")
	}
	_ = n.up.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := n.up.Write(n.held)
	_, answered := n.up.Read(make([]byte, 4096))
	if err := errors.Join(err, answered); err != nil {
		t.Error(err)
	}
}

// TestLateStatementDoesNotUndoTheUndo: an UPDATE gets no answer, the item is undone over another connection, and then the
// UPDATE arrives.
func TestLateStatementDoesNotUndoTheUndo(t *testing.T) {
	for what, retried := range map[string]bool{"undone before the row was": false, "undone after another try": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it waits most of the time
			db := servers.MariaDB(t)
			row(t, db, "a", none)
			row(t, db, "warm", none)
			network, addr := newLate(t, db.Addr)
			j := newJournal()
			l, _ := settler(t, agentDB(t, addr, nil), j, func(c *SettlerConfig) { c.Timeout = time.Second })
			j.add(record.Intent{ID: 1, Hash: "warm", Package: pkg("P"), Replaces: may(none)}) // prepares the statement
			j.settled(t)
			network.hold()
			j.add(record.Intent{ID: 2, Hash: "a", Package: pkg("P"), Replaces: may(none)})
			until(t, "it was given up", func() bool { return l.why() != nil })
			if retried {
				network.open()
				j.settled(t)
			}
			j.add(record.Intent{ID: 3, Hash: "a", Package: none, Replaces: may(pkg("P"))})
			network.open()
			until(t, "the undo was tried", func() bool { return l.seen()[len(l.seen())-1] == "back" && shows(t, db, "a") == nil })
			network.deliver(t)
			j.settled(t)
			if v := shows(t, db, "a"); v != nil {
				t.Errorf("undone, and %s: intents ended %s and %s", inside(v), j.outcome(2).Result, j.outcome(3).Result)
			}
		})
	}
}

// TestAnswerOfCommitLost: a package is written and nobody here knows. Its undo is done at once and held open as long as the
// COMMIT may still have to come.
func TestAnswerOfCommitLost(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		row(t, db, "b", none)
		network, addr := newLate(t, db.Addr)
		j := newJournal()
		l, _ := settler(t, agentDB(t, addr, nil), j, func(c *SettlerConfig) { c.Timeout = time.Second })
		network.at("COMMIT", network.deafen)
		list := together(1, 1, pkg("P"), may(none), "a", "b")
		j.add(list...)
		until(t, "it was given up", func() bool { return l.why() != nil })
		given := time.Now()
		showsAll(t, db, pkg("P"), "a", "b")
		undo := together(3, 2, none, may(pkg("P")), "a", "b")
		j.add(undo...)
		network.open()
		until(t, "it is undone", func() bool { return count(t, db, "external_package_id IS NULL") == 2 })
		if n := len(j.Open()); n != 4 {
			t.Errorf("%d open while the COMMIT may come", n)
		}
		j.settled(t)
		if d := time.Since(given); d < lockWait {
			t.Errorf("all ended after %v", d)
		}
		showsAll(t, db, none, "a", "b")
		if got := j.results(list); !slices.Equal(got, all(record.Superseded, 2)) || j.results(undo)[0].Parks() || j.results(undo)[1].Parks() {
			t.Errorf("ended %v, undone %v", got, j.results(undo))
		}
	})
}

// TestAnswerOfCommitLostAndPackedOn: with nothing to undo, the rows decide at once.
func TestAnswerOfCommitLostAndPackedOn(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "a", none)
		row(t, db, "b", none)
		network, addr := newLate(t, db.Addr)
		j := newJournal()
		l, _ := settler(t, agentDB(t, addr, nil), j, func(c *SettlerConfig) { c.Timeout = time.Second })
		network.at("COMMIT", network.deafen)
		list := together(1, 1, pkg("P"), may(none), "a", "b")
		j.add(list...)
		until(t, "it was given up", func() bool { return l.why() != nil })
		network.open()
		j.settled(t)
		if got := j.results(list); !slices.Equal(got, all(record.SameValue, 2)) || len(j.written()) != 1 {
			t.Errorf("ended %v in %d writes", got, len(j.written()))
		}
		showsAll(t, db, pkg("P"), "a", "b")
	})
}

// TestLateCommitDoesNotUndoTheUndo: the connection breaks, and the COMMIT is still on its way. The undo finds the rows as
// they were, and then the COMMIT arrives.
func TestLateCommitDoesNotUndoTheUndo(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		row(t, db, "0", pkg("Q"))
		row(t, db, "a", none)
		row(t, db, "b", none)
		network, addr := newLate(t, db.Addr)
		j := newJournal()
		l, _ := settler(t, agentDB(t, addr, nil), j, func(c *SettlerConfig) { c.Timeout = 3 * time.Second })
		network.at("COMMIT", func() {
			network.holding = true
			network.deafen()
			reset(network.client)
		})
		j.add(together(1, 1, pkg("P"), may(none), "a", "b")...)
		until(t, "it was given up", func() bool { return l.why() != nil })
		undo := together(3, 2, none, may(pkg("P")), "0", "a", "b") // the first guess is wrong, so that the rows are read
		undo[0].Replaces = may(pkg("Q"), pkg("P"))
		j.add(undo...)
		network.open()
		until(t, "the undo was done", func() bool { return shows(t, db, "0") == nil })
		showsAll(t, db, none, "a", "b")
		network.deliver(t)
		showsAll(t, db, pkg("P"), "a", "b")
		j.settled(t)
		showsAll(t, db, none, "0", "a", "b")
	})
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// TestLateStatementOfTheProcessBefore: what was open at the start may be on its way. Only the row that this can change waits.
func TestLateStatementOfTheProcessBefore(t *testing.T) {
	db := servers.MariaDB(t)
	for _, hash := range []string{"undone", "packed", "moved"} {
		row(t, db, hash, none)
	}
	j := newJournal(
		record.Intent{ID: 1, Hash: "undone", Package: pkg("P"), Replaces: may(none)},
		record.Intent{ID: 2, Hash: "undone", Package: none, Replaces: may(pkg("P"))},
		record.Intent{ID: 3, Hash: "packed", Package: pkg("P"), Replaces: may(none)},
		record.Intent{ID: 4, Hash: "moved", Package: pkg("P"), Replaces: may(none)},
		record.Intent{ID: 5, Hash: "moved", Package: pkg("Q"), Replaces: may(none, pkg("P"))},
	)
	s, err := NewSettler(SettlerConfig{DB: agentDB(t, db.Addr, nil), Explain: itself, Table: table, Intents: j, Condition: &lamp{}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	stop := runs(t, s.Run)
	until(t, "all but the undone row ended", func() bool { return len(j.Open()) == 2 })
	if err := stop(); err != nil { // and again: the doubt isn't lost with the process
		t.Fatal(err)
	}
	settler(t, agentDB(t, db.Addr, nil), j, func(c *SettlerConfig) { c.Timeout = time.Second })
	exec(t, db, "UPDATE `external`.buylo_products SET external_package_id = 'P' WHERE hash = 'undone'") // late
	j.settled(t)
	if v := shows(t, db, "undone"); v != nil || j.outcome(1).Result != record.Superseded {
		t.Errorf("row is %s, the first intent %s", inside(v), j.outcome(1).Result)
	}
}

func TestDoubts(t *testing.T) {
	now := time.Now()
	soon := now.Add(time.Second)
	d := doubts{}
	d.assume([]record.Intent{{Hash: "a", Package: pkg("Q"), Replaces: may(none, pkg("P"), pkg("Q"))}}, soon)
	for _, c := range []struct {
		hash string
		want record.Value
		at   time.Time
		hold bool
	}{
		{"a", none, now, true},
		{"a", pkg("P"), now, true},
		{"a", pkg("Q"), now, false},
		{"a", pkg(""), now, false}, // which isn't NULL
		{"b", none, now, false},
		{"a", none, soon, false},
	} {
		if got := d.hold(record.Intent{Hash: c.hash, Package: c.want}, c.at); got != c.hold {
			t.Errorf("%s %s: held %t", c.hash, inside(c.want), got)
		}
	}
	if d.forget(now); len(d) != 2 {
		t.Errorf("forgot too early: %v", d)
	}
	if d.forget(soon); len(d) != 0 {
		t.Errorf("kept: %v", d)
	}
	if notDone(errors.New("no word on it")) {
		t.Error("an error that says nothing leaves no doubt")
	}
}
