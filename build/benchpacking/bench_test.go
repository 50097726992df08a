// Package benchpacking measures the two things that packing promises of time, with the real binary, a scanner at a
// pseudo-terminal and a real MariaDB. It prints a line "bench: NAME VALUE UNIT" for each figure, and a table with the limits.
//
//	verdict.*   from the first byte of a code to its verdict, with 5,000 rows on the station. Three benches stand side by
//	            side: MySQL answers, answers after two seconds, answers nothing. They are scanned in turn, with a breath in
//	            between: what a bench does after its verdict must not be counted against another one.
//	drain.*     1,000 packages of 5 items are packed while MySQL is away; when it is back, how long until all of them are
//	            settled, from the first row that changes. Beside it the bare driver does the same 1,000 transactions of 5
//	            guarded updates at the same server, over one connection through the same kind of proxy. drain_item.* is the same with a statement for each
//	            item. Three rounds in turn; medians.
//
// It looks at the agent from outside only: its log, its status socket and the table.
package benchpacking

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/build/sheet"
)

// binary is the agent under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(bed.WithAgent(func(path string) int {
		binary = path
		return m.Run()
	}))
}

// figures is what is measured.
type figures struct{ *sheet.Sheet }

// BenchmarkPacking measures everything.
func BenchmarkPacking(b *testing.B) {
	s := &figures{sheet.New(b,
		sheet.Limit{Name: "verdict.median_slow_vs_up", Most: 1.1},
		sheet.Limit{Name: "verdict.median_blackhole_vs_up", Most: 1.1},
		sheet.Limit{Name: "drain.vs_bare_transactions", Most: 3},
	)}
	s.verdicts()
	s.drains()
	s.Conclude()
}

// rows on the station.
const rows = 5000

// bench is a station with all its rows.
type bench struct {
	*bed.Bed
	t     testing.TB
	ctx   context.Context
	slow  *slowness // in front of the bed's own proxy; nil if nothing is
	items []item
}

type item struct{ hash, ean string }

// newBench starts an agent that captures nothing: a change of a row must cost what packing costs. With slow its way to the
// database can be made so.
func newBench(t testing.TB, commit string, slow bool) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	t.Cleanup(cancel)
	db := servers.MariaDB(t)
	site, err := bed.New(ctx, bed.Options{Agent: binary, Dir: t.TempDir(), DB: db, Broker: servers.Broker(t)})
	b := &bench{Bed: site, t: t, ctx: ctx}
	b.must(err)
	t.Cleanup(func() { site.Close() })
	for _, op := range []string{"insert", "update", "delete"} { // the audit's: the bare driver wouldn't want them either
		b.exec("DROP TRIGGER `external`.audit_" + op)
	}
	b.fill()
	c := &site.Config
	c.Source, c.Packing.Commit, c.Refresh = "off", commit, "1s"
	if slow {
		b.slow, err = newSlowness(site.MySQL.Addr())
		b.must(err)
		t.Cleanup(b.slow.close)
		c.MySQL = b.slow.addr()
	}
	b.must(site.WriteConfig())
	b.must(site.Agent.Start())
	b.must(site.Ready(ctx, "reader scanner", "mysql"))
	b.must(site.Seen(ctx))
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exec(statement string, args ...any) {
	b.t.Helper()
	_, err := b.DB.Root().ExecContext(b.ctx, statement, args...)
	b.must(err)
}

// fill puts the rows on the station, each with an EAN of its own.
func (b *bench) fill() {
	tx, err := b.DB.Root().BeginTx(b.ctx, nil)
	b.must(err)
	defer tx.Rollback()
	const insert = "INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean, buylo_active_packing_station_uuid) VALUES (?, ?, ?, ?, ?)"
	for n := range rows {
		i := item{bed.Hash(n), ean(n)}
		_, err := tx.Exec(insert, i.hash, "P-"+i.ean, fmt.Sprintf("Item %d – číslo", n), i.ean, bed.Station)
		b.must(err)
		b.items = append(b.items, i)
	}
	b.must(tx.Commit())
}

// ean is a right EAN-13.
func ean(n int) string {
	digits, sum := fmt.Sprintf("859%09d", n), 0
	for i, d := range digits {
		sum += int(d-'0') * (1 + 2*(i%2))
	}
	return fmt.Sprintf("%s%d", digits, (10-sum%10)%10)
}

// green scans a code that must be taken, and gives the time to the verdict.
func (b *bench) green(code string) time.Duration {
	b.t.Helper()
	began := time.Now()
	l, err := b.Scan(b.ctx, code)
	b.must(err)
	if l.Verdict != "accepted" && l.Verdict != "accepted offline" {
		b.t.Fatalf("scan %q: %s", code, l.Raw)
	}
	return l.At.Sub(began)
}
