package matrix

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/build/worker"
	"station-agent/store/record"
	"station-agent/uplink/uplinktest"
)

const (
	armedWithin  = 30 * time.Second
	agreedWithin = 40 * time.Second
)

// cell is a way on a server: a reader behind a proxy, whose store outlives it.
type cell struct {
	t      *testing.T
	way    string
	tables []string
	dir    string
	proxy  *uplinktest.Proxy
	blur   time.Duration // what the times in its records and ours may differ by

	gaps  []*regexp.Regexp // what the gaps are that have to be named, in order
	begun time.Time        // when it was first armed

	reader *reader
}

// reader is one process of a cell.
type reader struct {
	cmd   *exec.Cmd
	input io.Closer
	armed chan struct{}
	since time.Time     // when it was
	ended chan struct{} // when its output was read to the end

	mu    sync.Mutex
	known map[string]string
	lost  []string
	other bytes.Buffer // of its output
}

func newCell(t *testing.T, db *servers.Database, way string) *cell {
	t.Helper()
	proxy, err := uplinktest.NewProxy(db.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	c := &cell{t: t, way: way, dir: t.TempDir(), proxy: proxy, blur: slack, tables: []string{goodsTable, productTable}}
	if way == byQueue || db.Flavor == "mysql" { // they have µs, of the clock that we have
		c.blur = 5 * time.Millisecond
	}
	if way == byQueue {
		c.tables = c.tables[:1]
	}
	t.Cleanup(c.kill)
	return c
}

// expect notes what gap the records must name of a trouble.
func (c *cell) expect(p phase) {
	if gap := map[string]*regexp.Regexp{byGTID: p.gtid, byPosition: p.places}[c.way]; gap != nil {
		c.gaps = append(c.gaps, gap)
	}
}

// start starts a reader and waits until no change can escape it.
func (c *cell) start() {
	c.t.Helper()
	cmd, err := worker.Command(task{Way: c.way, Dir: c.dir, Address: c.proxy.Addr()})
	if err != nil {
		c.t.Fatal(err)
	}
	r := &reader{cmd: cmd, armed: make(chan struct{}), ended: make(chan struct{}), known: make(map[string]string)}
	cmd.Stderr = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if r.input, err = cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.reader = r
	go r.listen(out)
}

// arm waits until no change can escape the reader.
func (c *cell) arm() {
	c.t.Helper()
	select {
	case <-c.reader.armed:
	case <-c.reader.ended:
		c.t.Fatalf("%s: the reader ended: %s", c.way, c.reader.said())
	case <-time.After(armedWithin):
		c.t.Fatalf("%s: the reader is not armed: %s", c.way, c.reader.said())
	}
	if c.begun.IsZero() {
		c.begun = c.reader.since
	}
}

func (r *reader) listen(out io.Reader) {
	defer close(r.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line told
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			_, _ = r.Write(append(lines.Bytes(), '\n'))
			continue
		}
		r.hear(line)
	}
}

// Write implements io.Writer, for what isn't told in lines of its own.
func (r *reader) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.other.Write(text)
}

func (r *reader) hear(line told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case line.Armed:
		r.since = time.Now()
		close(r.armed)
	case line.Lost != "":
		r.lost = append(r.lost, line.Lost)
	case line.Sum == "":
		delete(r.known, line.Row)
	default:
		r.known[line.Row] = line.Sum
	}
}

// said is what the reader had to say, for a test that fails.
func (r *reader) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, _ := json.MarshalIndent(r.lost[max(0, len(r.lost)-10):], "", "  ")
	return string(text) + "\n" + r.other.String()
}

// kill ends the reader by SIGKILL.
func (c *cell) kill() {
	if r := c.reader; r != nil {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
		_ = r.cmd.Wait()
		c.reader = nil
	}
}

// stop lets the reader end by itself.
func (c *cell) stop() {
	c.t.Helper()
	r := c.reader
	r.input.Close()
	<-r.ended
	if err := r.cmd.Wait(); err != nil {
		c.t.Errorf("%s: the reader ended with %v: %s", c.way, err, r.said())
	}
	c.reader = nil
}

// agree waits until the reader knows every row as it is: what lasts is found by each way. It tells why that didn't come, "" if
// it did.
func (c *cell) agree(m *model) (why string) {
	for end := time.Now().Add(agreedWithin); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-c.reader.ended:
			return c.way + ": the reader ended: " + c.reader.said()
		default:
		}
		c.reader.mu.Lock()
		known := maps.Clone(c.reader.known)
		c.reader.mu.Unlock()
		if why = m.disagreement(known, c.tables); why == "" {
			return ""
		}
	}
	return c.way + ": " + why + "\nit said " + c.reader.said()
}

// records are all that the reader put into its store, in order.
func (c *cell) records() []record.Record {
	c.t.Helper()
	s, err := openStore(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer s.Close()
	if lost := s.Losses(); len(lost) > 0 {
		c.t.Errorf("%s: the store lost something: %+v", c.way, lost)
	}
	var list []record.Record
	err = s.DB.Waiting(func(q record.Queued) error {
		q.Payload = slices.Clone(q.Payload)
		list = append(list, q.Record)
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return list
}
