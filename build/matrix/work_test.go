package matrix

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
)

const (
	here      = "0a000000-0000-4000-8000-00000000000a" // the station that captures
	elsewhere = "0b000000-0000-4000-8000-00000000000b"
	nowhere   = ""

	clerks     = 3    // as many as there are shops
	singles    = 60   // goods of a clerk that come and go one by one
	bulk       = 1000 // from this id on they come and go together
	bulkMost   = 250
	things     = 12 // products of a clerk
	serverBack = 30 * time.Second
)

// work is the workload: clerks that change rows of their own, each in one transaction after another. So the order of the changes
// of a row is known, and nobody waits for another's rows.
type work struct {
	t     testing.TB
	model model
	all   []*clerk

	desk   sync.RWMutex // held by a clerk for a transaction; alone by who changes a table or the server
	db     *servers.Database
	layout layout
	more   int // columns that were added ever
}

// clerk is one of the workload's connections.
type clerk struct {
	*work
	n     int
	shop  string
	rnd   *rand.Rand
	goods map[int]*goods
	items map[string]*item
	tx    int64
	made  int64 // numbers each version of a row
}

func newWork(t testing.TB, db *servers.Database, seed uint64) *work {
	w := &work{t: t, db: db, layout: layout{types: columns(db.Flavor)}}
	for n, shop := range []string{"a/b", "Ž%2F", " c d"} {
		w.all = append(w.all, &clerk{work: w, n: n, shop: shop, rnd: rand.New(rand.NewPCG(seed, uint64(n))), goods: map[int]*goods{}, items: map[string]*item{}})
	}
	return w
}

// create makes the tables, and the neighbour in which each transaction leaves its number.
func (w *work) create() {
	w.db.Exec(w.t, "CREATE DATABASE matrix CHARACTER SET utf8mb4", "SET sql_mode = ''", w.layout.create(),
		"CREATE TABLE matrix.ledger (clerk INT PRIMARY KEY, tx BIGINT) CHARACTER SET utf8mb4",
		"INSERT INTO matrix.ledger VALUES (0, 0), (1, 0), (2, 0)",
		"GRANT SELECT ON matrix.goods TO '"+servers.CaptureUser+"'@'%'")
	if err := w.db.CreateWorkspace(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.db.Exec(w.t, "CREATE TABLE external_workspace.station_agent_anchors (hash CHAR(32) PRIMARY KEY, state VARCHAR(20))")
}

// during lets all clerks work until f has returned.
func (w *work) during(f func()) {
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for _, c := range w.all {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.transact(c.chance())
				time.Sleep(time.Duration(c.rnd.IntN(12)) * time.Millisecond) // the machine is not theirs alone
			}
		})
	}
	f()
	close(stop)
	busy.Wait()
}

// still runs f between all transactions.
func (w *work) still(f func()) {
	w.desk.Lock()
	defer w.desk.Unlock()
	f()
}

// attempt is a transaction under way: what the rows are in its eyes, and what it did.
type attempt struct {
	*clerk
	ctx   context.Context
	tx    *sql.Tx
	goods map[int]*goods
	items map[string]*item
	did   []effect
	err   error
}

// transact runs one transaction. One that fails before its commit is none; of one that fails in it the neighbour tells.
func (c *clerk) transact(do func(*attempt)) {
	c.desk.RLock()
	defer c.desk.RUnlock()
	ctx, cancel := context.WithTimeout(context.Background(), serverBack)
	defer cancel()
	conn, err := c.db.Root().Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET time_zone = '+00:00', sql_mode = ''"); err != nil {
		return
	}
	opened := time.Now()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer tx.Rollback()
	c.tx++
	a := &attempt{clerk: c, ctx: ctx, tx: tx, goods: maps.Clone(c.goods), items: maps.Clone(c.items)}
	a.exec("UPDATE matrix.ledger SET tx = ? WHERE clerk = ?", c.tx, c.n)
	do(a)
	if a.err != nil {
		return
	}
	began, name := time.Now(), ""
	err = tx.Commit()
	if err != nil && !c.committed() {
		return
	}
	done := time.Now()
	if err == nil && c.db.Flavor == "mariadb" {
		_ = conn.QueryRowContext(ctx, "SELECT @@last_gtid").Scan(&name) // without it the time tells
	}
	c.goods, c.items = a.goods, a.items
	c.model.commit(a.did, name, opened, began, done)
}

// committed tells whether the last transaction was, when the server is back.
func (c *clerk) committed() bool {
	for end := time.Now().Add(serverBack); ; time.Sleep(50 * time.Millisecond) {
		var tx int64
		err := c.db.Root().QueryRow("SELECT tx FROM matrix.ledger WHERE clerk = ?", c.n).Scan(&tx)
		switch {
		case err == nil:
			return tx == c.tx
		case time.Now().After(end):
			c.t.Errorf("nobody knows whether a transaction was committed: %v", err)
			return false
		}
	}
}

// chance is one of the kinds of transactions.
func (c *clerk) chance() func(*attempt) {
	switch c.rnd.IntN(20) {
	case 0:
		return (*attempt).bulk
	case 1:
		return (*attempt).late
	case 2:
		return (*attempt).undone
	case 3, 4:
		return (*attempt).savepoint
	case 5:
		return (*attempt).own
	case 6:
		c.toAndFro()
		return (*attempt).some
	default:
		return (*attempt).some
	}
}

func (a *attempt) exec(statement string, args ...any) {
	if a.err == nil {
		_, a.err = a.tx.ExecContext(a.ctx, statement, args...)
	}
}

// some does a few things.
func (a *attempt) some() {
	for range 1 + a.rnd.IntN(4) {
		switch a.rnd.IntN(8) {
		case 0:
			a.rekey()
		case 1, 2, 3:
			a.product()
		case 4:
			a.remove()
		default:
			a.write(a.rnd.IntN(singles))
		}
	}
}

// late commits long after its statements, while others commit.
func (a *attempt) late() {
	a.some()
	time.Sleep(time.Duration(300+a.rnd.IntN(900)) * time.Millisecond)
}

// undone is rolled back.
func (a *attempt) undone() {
	a.some()
	if a.err == nil {
		a.err = sql.ErrTxDone
	}
}

// savepoint takes a part back.
func (a *attempt) savepoint() {
	a.some()
	goods, items, did := maps.Clone(a.goods), maps.Clone(a.items), len(a.did)
	a.exec("SAVEPOINT here")
	a.some()
	a.exec("ROLLBACK TO SAVEPOINT here")
	a.goods, a.items, a.did = goods, items, a.did[:did]
	a.some()
}

// own writes what the agent says of anchoring.
func (a *attempt) own() {
	a.exec("REPLACE INTO external_workspace.station_agent_anchors VALUES (?, 'anchored')", fmt.Sprint(a.rnd.IntN(9)))
}

// toAndFro has a row go to another state and back at once.
func (c *clerk) toAndFro() {
	var was *goods
	c.transact(func(a *attempt) {
		if was = a.any(); was != nil {
			a.update(was, a.vary(was))
		}
	})
	c.transact(func(a *attempt) {
		if was != nil && a.goods[was.id] != nil && a.goods[was.id] != was {
			a.update(a.goods[was.id], was)
		}
	})
}

// now is the time that a statement would give a row.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// any is one of the rows that come and go one by one, nil if there is none.
func (a *attempt) any() *goods {
	ids := slices.Sorted(maps.Keys(a.goods))
	if len(ids) == 0 || ids[0] >= bulk {
		return nil
	}
	n, _ := slices.BinarySearch(ids, bulk)
	return a.goods[ids[a.rnd.IntN(n)]]
}

// fresh is a new row.
func (a *attempt) fresh(id int) *goods {
	g := &goods{shop: a.shop, id: id, pick: make([]int, len(a.layout.types)), added: map[string]string{}}
	for i, c := range a.layout.types {
		g.pick[i] = a.rnd.IntN(len(c.values))
	}
	a.stamp(g)
	return g
}

// stamp makes g a version of its own.
func (a *attempt) stamp(g *goods) {
	a.made++
	g.n, g.at = a.made, now()
	if a.rnd.IntN(20) == 0 {
		g.at = g.at.Add(-time.Duration(a.rnd.IntN(1000)) * time.Hour) // a time that was set by hand
	}
}

// vary is the row with some other values.
func (a *attempt) vary(g *goods) *goods {
	to := *g
	to.pick, to.added = slices.Clone(g.pick), maps.Clone(g.added)
	for range a.rnd.IntN(6) {
		i := a.rnd.IntN(len(to.pick))
		to.pick[i] = a.rnd.IntN(len(a.layout.types[i].values))
	}
	for _, c := range a.layout.added {
		if a.rnd.IntN(2) == 0 {
			to.added[c.name] = fmt.Sprint("v", a.rnd.IntN(100))
		}
	}
	a.stamp(&to)
	return &to
}

// write inserts or updates a row.
func (a *attempt) write(id int) {
	if g := a.goods[id]; g != nil {
		a.update(g, a.vary(g))
		return
	}
	a.insert(a.fresh(id))
}

func (a *attempt) insert(list ...*goods) {
	values := make([]string, len(list))
	for i, g := range list {
		values[i] = a.layout.values(g)
		a.note(record.Insert, g.name(), a.layout.payload(g))
		a.goods[g.id] = g
	}
	a.exec("INSERT INTO matrix.goods (" + a.layout.names() + ") VALUES " + strings.Join(values, ", "))
}

// update makes one row another version of it.
func (a *attempt) update(from, to *goods) {
	a.exec(fmt.Sprintf("UPDATE matrix.goods SET %s WHERE shop = '%s' AND id = %d", a.assignments(to), to.shop, to.id))
	a.note(record.Update, to.name(), a.layout.payload(to))
	a.goods[to.id] = to
}

// assignments are all columns of a row but its key.
func (a *attempt) assignments(g *goods) string {
	list := []string{fmt.Sprintf("n = %d, updated_at = '%s'", g.n, g.at.Format(time.DateTime))}
	for i, c := range a.layout.types {
		list = append(list, c.name+" = "+c.values[g.pick[i]].sql)
	}
	for _, c := range a.layout.added {
		if v, ok := g.added[c.name]; ok {
			list = append(list, c.name+" = '"+v+"'")
		} else {
			list = append(list, c.name+" = DEFAULT")
		}
	}
	return strings.Join(list, ", ")
}

func (a *attempt) remove() {
	g := a.any()
	if g == nil {
		return
	}
	a.exec("DELETE FROM matrix.goods WHERE shop = ? AND id = ?", g.shop, g.id)
	a.note(record.Delete, g.name(), a.layout.payload(g))
	delete(a.goods, g.id)
}

// rekey gives a row another key: a delete and an insert.
func (a *attempt) rekey() {
	g, id := a.any(), a.rnd.IntN(singles)
	if g == nil || a.goods[id] != nil {
		return
	}
	to := *g
	to.id = id
	a.stamp(&to)
	a.exec("UPDATE matrix.goods SET id = ?, n = ?, updated_at = ? WHERE shop = ? AND id = ?", to.id, to.n, to.at.Format(time.DateTime), g.shop, g.id)
	a.note(record.Delete, g.name(), a.layout.payload(g))
	a.note(record.Insert, to.name(), a.layout.payload(&to))
	delete(a.goods, g.id)
	a.goods[id] = &to
}

// bulk changes hundreds of rows by one statement.
func (a *attempt) bulk() {
	var there []*goods
	for _, id := range slices.Sorted(maps.Keys(a.goods)) {
		if id >= bulk {
			there = append(there, a.goods[id])
		}
	}
	if len(there) == 0 {
		list := make([]*goods, 150+a.rnd.IntN(bulkMost-150))
		for i := range list {
			list[i] = a.fresh(bulk + i)
		}
		a.insert(list...)
		return
	}
	if a.rnd.IntN(3) == 0 {
		a.exec("DELETE FROM matrix.goods WHERE shop = ? AND id >= ?", a.shop, bulk)
		for _, g := range there {
			a.note(record.Delete, g.name(), a.layout.payload(g))
			delete(a.goods, g.id)
		}
		return
	}
	i, at := a.rnd.IntN(len(a.layout.types)), now()
	v := a.rnd.IntN(len(a.layout.types[i].values))
	c, step := a.layout.types[i], int64(1+a.rnd.IntN(1000))
	a.exec(fmt.Sprintf("UPDATE matrix.goods SET n = n + %d, updated_at = '%s', %s = %s WHERE shop = '%s' AND id >= %d",
		step, at.Format(time.DateTime), c.name, c.values[v].sql, a.shop, bulk))
	for _, g := range there {
		to := *g
		to.n, to.at, to.pick = g.n+step, at, slices.Clone(g.pick)
		to.pick[i] = v
		a.note(record.Update, to.name(), a.layout.payload(&to))
		a.goods[to.id] = &to
	}
}

func (a *attempt) note(op record.Op, id, payload string) {
	a.did = append(a.did, effect{rowOf(goodsTable, id), change{op: op, payload: payload, mine: true}})
}

// product changes a row of Buylo's table, which wanders between stations. What is done to one that stands nowhere is the
// business of the station that had it last.
func (a *attempt) product() {
	hash := fmt.Sprintf("%d-%d", a.n, a.rnd.IntN(things))
	was := a.items[hash]
	a.made++
	to := item{hash: hash, n: a.made, at: now()}
	if was == nil {
		to.station = []string{here, here, elsewhere, nowhere}[a.rnd.IntN(4)]
		a.exec("INSERT INTO `external`.buylo_products (hash, buylo_name, buylo_active_packing_station_uuid, created_at, updated_at) VALUES (?, ?, ?, '2026-01-01', ?)",
			hash, fmt.Sprint(to.n), null(to.station), to.at.Format(time.DateTime))
		a.noteItem(record.Insert, nil, &to)
		return
	}
	to.station, to.pack, to.held = was.station, was.pack, was.held
	switch a.rnd.IntN(5) {
	case 0:
		a.exec("DELETE FROM `external`.buylo_products WHERE hash = ?", hash)
		a.noteItem(record.Delete, was, nil)
		return
	case 1, 2:
		to.station = []string{here, elsewhere, nowhere}[a.rnd.IntN(3)]
	default:
		to.pack = fmt.Sprintf("PKG-%d", to.n)
	}
	a.exec("UPDATE `external`.buylo_products SET buylo_name = ?, buylo_active_packing_station_uuid = ?, external_package_id = ?, updated_at = ? WHERE hash = ?",
		fmt.Sprint(to.n), null(to.station), null(to.pack), to.at.Format(time.DateTime), hash)
	a.noteItem(record.Update, was, &to)
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// noteItem notes who owns the change: the station in the row afterwards, else the one before, else the one that had it last.
func (a *attempt) noteItem(op record.Op, was, is *item) {
	owner, shown, vague := nowhere, is, was == nil || was.station == nowhere
	if was != nil {
		owner = was.held
	}
	if is == nil {
		shown = was
		delete(a.items, was.hash)
	} else {
		if is.station != nowhere {
			owner, vague = is.station, false
		}
		is.held = owner
		a.items[is.hash] = is
	}
	a.did = append(a.did, effect{rowOf(productTable, shown.hash), change{op: op, payload: shown.payload(), station: shown.station, mine: owner == here, vague: vague}})
}

// emptied notes that the clerk's products are gone with all others.
func (c *clerk) emptied(began time.Time) {
	a := &attempt{clerk: c, items: c.items}
	for _, hash := range slices.Sorted(maps.Keys(c.items)) {
		a.noteItem(record.Delete, c.items[hash], nil)
	}
	c.model.commit(a.did, "", began, began, time.Now())
}
