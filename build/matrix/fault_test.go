package matrix

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/queue"
)

// site is a server with its workload and the cells that capture it.
type site struct {
	*work
	t     *testing.T
	cells []*cell
	heir  *servers.Database // a replica that takes over
	rnd   *rand.Rand
}

// phase is one kind of trouble while the workload goes on. What it leaves behind, the log says or doesn't.
type phase struct {
	name   string
	does   func(*site)
	gtid   *regexp.Regexp // what the gap is of which readers by GTID must speak; nil: there is none
	places *regexp.Regexp // the same for readers by file and position
}

const (
	promotion = "another server is promoted"
	anew      = "the history begins anew"
)

// begunAnew is how a gap says that the log isn't the one that was read.
var begunAnew = regexp.MustCompile("another history|begun anew")

// goneUnder is what a server may say of it besides, or the stream: its file is no more.
var goneUnder = regexp.MustCompile(begunAnew.String() + "|is gone|I/O error reading log event")

func phases() []phase {
	return []phase{
		{"calm", (*site).calm, nil, nil},
		{"connections are reset", (*site).resets, nil, nil},
		{"tables are altered", (*site).alter, nil, nil},
		{"the server is killed", (*site).killServer, nil, nil},
		{"readers are killed", (*site).killReaders, nil, nil},
		{promotion, (*site).promote, nil, regexp.MustCompile("it is another server")},
		{"the log is purged", (*site).purge, regexp.MustCompile("was purged"), regexp.MustCompile("was purged")},
		{"a table is truncated", (*site).truncate, regexp.MustCompile("TRUNCATE"), regexp.MustCompile("TRUNCATE")},
		{anew, (*site).reset, goneUnder, goneUnder},
		{"the history begins anew unread", (*site).resetUnread, begunAnew, goneUnder},
	}
}

// span is how long the workload goes on beside a trouble.
func (s *site) span() { time.Sleep(time.Duration(300+s.rnd.IntN(400)) * time.Millisecond) }

// each does something to all cells at once.
func (s *site) each(f func(*cell)) {
	var all sync.WaitGroup
	for _, c := range s.cells {
		all.Go(func() { f(c) })
	}
	all.Wait()
}

func (s *site) startAll() {
	for _, c := range s.cells {
		c.start()
	}
	for _, c := range s.cells {
		c.arm()
	}
}

func (s *site) calm() { s.during(func() { s.span(); s.span() }) }

// resets breaks the connections, and has them hang for a while.
func (s *site) resets() {
	s.during(func() {
		for i := range 3 {
			s.span()
			s.each(func(c *cell) {
				if i == 1 {
					c.proxy.BlackHole()
					time.Sleep(200 * time.Millisecond)
				} else {
					c.proxy.Cut()
				}
				c.proxy.Restore()
			})
		}
	})
}

func (s *site) killReaders() {
	s.during(func() {
		for range 2 {
			s.span()
			s.each((*cell).kill)
			s.startAll()
		}
	})
}

func (s *site) killServer() {
	s.during(func() {
		for range 2 {
			s.span()
			s.restart()
		}
	})
}

func (s *site) restart() {
	s.db.Kill()
	if err := s.db.Start(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// alter adds a column to the table and to its neighbour, and drops the last one, while the readers lag behind. Between the two
// they catch up: of rows between two changes of a layout that nobody read there is no telling. With a queue, an administrator
// renews it each time.
func (s *site) alter() {
	s.during(func() {
		s.span()
		s.still(func() { s.alterTo(s.addColumn) })
		s.span()
		s.still(s.agree)
		s.span()
		if s.rnd.IntN(2) == 0 {
			s.still(func() { s.alterTo(s.dropColumn) })
		} else {
			s.still(func() { s.alterTo(s.addColumn) })
		}
		s.span()
	})
}

func (s *site) alterTo(change func()) {
	s.more++
	s.drainQueue()
	s.db.Exec(s.t, fmt.Sprintf("ALTER TABLE matrix.ledger ADD COLUMN y%d INT", s.more))
	change()
	s.renewQueue()
}

func (s *site) addColumn() {
	c := added{fmt.Sprintf("x%d", s.more), fmt.Sprintf("new %d", s.more)}
	at := ""
	if s.more%2 == 0 {
		at = " AFTER " + s.layout.types[s.more%len(s.layout.types)].name
	}
	s.db.Exec(s.t, fmt.Sprintf("ALTER TABLE matrix.goods ADD COLUMN %s VARCHAR(20) NOT NULL DEFAULT '%s'%s", c.name, c.otherwise, at))
	s.layout.added = append(s.layout.added, c)
}

func (s *site) dropColumn() {
	if n := len(s.layout.added); n > 0 {
		s.db.Exec(s.t, "ALTER TABLE matrix.goods DROP COLUMN "+s.layout.added[n-1].name)
		s.layout.added = s.layout.added[:n-1]
	}
}

// account is the readers' as GRANT has it.
const account = "'" + servers.CaptureUser + "'@'%'"

// drainQueue waits until the reader took what lies in the queue: of an altered table it couldn't read it.
func (s *site) drainQueue() {
	name := queue.DefaultName(goodsSpec())
	capturetest.Until(s.t, func() (string, bool) {
		var waiting int
		err := s.db.Root().QueryRow("SELECT COUNT(*) FROM matrix." + name.Table + " WHERE taken IS NULL").Scan(&waiting)
		return fmt.Sprintf("%d entries wait: %v", waiting, err), err == nil && waiting == 0
	})
}

// renewQueue is what has to follow a change of the table: what there is goes, and what is printed then is run.
func (s *site) renewQueue() {
	s.db.Exec(s.t, "DROP TABLE matrix."+queue.DefaultName(goodsSpec()).Table)
	for _, op := range []string{"insert", "update", "delete"} {
		s.db.Exec(s.t, "DROP TRIGGER matrix.station_agent_goods_"+op)
	}
	s.makeQueue()
}

func (s *site) makeQueue() {
	table, err := capture.ReadTable(s.t.Context(), s.db.Root(), goodsSpec())
	if err != nil {
		s.t.Fatal(err)
	}
	list, err := queue.Statements(table, queue.DefaultName(goodsSpec()), account)
	if err != nil {
		s.t.Fatal(err)
	}
	s.db.Exec(s.t, list...)
}

// promote has the replica take over when it has all that the server had, as an administrator would who moves a service.
func (s *site) promote() {
	s.during(func() {
		s.span()
		s.still(func() {
			for _, c := range s.cells {
				c.proxy.Cut()
			}
			capturetest.Until(s.t, func() (string, bool) {
				had, has := executed(s.t, s.db), executed(s.t, s.heir)
				return fmt.Sprintf("the replica is at %s of %s", has, had), has == had
			})
			stop := []string{"STOP REPLICA", "RESET REPLICA ALL"}
			if s.db.Flavor == "mariadb" {
				stop = []string{"STOP SLAVE", "RESET SLAVE ALL"}
			}
			s.heir.Exec(s.t, stop...)
			s.db.Kill()
			s.db, s.heir = s.heir, nil
			for _, c := range s.cells {
				c.proxy.SetUpstream(s.db.Addr)
				c.proxy.Restore()
			}
		})
		s.span()
	})
}

// executed are the transactions of a server.
func executed(t testing.TB, db *servers.Database) (set string) {
	t.Helper()
	query := "SELECT @@GLOBAL.gtid_executed"
	if db.Flavor == "mariadb" {
		query = "SELECT @@GLOBAL.gtid_current_pos"
	}
	if err := db.Root().QueryRow(query).Scan(&set); err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(set, "\n", "")
}

// follow makes a replica of the server.
func (s *site) follow(flags []string) {
	start := servers.StartMySQL
	if s.db.Flavor == "mariadb" {
		start = servers.StartMariaDB
	}
	heir, err := start(s.t.Context(), servers.Options{Flags: flags})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(heir.Close)
	host, port, _ := strings.Cut(s.db.Addr, ":")
	s.db.Exec(s.t, "CREATE USER 'replica'@'%' IDENTIFIED BY 'replica-password'", "GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%'")
	if s.db.Flavor == "mariadb" {
		heir.Exec(s.t, "CHANGE MASTER TO MASTER_HOST = '"+host+"', MASTER_PORT = "+port+", MASTER_USER = 'replica', MASTER_PASSWORD = 'replica-password', "+
			"MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos", "START SLAVE")
	} else {
		heir.Exec(s.t, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '"+host+"', SOURCE_PORT = "+port+", SOURCE_USER = 'replica', SOURCE_PASSWORD = 'replica-password', "+
			"SOURCE_CONNECT_RETRY = 1, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1", "START REPLICA")
	}
	s.heir = heir
}

// purge has the server forget its log while the readers are away.
func (s *site) purge() {
	s.during(func() {
		s.span()
		s.each((*cell).kill)
		s.span()
		s.db.Exec(s.t, "FLUSH BINARY LOGS")
		capturetest.Until(s.t, func() (string, bool) { // a dump that just ended may still hold a file
			files := s.files()
			s.db.Exec(s.t, "PURGE BINARY LOGS TO '"+files[len(files)-1]+"'")
			files = s.files()
			return fmt.Sprintf("the server keeps %v", files), len(files) == 1
		})
		s.startAll()
	})
}

// files are those of the log.
func (s *site) files() (names []string) {
	rows, err := s.db.Root().Query("SHOW BINARY LOGS")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		s.t.Fatal(err)
	}
	for rows.Next() {
		var name string
		into := []any{&name}
		for range columns[1:] {
			into = append(into, new(any))
		}
		if err := rows.Scan(into...); err != nil {
			s.t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// reset begins the log's history anew under the readers.
func (s *site) reset() {
	s.during(func() {
		s.span()
		s.still(s.beginAnew)
		s.span()
	})
}

// resetUnread does it while the readers are away, who find as many transactions as they knew, and more, when they come back.
func (s *site) resetUnread() {
	s.db.Exec(s.t, "FLUSH BINARY LOGS", "CREATE TABLE IF NOT EXISTS matrix.filler (n INT)")
	s.during(func() {
		s.span()
		s.each((*cell).kill)
		s.span()
		s.still(func() {
			had := s.transactions()
			s.beginAnew()
			conn, err := s.db.Root().Conn(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			defer conn.Close()
			for n := range had {
				if _, err := conn.ExecContext(s.t.Context(), "INSERT INTO matrix.filler VALUES (?)", n); err != nil {
					s.t.Fatal(err)
				}
			}
		})
		s.span()
		s.startAll()
	})
}

// transactions is the number of the server's last one.
func (s *site) transactions() int {
	set := executed(s.t, s.db)
	n, err := strconv.Atoi(set[strings.LastIndexAny(set, "-:")+1:])
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *site) beginAnew() {
	if s.db.Flavor == "mariadb" {
		s.db.Exec(s.t, "RESET MASTER")
	} else {
		s.db.Exec(s.t, "RESET BINARY LOGS AND GTIDS")
	}
}

// truncate empties Buylo's table by a statement of which no log shows the rows.
func (s *site) truncate() {
	s.during(func() {
		s.span()
		s.still(func() {
			began := time.Now()
			s.db.Exec(s.t, "TRUNCATE `external`.buylo_products")
			for _, c := range s.all {
				c.emptied(began)
			}
		})
		s.span()
	})
}

// rest is a time in which nobody works: the states at its end are those that last.
func (s *site) rest() {
	s.t.Helper()
	s.agree()
	s.model.rest()
}

// agree waits until each reader knows what there is.
func (s *site) agree() {
	s.t.Helper()
	said := make(chan string, len(s.cells))
	s.each(func(c *cell) { said <- c.agree(&s.model) })
	for range s.cells {
		if why := <-said; why != "" {
			s.t.Error(why)
		}
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// begin makes the tables, has the workload go on before anybody reads, and starts the readers beside it.
func (s *site) begin(flags []string) {
	s.follow(flags)
	s.create()
	s.makeQueue()
	for _, way := range []string{byGTID, byPosition, byQueue, byPolling} {
		s.cells = append(s.cells, newCell(s.t, s.db, way))
	}
	s.during(func() {
		s.span()
		s.startAll()
		s.span()
	})
	s.rest()
}
