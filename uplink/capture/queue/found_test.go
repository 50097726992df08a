package queue

import (
	"fmt"
	"testing"

	"station-agent/build/servers"
)

// What came after a TRUNCATE of the queue table, while the agent was down, is read: its numbers were used before.
func TestNumbersThatComeAgain(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db, 0)
	r := newRig(t, db, products)
	r.until(func() (string, bool) { p, _ := r.store.Position(); return "it sweeps", !p.Zero() && p.Sweep == "" })
	run(t, db, "INSERT INTO product_catalog.products VALUES ('s', 0, 'a'), ('s', 1, 'a'), ('s', 2, 'a'), ('s', 3, 'a'), ('s', 4, 'a')")
	r.until(func() (string, bool) { n := len(r.store.Records()); return fmt.Sprint(n, " records"), n == 5 })
	r.stop()
	p, err := r.store.Position()
	t.Logf("%+v %v", p, err)
	run(t, db, "TRUNCATE TABLE "+DefaultName(products).quoted(), "UPDATE product_catalog.products SET name = 'lost' WHERE id = 3")
	r.start()
	r.until(func() (string, bool) { n := len(r.store.Records()); return fmt.Sprint(n, " records"), n == 6 })
	for _, rec := range r.store.Records()[5:] {
		t.Logf("%s %s", rec.Key, rec.Payload)
	}
}
