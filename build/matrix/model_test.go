package matrix

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"station-agent/store/record"
)

const (
	goodsTable   = "goods"
	productTable = "buylo_products"
)

// change is what one committed transaction did to one row.
type change struct {
	op      record.Op // Insert, Update or Delete
	payload string    // the row afterwards; before, if it was deleted
	station string    // where it is afterwards, of a product
	mine    bool      // the station whose changes are captured owns it
	vague   bool      // as it had the product last, which stands nowhere: that is known only by who read all

	tx          string    // what MariaDB calls its transaction, "" if it couldn't be asked
	opened      time.Time // when its transaction was
	began, done time.Time // it was committed between these
}

// state is the row afterwards, "" if there is none.
func (c *change) state() string {
	if c.op == record.Delete {
		return ""
	}
	return c.payload
}

// effect is a change that isn't committed yet.
type effect struct {
	row string
	change
}

// rowOf names a row in the model.
func rowOf(table, id string) string { return table + " " + id }

// model is what was committed: the changes of each row, in order.
type model struct {
	mu    sync.Mutex
	rows  map[string][]change
	rests []map[string]string // the states of all rows at each rest
	count int
}

// commit adds what a transaction did.
func (m *model) commit(list []effect, tx string, opened, began, done time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = make(map[string][]change)
	}
	for _, e := range list {
		e.tx, e.opened, e.began, e.done = tx, opened, began, done
		m.rows[e.row] = append(m.rows[e.row], e.change)
		m.count++
	}
}

// rest notes the states that last.
func (m *model) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make(map[string]string, len(m.rows))
	for row, list := range m.rows {
		states[row] = plain(list[len(list)-1].state())
	}
	m.rests = append(m.rests, states)
}

// disagreement compares what a reader knows of the rows with what they are, "" if it knows them all. Of a product it has to know
// only those on the station.
func (m *model) disagreement(known map[string]string, tables []string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for row := range known {
		if m.rows[row] == nil {
			return fmt.Sprintf("it knows %s, which never was", row)
		}
	}
	for row, list := range m.rows {
		if !captured(row, tables) {
			continue
		}
		last := &list[len(list)-1]
		got, knows := known[row]
		switch is := last.state(); {
		case is == "" || last.station == elsewhere:
			if knows {
				return fmt.Sprintf("it knows %s, which is gone", row)
			}
		case last.station == nowhere && !knows && captured(row, []string{productTable}): // another station may speak for it
		case got != sum(is):
			return fmt.Sprintf("it doesn't know %s as it is: %s", row, is)
		}
	}
	return ""
}

func captured(row string, tables []string) bool {
	for _, t := range tables {
		if len(row) > len(t) && row[:len(t)+1] == t+" " {
			return true
		}
	}
	return false
}

// sum stands for a payload where one that can be compared is enough.
func sum[S ~string | ~[]byte](payload S) string {
	h := sha256.Sum256([]byte(plain(string(payload))))
	return hex.EncodeToString(h[:8])
}
