package matrix

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture/capturetest"
)

// change is one committed change of a row, known by the note that it left there, or found there if it is a delete.
type change struct {
	op   record.Op
	note string
}

// work changes a table and notes what it committed.
type work struct {
	t    *testing.T
	r    *rand.Rand
	db   *servers.Database
	conn *sql.Conn
	late *late

	values string              // of a row, behind its hash, without note and time
	rows   map[string]string   // the note of each row that is there
	told   map[string][]change // what has to be told of each row, in order
	states map[string][]string // every note that a row had, in order; "" for none
	n      int                 // changes so far
	blind  bool                // changes fall into a gap
}

// late is a transaction that is open for long, on rows of its own.
type late struct {
	conn  *sql.Conn
	tx    pending
	steps int // until it is committed
}

// pending is what a transaction has done so far.
type pending struct {
	rows    map[string]string // as the transaction leaves them
	changes []struct {
		id string
		change
	}
}

// lax sets a session up: for the values of the golden table, and so that many rows can be changed beside a long transaction.
var lax = []string{"SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"}

func newWork(t *testing.T, r *rand.Rand, db *servers.Database) *work {
	w := &work{t: t, r: r, told: make(map[string][]change), states: make(map[string][]string), rows: make(map[string]string)}
	w.moveTo(db)
	return w
}

// moveTo makes the table on a server, with the rows as they are.
func (w *work) moveTo(db *servers.Database) {
	w.t.Helper()
	times := w.times()
	w.db = db
	columns, values, _ := capturetest.Kinds(db.Flavor, "0a000000-0000-4000-8000-00000000000a")
	_, w.values, _ = strings.Cut(values, ",")
	db.Exec(w.t, lax[0], "DROP TABLE IF EXISTS `external`.goods",
		"CREATE TABLE `external`.goods ("+columns+", note VARCHAR(40), touched TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (touched)) CHARACTER SET utf8mb4",
		"GRANT SELECT ON `external`.goods TO '"+servers.CaptureUser+"'@'%'", "GRANT SELECT ON `external`.goods TO '"+servers.AgentUser+"'@'%'")
	w.connect()
	for id, note := range w.rows {
		w.exec(w.conn, w.insert(id, note), fmt.Sprintf("UPDATE `external`.goods SET touched = FROM_UNIXTIME(%s) WHERE hash = '%s'", times[id], id))
	}
}

// times gives when each row was last touched, in seconds since 1970.
func (w *work) times() map[string]string {
	w.t.Helper()
	times := make(map[string]string)
	if w.db == nil {
		return times
	}
	rows, err := w.conn.QueryContext(w.t.Context(), "SELECT hash, CAST(UNIX_TIMESTAMP(touched) AS CHAR) FROM `external`.goods")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, at string
		if err := rows.Scan(&id, &at); err != nil {
			w.t.Fatal(err)
		}
		times[id] = at
	}
	return times
}

// connect opens the connections anew; what was open is rolled back.
func (w *work) connect() {
	w.t.Helper()
	w.late = nil
	w.conn = w.session()
}

func (w *work) session() *sql.Conn {
	w.t.Helper()
	conn, err := w.db.Root().Conn(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	w.exec(conn, lax...)
	return conn
}

func (w *work) exec(conn *sql.Conn, statements ...string) {
	w.t.Helper()
	for _, s := range statements {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			w.t.Fatalf("%.120s: %v", s, err)
		}
	}
}

func (w *work) insert(ids ...string) string {
	var rows []string
	for i := 0; i < len(ids); i += 2 {
		rows = append(rows, fmt.Sprintf("('%s',%s, '%s', NOW())", ids[i], w.values, ids[i+1]))
	}
	return "INSERT INTO `external`.goods (" + w.columns() + ") VALUES " + strings.Join(rows, ", ")
}

// columns are those of the values, in their order: the table may have more.
func (w *work) columns() string {
	columns, _, _ := capturetest.Kinds(w.db.Flavor, "")
	var names []string
	for _, c := range strings.Split(columns, ", ") {
		names = append(names, strings.Fields(c)[0])
	}
	return strings.Join(names, ", ") + ", note, touched"
}

func (w *work) note() string {
	w.n++
	return fmt.Sprintf("n%d", w.n)
}

// begin is a transaction that has done nothing yet.
func (w *work) begin() pending {
	p := pending{rows: make(map[string]string)}
	for id, note := range w.rows {
		p.rows[id] = note
	}
	return p
}

func (p *pending) did(id string, op record.Op, note string) {
	c := change{op, note}
	if op == record.Delete {
		c.note = p.rows[id]
		delete(p.rows, id)
	} else {
		p.rows[id] = note
	}
	p.changes = append(p.changes, struct {
		id string
		change
	}{id, c})
}

// committed takes over what a transaction has done.
func (w *work) committed(p *pending) {
	for _, c := range p.changes {
		if c.op == record.Delete {
			delete(w.rows, c.id)
			w.states[c.id] = append(w.states[c.id], "")
		} else {
			w.rows[c.id] = c.note
			w.states[c.id] = append(w.states[c.id], c.note)
		}
		if !w.blind {
			w.told[c.id] = append(w.told[c.id], c.change)
		}
	}
}

// step makes one transaction, or a part of the late one.
func (w *work) step() {
	w.t.Helper()
	if w.late == nil && w.r.IntN(12) == 0 {
		w.late = &late{conn: w.session(), tx: w.begin(), steps: 4 + w.r.IntN(12)}
		w.exec(w.late.conn, "BEGIN")
	}
	if l := w.late; l != nil {
		w.some(l.conn, &l.tx, "late", 6)
		if l.steps--; l.steps <= 0 {
			w.finish()
		}
	}
	p := w.begin()
	w.exec(w.conn, "BEGIN")
	for range 1 + w.r.IntN(3) {
		w.some(w.conn, &p, "row", 30)
	}
	if w.r.IntN(5) == 0 && w.late == nil { // a server may look at all rows for it, and wait for those of the long transaction
		w.many(&p)
	}
	if w.r.IntN(4) == 0 { // a part is taken back
		q := pending{rows: make(map[string]string)}
		for id, note := range p.rows {
			q.rows[id] = note
		}
		w.exec(w.conn, "SAVEPOINT here")
		w.some(w.conn, &q, "row", 30)
		w.exec(w.conn, "ROLLBACK TO here")
	}
	if w.r.IntN(6) == 0 {
		w.exec(w.conn, "ROLLBACK")
		return
	}
	w.exec(w.conn, "COMMIT")
	w.committed(&p)
}

// finish commits the late transaction if there is one.
func (w *work) finish() {
	w.t.Helper()
	if l := w.late; l != nil {
		w.exec(l.conn, "COMMIT")
		w.committed(&l.tx)
		l.conn.Close()
		w.late = nil
	}
}

// some changes one row of a family.
func (w *work) some(conn *sql.Conn, p *pending, family string, most int) {
	w.t.Helper()
	id := fmt.Sprintf("%s-%02d", family, w.r.IntN(most))
	_, there := p.rows[id]
	note := w.note()
	switch k := w.r.IntN(10); {
	case !there:
		w.exec(conn, w.insert(id, note))
		p.did(id, record.Insert, note)
	case k < 6:
		w.exec(conn, fmt.Sprintf("UPDATE `external`.goods SET note = '%s' WHERE hash = '%s'", note, id))
		p.did(id, record.Update, note)
	case k < 7: // there and back: two changes, though the row is as it was
		was := p.rows[id]
		w.exec(conn, fmt.Sprintf("UPDATE `external`.goods SET note = '%s' WHERE hash = '%s'", note, id),
			fmt.Sprintf("UPDATE `external`.goods SET note = '%s' WHERE hash = '%s'", was, id))
		p.did(id, record.Update, note)
		p.did(id, record.Update, was)
	case k < 9:
		w.exec(conn, fmt.Sprintf("DELETE FROM `external`.goods WHERE hash = '%s'", id))
		p.did(id, record.Delete, "")
	default:
		to := fmt.Sprintf("%s-%02d", family, w.r.IntN(most))
		if _, taken := p.rows[to]; taken {
			return
		}
		w.exec(conn, fmt.Sprintf("UPDATE `external`.goods SET hash = '%s', note = '%s' WHERE hash = '%s'", to, note, id))
		p.did(id, record.Delete, "")
		p.did(to, record.Insert, note)
	}
}

// bulk names the rows that are changed together.
var bulk = func() string {
	var list []string
	for i := range 150 {
		list = append(list, fmt.Sprintf("'bulk-%03d'", i))
	}
	return strings.Join(list, ", ")
}()

// many changes many rows in one statement, all in one second.
func (w *work) many(p *pending) {
	w.t.Helper()
	if _, there := p.rows["bulk-000"]; !there {
		var list []string
		for i := range 150 {
			id, note := fmt.Sprintf("bulk-%03d", i), w.note()
			list = append(list, id, note)
			p.did(id, record.Insert, note)
		}
		w.exec(w.conn, w.insert(list...))
		return
	}
	if w.r.IntN(3) == 0 {
		w.exec(w.conn, "DELETE FROM `external`.goods WHERE hash IN ("+bulk+")")
		for i := range 150 {
			p.did(fmt.Sprintf("bulk-%03d", i), record.Delete, "")
		}
		return
	}
	note := w.note()
	w.exec(w.conn, fmt.Sprintf("UPDATE `external`.goods SET note = '%s' WHERE hash IN (%s)", note, bulk))
	for i := range 150 {
		p.did(fmt.Sprintf("bulk-%03d", i), record.Update, note)
	}
}

// mark makes a row that the reader must come to.
func (w *work) mark() (id string) {
	w.t.Helper()
	w.finish()
	id, note := fmt.Sprintf("mark-%d", w.n), w.note()
	w.exec(w.conn, w.insert(id, note))
	p := w.begin()
	p.did(id, record.Insert, note)
	w.committed(&p)
	return id
}

// unmark removes the row that mark made.
func (w *work) unmark(id string) {
	w.t.Helper()
	w.exec(w.conn, fmt.Sprintf("DELETE FROM `external`.goods WHERE hash = '%s'", id))
	p := w.begin()
	p.did(id, record.Delete, "")
	w.committed(&p)
}
