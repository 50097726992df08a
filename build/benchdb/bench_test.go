// Package benchdb measures what capture costs the server: 5, 50 and 500 stations that poll one table of a million rows, with
// and without the indexes that the agent asks for, and as many readers of the binary log. It prints a line
// "bench: NAME VALUE UNIT" for each figure, and a table:
//
//	db.poll.N.{index,scan}.server_cpu      of one core, in per cent, by the server's own time
//	                      .rows_per_s      rows that the server examined
//	                      .statements_per_s
//	                      .looks_per_s     of each station: the agent looks more rarely at what is costly
//	db.binlog.N.server_cpu, .mb_per_s      while 200 rows a second are changed; mb_per_s is what all readers get together
//
// The stations are the agent's own sources, without a store behind them. Nothing here has a limit: the figures are for whoever
// decides how many stations a server may have.
package benchdb

import (
	"context"
	"database/sql"

	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/poll"
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
	s := &bench{TB: b, rows: 1_000_000, span: 20 * time.Second}
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
	fmt.Printf("\n%-22s %12s %14s %14s %10s\n%s\n", "", "server CPU", "rows/s", "statements/s", "each", strings.Join(s.table, "\n"))
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
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = servers.CaptureUser, servers.CapturePassword, "tcp", s.db.Addr
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil {
		s.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	return pool
}

// noShadow is that of a station that knows nothing.
type noShadow struct{}

func (noShadow) Shadow(string, []string) (map[string]record.ShadowRow, error) { return nil, nil }
func (noShadow) ShadowAll(string, func(record.ShadowRow) error) error         { return nil }
func (noShadow) ShadowIDs(string, string, int) ([]string, error)              { return nil, nil }

// together runs n of something until the measurement is over.
func (s *bench) together(n int, run func(ctx context.Context, n int, there func()) error, measure func()) {
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
	for end := time.Now().Add(time.Minute); ready.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	if got := ready.Load(); got < int64(n) {
		s.Logf("only %d of %d came to work within a minute", got, n)
	}
	measure()
	cancel()
	all.Wait()
	if f := failed.Load(); f > 0 {
		s.Logf("%d failures among %d", f, n)
	}
}

func (s *bench) poll(n int, way string) {
	var looks atomic.Int64
	name := fmt.Sprintf("db.poll.%d.%s", n, way)
	s.together(n, func(ctx context.Context, i int, there func()) error {
		db := s.open()
		defer db.Close()
		source, err := poll.New(poll.Config{DB: db, Table: products, Station: station(i), Shadow: noShadow{}})
		if err != nil {
			return err
		}
		return source.Run(ctx, record.Position{Way: poll.Way}, nil, func(capture.Tx) error {
			there()
			looks.Add(1)
			return nil
		})
	}, func() { s.measure(name, n, &looks, "looks_per_s", nil) })
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
	s.together(n, func(ctx context.Context, i int, there func()) error {
		db := s.open()
		defer db.Close()
		source, err := binlog.New(binlog.Config{
			Address: s.db.Addr, User: servers.CaptureUser, Password: func() (string, error) { return servers.CapturePassword, nil },
			DB: db, Tables: []*capture.Spec{products}, Station: station(i), Version: "bench",
		})
		if err != nil {
			return err
		}
		p, _, err := source.Snapshot(ctx, nil, "")
		if err != nil {
			return err
		}
		return source.Run(ctx, p, func(*capture.RowChange) bool { return false }, func(capture.Tx) error {
			there()
			events.Add(1)
			return ctx.Err()
		})
	}, func() {
		s.measure(fmt.Sprintf("db.binlog.%d", n), n, &events, "transactions_per_s", []string{"Bytes_sent"})
	})
	stop()
	writer.Wait()
}

// measure looks at the server's counters before and after.
func (s *bench) measure(name string, n int, each *atomic.Int64, unit string, bytes []string) {
	before, cpu, began, had := s.status(), s.cpu(), time.Now(), each.Load()
	time.Sleep(s.span)
	took := time.Since(began).Seconds()
	after, used := s.status(), s.cpu()-cpu
	rate := func(names ...string) (sum float64) {
		for _, v := range names {
			sum += float64(after[v] - before[v])
		}
		return sum / took
	}
	share := 100 * used.Seconds() / took
	rows := rate("Handler_read_rnd_next", "Handler_read_next", "Handler_read_key", "Handler_read_first", "Handler_read_rnd")
	statements := rate("Questions")
	single := float64(each.Load()-had) / took / float64(n)
	fmt.Printf("bench: %s.server_cpu %.1f %%\n", name, share)
	if bytes == nil {
		fmt.Printf("bench: %s.rows_per_s %.0f rows/s\nbench: %s.statements_per_s %.1f statements/s\n", name, rows, name, statements)
	} else {
		fmt.Printf("bench: %s.mb_per_s %.2f MB/s\n", name, rate(bytes...)/1e6)
	}
	fmt.Printf("bench: %s.%s %.2f 1/s\n", name, unit, single)
	s.table = append(s.table, fmt.Sprintf("%-22s %10.1f %% %14.0f %14.1f %10.2f", strings.TrimPrefix(name, "db."), share, rows, statements, single))
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
