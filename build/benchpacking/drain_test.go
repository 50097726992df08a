package benchpacking

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/build/sheet"
	"station-agent/uplink/uplinktest"
)

const (
	packages   = 1000
	perPackage = rows / packages
	rounds     = 3
	together   = "close" // the values of packing.commit
	oneByOne   = "item"
)

// drains measures how fast what was packed offline gets into the table, beside the bare driver.
func (s *figures) drains() {
	closing, single := newBench(s, together, false), newBench(s, oneByOne, false)
	times := map[string][]float64{}
	add := func(name string, d time.Duration) {
		times[name] = append(times[name], d.Seconds())
		fmt.Printf("bench: round %d %s %.3f s\n", len(times[name]), name, d.Seconds())
	}
	for n := range rounds {
		for _, b := range []*bench{closing, single} {
			name := map[*bench]string{closing: "drain", single: "drain_item"}[b]
			back, first := b.drain(n)
			add(name, back-first)
			add(name+".first_write", first)
			add(name+".bare", b.bare(b == closing))
		}
	}
	for _, name := range []string{"drain", "drain_item"} {
		s.Note(name+".s", sheet.Median(times[name]), "s")
		s.Note(name+".bare_s", sheet.Median(times[name+".bare"]), "s")
		s.Note(name+".first_write_s", sheet.Median(times[name+".first_write"]), "s")
	}
	s.Note("drain.vs_bare_transactions", sheet.Ratio(times["drain"], times["drain.bare"]), "x")
	s.Note("drain_item.vs_bare_statements", sheet.Ratio(times["drain_item"], times["drain_item.bare"]), "x")
}

// drain packs everything while MySQL is away, lets it come back, and gives the time until the first row was written and
// until all intents are settled.
func (b *bench) drain(round int) (all, first time.Duration) {
	b.t.Helper()
	b.refresh()
	b.MySQL.BlackHole()
	for n := range packages {
		b.green(fmt.Sprintf("PKG-%04d-%04d", 3000+round, n))
		for _, i := range b.items[n*perPackage : (n+1)*perPackage] {
			b.green(i.hash)
		}
	}
	b.green(bed.CloseCode)
	if open := b.status().IntentsOpen; open < rows {
		b.t.Fatalf("%d intents wait instead of %d", open, rows)
	}
	began := time.Now()
	b.MySQL.Restore()
	for open := rows; open > 0; time.Sleep(10 * time.Millisecond) {
		s := b.status()
		open, all = s.IntentsOpen, time.Since(began)
		if open < rows && first == 0 {
			first = all
		}
		if all > 5*time.Minute {
			b.t.Fatalf("%d intents still wait", open)
		}
	}
	b.MySQL.Cut() // while the bare driver works, the agent costs nothing
	b.shows(fmt.Sprintf("PKG-%04d-%%", 3000+round))
	return all, first
}

// refresh lets the agent read its rows anew.
func (b *bench) refresh() {
	b.t.Helper()
	began := time.Now()
	b.MySQL.Restore()
	for {
		age := b.status().RowsAgeS
		if since := time.Since(began).Seconds(); age != nil && *age < since-0.1 {
			return
		} else if since > 60 {
			b.t.Fatal("the rows were not read")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shows holds that every row is in a package like that, and takes it out again.
func (b *bench) shows(like string) {
	b.t.Helper()
	var n int
	b.must(b.DB.Root().QueryRowContext(b.ctx, "SELECT COUNT(*) FROM `external`.buylo_products WHERE external_package_id LIKE ?", like).Scan(&n))
	if n != rows {
		b.t.Fatalf("%d rows are in their package instead of %d", n, rows)
	}
	b.exec("UPDATE `external`.buylo_products SET external_package_id = NULL")
}

// swap is what a careful program would write without anything around it: guarded, compared byte by byte.
const swap = "UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = ?" +
	" AND CAST(CONVERT(hash USING utf8mb4) AS BINARY) = CAST(? AS BINARY)" +
	" AND CAST(CONVERT(external_package_id USING utf8mb4) AS BINARY) <=> CAST(? AS BINARY)"

// bare does with the driver alone what the agent did: a transaction for each package, or a statement for each item.
func (b *bench) bare(transactions bool) time.Duration {
	b.t.Helper()
	way, err := uplinktest.NewProxy(b.DB.Addr)
	b.must(err)
	defer way.Close()
	c := driver.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.ClientFoundRows = "tcp", way.Addr(), servers.AgentUser, servers.AgentPassword, true
	connector, err := driver.NewConnector(c)
	b.must(err)
	db := sql.OpenDB(connector)
	defer db.Close()
	conn, err := db.Conn(b.ctx)
	b.must(err)
	defer conn.Close()
	stmt, err := conn.PrepareContext(b.ctx, swap)
	b.must(err)
	defer stmt.Close()
	began := time.Now()
	for n := range packages {
		if transactions {
			b.inTransaction(conn, stmt, n)
		} else {
			b.pack(stmt, n)
		}
	}
	took := time.Since(began)
	b.shows("PKG-9999-%")
	return took
}

func (b *bench) inTransaction(conn *sql.Conn, stmt *sql.Stmt, n int) {
	tx, err := conn.BeginTx(b.ctx, nil)
	b.must(err)
	b.pack(tx.StmtContext(b.ctx, stmt), n)
	b.must(tx.Commit())
}

func (b *bench) pack(stmt *sql.Stmt, n int) {
	for _, i := range b.items[n*perPackage : (n+1)*perPackage] {
		res, err := stmt.ExecContext(b.ctx, fmt.Sprintf("PKG-9999-%04d", n), i.hash, i.hash, nil)
		b.must(err)
		if matched, err := res.RowsAffected(); err != nil || matched != 1 {
			b.t.Fatalf("the bare driver changed %d rows: %v", matched, err)
		}
	}
}

// status is what the bench needs of the agent's.
type status struct {
	IntentsOpen int      `json:"intents_open"`
	RowsAgeS    *float64 `json:"rows_age_s"`
}

// status asks the agent's socket, without a process of its own for it.
func (b *bench) status() (s status) {
	b.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(b.Dir, "agent.sock"))
	}}}
	res, err := client.Get("http://agent/status")
	b.must(err)
	defer res.Body.Close()
	b.must(json.NewDecoder(res.Body).Decode(&s))
	return s
}
