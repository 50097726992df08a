package queue

import (
	"testing"

	"station-agent/build/servers"
)

// What came after a TRUNCATE of the queue table, while the agent was down, is read: its numbers were used before.
func TestNumbersThatComeAgain(t *testing.T) {
	db := servers.MySQL(t)
	catalog(t, db)
	r := newRig(t, db, products)
	r.Swept()
	db.Exec(t, "INSERT INTO product_catalog.products VALUES ('s', 0, 'a'), ('s', 1, 'a'), ('s', 2, 'a'), ('s', 3, 'a'), ('s', 4, 'a')")
	r.Count(5)
	r.Stop()
	p, err := r.Store.Position()
	t.Logf("%+v %v", p, err)
	db.Exec(t, "TRUNCATE TABLE "+DefaultName(products).quoted(), "UPDATE product_catalog.products SET name = 'lost' WHERE id = 3")
	r.Start()
	r.Count(6)
	for _, rec := range r.Store.Records()[5:] {
		t.Logf("%s %s", rec.Key, rec.Payload)
	}
}
