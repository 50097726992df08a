package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/capture/queue"
	"station-agent/uplink/mysql"
)

const station = "0a000000-0000-4000-8000-00000000000a"

var goods = &capture.Spec{Schema: "external", Name: "goods", Key: []string{"hash"}, Updated: "touched"}

// task is what a reader is asked to do.
type task struct {
	Way  string
	Addr string // of the server
	Dir  string // of the store
	Said string // a file for what it stored, and what is wrong
}

// TestWorker is no test: it is the body of the readers.
func TestWorker(t *testing.T) {
	var k task
	if there, err := worker.Task(&k); err != nil || !there {
		return
	}
	said, err := os.OpenFile(k.Said, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, k.Dir)
	source, err := k.source(t, s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := capture.New(capture.Config{Tables: []*capture.Spec{goods}, Scope: capture.Scope{Station: station}}, source, teller{s.DB, said}, condition{said})
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() { _ = s.Run(context.Background()) }) // until it is killed
	both.Go(func() {
		<-r.Armed()
		fmt.Fprintln(said, "armed")
	})
	err = r.Run(context.Background())
	fmt.Fprintln(said, "ended:", err)
	both.Wait()
}

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{
		Dir: dir, Reserve: -1, Identity: store.Identity{Environment: "test", Station: station, Database: "matrix/external"},
		Now: func() record.Stamp {
			return record.Stamp{Boot: "matrix", Mono: time.Since(began), Wall: time.Now().UTC(), Trusted: true}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var began = time.Unix(0, 0)

func (k task) source(t testing.TB, s *store.Store) (capture.Source, error) {
	user, password := servers.CaptureUser, servers.CapturePassword
	if k.Way == byQueue {
		user, password = servers.AgentUser, servers.AgentPassword
	}
	db, err := mysql.Open(mysql.Config{
		Address: k.Addr, Schema: "external", User: user, Password: func() (string, error) { return password, nil }, Program: "matrix", Station: station, MaxConns: 3,
	})
	if err != nil {
		return nil, err
	}
	switch k.Way {
	case byQueue:
		return queue.New(queue.Config{
			DB: db, Explain: mysql.Explain, Table: goods, Queue: queue.DefaultName(goods), Station: station, Known: s.DB.ShadowIDs, Stored: s.DB.Position,
			Every: 50 * time.Millisecond,
		})
	case byPoll:
		return poll.New(poll.Config{DB: db, Explain: mysql.Explain, Table: goods, Station: station, Shadow: s.DB, Every: 100 * time.Millisecond})
	}
	return binlog.New(binlog.Config{
		Address: k.Addr, User: user, Password: func() (string, error) { return password, nil }, DB: db, Explain: mysql.Explain, Known: s.DB.ShadowIDs,
		Memory: s.DB, Tables: []*capture.Spec{goods}, Mode: binlog.Mode(k.Way), Station: station, Version: "matrix",
	})
}

// teller tells which rows were stored.
type teller struct {
	*store.DB
	said *os.File
}

// Put implements capture.Store.
func (s teller) Put(g record.Group) error { return s.tell(g, s.DB.Put(g)) }

// PutSnapshot implements capture.Store.
func (s teller) PutSnapshot(g record.Group) error { return s.tell(g, s.DB.PutSnapshot(g)) }

func (s teller) tell(g record.Group, err error) error {
	if err == nil {
		var b bytes.Buffer
		for _, r := range g.Records {
			fmt.Fprintln(&b, "stored", r.ID)
		}
		if g.Position.Sweep != "" {
			fmt.Fprintln(&b, "sweeping")
		} else if !g.Position.Zero() {
			fmt.Fprintln(&b, "swept")
		}
		_, err = s.said.Write(b.Bytes())
	}
	return err
}

type condition struct{ said *os.File }

func (c condition) Lost(err error) { fmt.Fprintln(c.said, "lost:", err) }
func (c condition) Back()          {}

// reader is a process that follows the table by one way into a store.
type reader struct {
	t    *testing.T
	task task
	cmd  *exec.Cmd
	from int // how much had been said when it was started
}

func newReader(t *testing.T, way string, db *servers.Database) *reader {
	dir := t.TempDir()
	return &reader{t: t, task: task{way, db.Addr, filepath.Join(dir, "store"), filepath.Join(dir, "said")}}
}

// start starts it; it may be armed later.
func (r *reader) start() {
	r.t.Helper()
	text, err := json.Marshal(r.task)
	if err != nil {
		r.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	r.from = len(r.said())
	r.cmd = exec.Command(self, "-test.run=^TestWorker$", "-test.timeout=30m")
	r.cmd.Env = append(os.Environ(), worker.Variable+"="+string(text))
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.kill)
}

// kill ends it as a power cut would end it.
func (r *reader) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait() // it says that it was killed
		r.cmd = nil
	}
}

func (r *reader) said() string {
	b, err := os.ReadFile(r.task.Said)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(b)
}

// until waits until it has said a line since it was started.
func (r *reader) until(line string) {
	r.t.Helper()
	capturetest.Until(r.t, func() (string, bool) {
		said := r.said()
		return fmt.Sprintf("%s: no line %q; the end of what it said:\n%s", r.task.Way, line, said[max(0, len(said)-1500):]), strings.Contains("\n"+said[r.from:], "\n"+line+"\n")
	})
}

// records opens the store and gives what it would send, in order. The reader must be dead.
func (r *reader) records() (list []record.Record) {
	r.t.Helper()
	s := open(r.t, r.task.Dir)
	defer s.Close()
	err := s.DB.Waiting(func(q record.Queued) error {
		q.Payload = bytes.Clone(q.Payload)
		list = append(list, q.Record)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}
