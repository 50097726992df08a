package matrix

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/queue"
)

// The ways.
const (
	byGTID     = "gtid"
	byPosition = "position"
	byQueue    = "queue"
	byPoll     = "polling"
)

func TestMatrix(t *testing.T) {
	rounds, seed := number(t, "ROUNDS", 1), number(t, "SEED", uint64(time.Now().UnixNano()))
	for _, way := range []string{byGTID, byPosition, byQueue, byPoll} {
		t.Run(way, func(t *testing.T) {
			servers.Databases(t, func(t *testing.T, db *servers.Database) {
				t.Logf("SEED=%d", seed)
				c := &cell{T: t, way: way, work: newWork(t, rand.New(rand.NewPCG(seed, 1)), db), reader: newReader(t, way, db)}
				c.install()
				c.reader.start()
				c.reader.until("armed")
				for range rounds {
					c.round()
				}
				c.caughtUp()
				c.reader.kill()
				judge(t, way, c.work, c.reader.records(), c.gaps)
			})
		})
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return n
}

// cell is one way on one server.
type cell struct {
	*testing.T
	way    string
	work   *work
	reader *reader
	gaps   int
}

const steps = 12 // between two mishaps

func (c *cell) steps(during ...func()) {
	c.Helper()
	for n := range steps {
		if n == steps/2 && len(during) > 0 {
			during[0]()
		}
		c.work.step()
	}
}

// caughtUp waits until the reader has come to what was committed by now, and reads no table as a whole any more.
func (c *cell) caughtUp() {
	c.Helper()
	c.reader.until("stored " + c.work.mark())
	c.settled()
}

// settled waits until no sweep is under way. A poll goes on sweeping: it has come to every row that went once it tells of one that
// went behind them.
func (c *cell) settled() {
	c.Helper()
	if c.way == byPoll {
		id := c.work.mark()
		c.reader.until("stored " + id)
		c.reader.from = len(c.reader.said())
		c.work.unmark(id)
		c.reader.until("stored " + id)
		return
	}
	capturetest.Until(c, func() (string, bool) {
		said := c.reader.said()
		return "it sweeps: " + said[max(0, len(said)-1500):], strings.LastIndex(said, "sweeping\n") <= strings.LastIndex(said, "swept\n")
	})
}

// round is work with every mishap.
func (c *cell) round() {
	c.Helper()
	c.steps()
	c.caughtUp()

	c.steps(func() { // the reader is killed
		c.reader.kill()
		c.reader.start()
	})
	c.steps(c.cut)
	c.steps(func() { // the server is killed; what was open in it is undone
		c.work.db.Kill()
		if err := c.work.db.Start(c.Context()); err != nil {
			c.Fatal(err)
		}
		c.work.connect()
	})
	c.caughtUp()
	c.alter("ADD COLUMN extra INT DEFAULT 7 AFTER hash")
	c.steps()
	c.caughtUp()
	c.alter("DROP COLUMN extra")
	c.steps()
	c.caughtUp()
	switch c.way {
	case byGTID, byPosition:
		c.gap(func() { c.work.exec(c.work.conn, "FLUSH BINARY LOGS"); c.purge() })
		c.gap(c.reset)
		c.truncate()
	case byQueue:
		c.behind(func() {})
	default:
		c.behind(func() {})
		c.truncate()
	}
	c.promote()
}

// cut ends the connections of the reader, as a network does that comes and goes.
func (c *cell) cut() {
	c.Helper()
	rows, err := c.work.db.Root().QueryContext(c.Context(), "SELECT id FROM information_schema.processlist WHERE user IN (?, ?)", servers.CaptureUser, servers.AgentUser)
	if err != nil {
		c.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			c.Fatal(err)
		}
		_, _ = c.work.db.Root().ExecContext(c.Context(), fmt.Sprintf("KILL %d", id)) // it may be gone
	}
}

// alter changes the table. Triggers have to follow it, by what queue ddl prints.
func (c *cell) alter(how string) {
	c.Helper()
	c.work.finish()
	if c.way == byQueue {
		for _, name := range []string{"insert", "update", "delete"} {
			c.work.exec(c.work.conn, "DROP TRIGGER IF EXISTS `external`."+capture.Quote(capture.Own+"goods_"+name))
		}
		c.work.exec(c.work.conn, "DROP TABLE `external`."+capture.Quote(queue.DefaultName(goods).Table))
	}
	c.work.exec(c.work.conn, "ALTER TABLE `external`.goods "+how)
	c.install()
}

// install makes the queue if that is the way.
func (c *cell) install() {
	c.Helper()
	if c.way != byQueue {
		return
	}
	table, err := capture.ReadTable(context.Background(), c.work.db.Root(), goods)
	if err != nil {
		c.Fatal(err)
	}
	list, err := queue.Statements(table, queue.DefaultName(goods), "'"+servers.AgentUser+"'@'%'")
	if err != nil {
		c.Fatal(err)
	}
	c.work.db.Exec(c.T, list...)
}

// behind has the reader miss some work and do then to the server what makes it find nothing of that any more, or nothing at all.
func (c *cell) behind(do func()) {
	c.Helper()
	c.reader.kill()
	c.steps()
	c.work.finish()
	do()
	c.reader.start()
	c.reader.until("armed")
	c.settled()
}

// gap is behind with changes that are lost for the log.
func (c *cell) gap(do func()) {
	c.Helper()
	c.work.blind = true
	c.behind(do)
	c.gaps++
	c.compared()
	c.work.blind = false
	c.steps()
	c.caughtUp()
}

// compared waits until the rows were compared behind a gap: the work goes on only then, as what is done meanwhile is found or seen.
func (c *cell) compared() {
	c.Helper()
	c.reader.until("sweeping")
	c.settled()
}

// purge removes every file of the log but the last. A file that somebody reads stays: the killed reader's connection is ended.
func (c *cell) purge() {
	c.Helper()
	capturetest.Until(c, func() (string, bool) {
		c.cut()
		files := c.logs()
		c.work.exec(c.work.conn, fmt.Sprintf("PURGE BINARY LOGS TO '%s'", files[len(files)-1]))
		files = c.logs()
		return fmt.Sprint("files of the log: ", files), len(files) == 1
	})
}

// logs lists the files of the log.
func (c *cell) logs() (files []string) {
	c.Helper()
	rows, err := c.work.db.Root().QueryContext(c.Context(), "SHOW BINARY LOGS")
	if err != nil {
		c.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		c.Fatal(err)
	}
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new([]byte)
		}
		if err := rows.Scan(cells...); err != nil {
			c.Fatal(err)
		}
		files = append(files, string(*cells[0].(*[]byte)))
	}
	return files
}

func (c *cell) reset() {
	c.Helper()
	if c.work.db.Flavor == "mysql" {
		c.work.exec(c.work.conn, "RESET BINARY LOGS AND GTIDS")
		return
	}
	c.work.exec(c.work.conn, "RESET MASTER")
}

// truncate removes all rows without a word of each.
func (c *cell) truncate() {
	c.Helper()
	c.caughtUp()
	c.work.blind = true
	c.reader.from = len(c.reader.said())
	c.work.exec(c.work.conn, "TRUNCATE TABLE `external`.goods")
	p := c.work.begin()
	for id := range c.work.rows {
		p.did(id, "delete", "")
	}
	c.work.committed(&p)
	if c.way != byPoll {
		c.gaps++
		c.compared()
	}
	c.work.blind = false
	c.steps()
	c.caughtUp()
}

// promote has another server take over, with the rows as they are.
func (c *cell) promote() {
	c.Helper()
	if c.way == byQueue { // it is replicated with the rest: what is in it is read before or behind
		c.caughtUp()
	}
	c.reader.kill()
	c.work.finish()
	start := servers.StartMariaDB
	if c.work.db.Flavor == "mysql" {
		start = servers.StartMySQL
	}
	next, err := start(c.Context(), servers.Options{})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(next.Close)
	if err := next.CreateBuylo(c.Context()); err != nil {
		c.Fatal(err)
	}
	c.work.moveTo(next)
	c.install()
	log := c.way == byGTID || c.way == byPosition
	c.work.blind = log
	c.steps()
	c.work.finish()
	c.reader.task.Addr = next.Addr
	c.reader.start()
	c.reader.until("armed")
	if log {
		c.gaps++
		c.compared()
	}
	c.work.blind = false
	c.steps()
	c.caughtUp()
}
