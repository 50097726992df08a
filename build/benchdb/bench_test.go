// Package benchdb measures what capture costs the server: 5, 50 and 500 stations that poll one table of a million rows, with
// and without the indexes that the agent asks for, and as many readers of the binary log. It prints a line
// "bench: NAME VALUE UNIT" for each figure, and a table:
//
//	db.poll.N.{index,scan}.server_cpu      of one core, in per cent, by the server's own time
//	                      .rows_per_s      rows that the server examined
//	                      .statements_per_s
//	                      .every_s         from look to look of a station: the agent looks more rarely at what is costly
//	                      .ended           looks that the server ended at their limit, meanwhile and before
//	db.binlog.N.server_cpu, .mb_per_s      while 200 rows a second are changed; mb_per_s is what all readers get together
//	           .transactions_per_s         that each gets
//
// The stations are the agent's own sources and runners over a store in memory, and all are switched on within a second. They
// have some time to come to a pace before it is measured. Nothing here has a limit: the figures are for whoever decides how many
// stations a server may have.
package benchdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/mysql"
)

var products = capture.Buylo("external")

func station(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// bench is the server with its table.
type bench struct {
	testing.TB
	db    *servers.Database
	rows  int
	span  time.Duration // of one measurement
	table []string      // lines
}

// BenchmarkDB measures everything.
func BenchmarkDB(b *testing.B) {
	s := &bench{TB: b, rows: 1_000_000, span: 10 * time.Second}
	counts := []int{5, 50, 500}
	if os.Getenv("SHORT") != "" {
		s.rows, s.span, counts = 50_000, 3*time.Second, []int{5, 50}
	}
	s.db = servers.MariaDB(b, "--max-connections=1200", "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=256M")
	s.fill()
	for _, n := range counts {
		s.poll(n, "scan")
	}
	s.exec("CREATE INDEX by_station ON `external`.buylo_products (buylo_active_packing_station_uuid)")
	for _, n := range counts {
		s.poll(n, "index")
	}
	for _, n := range counts {
		s.readers(n)
	}
	fmt.Printf("\n%-22s %12s %14s %14s %16s %12s\n%s\n", "", "server CPU", "rows/s", "statements/s", "each", "ended", strings.Join(s.table, "\n"))
}

func (s *bench) exec(statement string, args ...any) {
	s.Helper()
	if _, err := s.db.Root().ExecContext(context.Background(), statement, args...); err != nil {
		s.Fatalf("%.100s: %v", statement, err)
	}
}

// fill makes the rows: ten on each station, the others nowhere.
func (s *bench) fill() {
	const batch = 5000
	for first := 0; first < s.rows; first += batch {
		var values []string
		for n := first; n < first+batch; n++ {
			where := "NULL"
			if n < 10*1000 {
				where = "'" + station(n/10) + "'"
			}
			values = append(values, fmt.Sprintf("('%032x', 'P-%d', 'Item %d', '859%010d', %s)", uint64(n)*2654435761, n%1000, n, n%1000, where))
		}
		s.exec("INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean, buylo_active_packing_station_uuid) VALUES " + strings.Join(values, ","))
	}
	s.exec("ANALYZE TABLE `external`.buylo_products")
}

func (s *bench) open() *sql.DB {
	pool, err := mysql.Open(mysql.Config{
		Address: s.db.Addr, User: servers.CaptureUser, Password: func() (string, error) { return servers.CapturePassword, nil },
		Program: "bench", MaxConns: 1, ReadTimeout: poll.Longest + 5*time.Second,
	})
	if err != nil {
		s.Fatal(err)
	}
	return pool
}

// counted is a source whose looks are counted.
type counted struct {
	capture.Source
	there        func()
	looks, ended *atomic.Int64
}

func (c *counted) Snapshot(ctx context.Context, want []capture.Want, run string) (record.Position, []capture.State, error) {
	p, found, err := c.Source.Snapshot(ctx, want, run)
	if err == nil { // it read the rows, as a look does
		c.looks.Add(1)
		c.there()
	}
	return p, found, c.count(err)
}

func (c *counted) Run(ctx context.Context, from record.Position, keep func(*capture.RowChange) bool, sink func(capture.Tx) error) error {
	return c.count(c.Source.Run(ctx, from, keep, func(tx capture.Tx) error {
		if tx.Idle {
			c.looks.Add(1)
			c.there()
		}
		return sink(tx)
	}))
}

func (c *counted) count(err error) error {
	if e, ok := errors.AsType[interface {
		error
		OverTime() bool
	}](err); ok && e.OverTime() {
		c.ended.Add(1)
	}
	return err
}

// said logs what stations say of their trouble, each kind once.
type said struct {
	testing.TB
	mu   sync.Mutex
	kind map[string]bool
}

func (s *said) Back() {}

func (s *said) Lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind := err.Error(); !s.kind[kind[:min(len(kind), 60)]] {
		s.kind[kind[:min(len(kind), 60)]] = true
		s.Logf("one of them: %v", err)
	}
}

// together runs n of something until the measurement is over. It is measured when all have begun to work, or after a minute; not
// before settle.
func (s *bench) together(n int, settle time.Duration, run func(ctx context.Context, n int, there func()) error, measure func()) {
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var failed, ready atomic.Int64
	var said sync.Once
	for i := range n {
		all.Go(func() {
			select { // they were not all switched on at once
			case <-time.After(time.Duration(i) * time.Second / time.Duration(n)):
			case <-ctx.Done():
			}
			there := sync.OnceFunc(func() { ready.Add(1) })
			for ctx.Err() == nil {
				if err := run(ctx, i, there); err != nil && ctx.Err() == nil {
					failed.Add(1)
					said.Do(func() { s.Logf("one of them: %v", err) })
					time.Sleep(time.Second)
				}
			}
		})
	}
	for ready.Load() < int64(n) && time.Since(began) < max(settle, time.Minute) || time.Since(began) < settle {
		time.Sleep(50 * time.Millisecond)
	}
	if got := ready.Load(); got < int64(n) {
		s.Logf("only %d of %d came to work within %v", got, n, time.Since(began).Round(time.Second))
	}
	measure()
	cancel()
	all.Wait()
	s.endStatements()
	if f := failed.Load(); f > 0 {
		s.Logf("%d failures among %d", f, n)
	}
}

// scanning is how long stations come to a pace where each look reads the whole table, and how long they are measured then. Where
// they are many all first looks come to nothing, and they try again after two to five minutes.
func scanning(n int) (settle, span time.Duration) {
	switch {
	case n <= 5:
		return 5 * time.Second, 25 * time.Second
	case n <= 50:
		return 40 * time.Second, 40 * time.Second
	}
	return 220 * time.Second, 70 * time.Second
}

// endStatements ends those that nobody waits for any more: the next measurement is not of them.
func (s *bench) endStatements() {
	rows, err := s.db.Root().QueryContext(context.Background(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ?", servers.CaptureUser)
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			s.Fatal(err)
		}
		_, _ = s.db.Root().ExecContext(context.Background(), fmt.Sprint("KILL ", id)) // it may have ended
	}
}

func (s *bench) poll(n int, way string) {
	var looks, ended atomic.Int64
	span, settle, conditions := s.span, time.Duration(0), &said{TB: s, kind: make(map[string]bool)}
	if way == "scan" {
		settle, span = scanning(n)
	}
	s.together(n, settle, func(ctx context.Context, i int, there func()) error {
		db, store := s.open(), &capturetest.Store{}
		defer db.Close()
		source, err := poll.New(poll.Config{DB: db, Explain: mysql.Explain, Table: products, Station: station(i), Shadow: store})
		if err != nil {
			return err
		}
		runner, err := capture.New(capture.Config{Tables: []*capture.Spec{products}, Scope: capture.Scope{Station: station(i)}},
			&counted{source, there, &looks, &ended}, store, conditions)
		if err != nil {
			return err
		}
		return runner.Run(ctx)
	}, func() {
		name, before := fmt.Sprintf("db.poll.%d.%s", n, way), ended.Load()
		m := s.measure(name, span, &looks)
		m.note("rows_per_s", m.rows, "rows/s")
		m.note("statements_per_s", m.statements, "1/s")
		m.note("every_s", m.took*float64(n)/max(m.events, 1), "s")
		m.note("ended", float64(ended.Load()-before), "looks")
		m.note("ended_before", float64(before), "looks")
		m.line(s, fmt.Sprintf("every %.1f s", m.took*float64(n)/max(m.events, 1)), fmt.Sprintf("%d (%d)", ended.Load()-before, before))
	})
}

func (s *bench) readers(n int) {
	var events atomic.Int64
	writing, stop := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; writing.Err() == nil; i++ {
			s.exec("UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = ?", fmt.Sprint("PKG-", i), fmt.Sprintf("%032x", uint64(i%s.rows)*2654435761))
			time.Sleep(5 * time.Millisecond)
		}
	})
	s.together(n, 0, func(ctx context.Context, i int, there func()) error {
		db := s.open()
		defer db.Close()
		source, err := binlog.New(binlog.Config{
			Address: s.db.Addr, User: servers.CaptureUser, Password: func() (string, error) { return servers.CapturePassword, nil },
			DB: db, Explain: mysql.Explain, Tables: []*capture.Spec{products}, Station: station(i), Version: "bench",
		})
		if err != nil {
			return err
		}
		p, _, err := source.Snapshot(ctx, nil, "")
		if err != nil {
			return err
		}
		return source.Run(ctx, p, func(*capture.RowChange) bool { return false }, func(tx capture.Tx) error {
			if tx.ID != "" {
				there()
				events.Add(1)
			}
			return ctx.Err()
		})
	}, func() {
		m := s.measure(fmt.Sprintf("db.binlog.%d", n), s.span, &events)
		m.note("mb_per_s", m.sent/1e6, "MB/s")
		m.note("transactions_per_s", m.events/m.took/float64(n), "1/s")
		m.line(s, fmt.Sprintf("%.0f/s, all %.1f MB/s", m.events/m.took/float64(n), m.sent/1e6), "")
	})
	stop()
	writer.Wait()
}

// figures are what a measurement gave.
type figures struct {
	name                   string
	took, cpu              float64 // seconds, per cent of one core
	rows, statements, sent float64 // each second
	events                 float64 // in all
}

// measure looks at the server's counters before and after.
func (s *bench) measure(name string, span time.Duration, each *atomic.Int64) figures {
	before, cpu, began, had := s.status(), s.cpu(), time.Now(), each.Load()
	time.Sleep(span)
	m := figures{name: name, took: time.Since(began).Seconds(), events: float64(each.Load() - had)}
	after, used := s.status(), s.cpu()-cpu
	rate := func(names ...string) (sum float64) {
		for _, v := range names {
			sum += float64(after[v]-before[v]) / m.took
		}
		return sum
	}
	m.cpu = 100 * used.Seconds() / m.took
	m.rows = rate("Handler_read_rnd_next", "Handler_read_next", "Handler_read_key", "Handler_read_first", "Handler_read_rnd")
	m.statements, m.sent = rate("Questions"), rate("Bytes_sent")
	m.note("server_cpu", m.cpu, "%")
	return m
}

func (m *figures) note(what string, v float64, unit string) {
	fmt.Printf("bench: %s.%s %.2f %s\n", m.name, what, v, unit)
}

func (m *figures) line(s *bench, each, ended string) {
	s.table = append(s.table, fmt.Sprintf("%-22s %10.1f %% %14.0f %14.1f %16s %12s", strings.TrimPrefix(m.name, "db."), m.cpu, m.rows, m.statements, each, ended))
}

func (s *bench) status() map[string]int64 {
	rows, err := s.db.Root().QueryContext(context.Background(), "SHOW GLOBAL STATUS")
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	out := make(map[string]int64)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			s.Fatal(err)
		}
		out[name], _ = strconv.ParseInt(value, 10, 64) // others are no numbers
	}
	return out
}

// cpu is the time that the server's process has used, see proc_pid_stat(5): fields 14 and 15, in hundredths of a second.
func (s *bench) cpu() time.Duration {
	var file string
	if err := s.db.Root().QueryRowContext(context.Background(), "SELECT @@pid_file").Scan(&file); err != nil {
		s.Fatal(err)
	}
	pid, err := os.ReadFile(file)
	if err != nil {
		s.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}
