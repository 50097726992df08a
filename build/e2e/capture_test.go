package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestTheWayIsChosenAndKept starts with an account that may only read and write: changes are found by polling, with the reason
// said, and stay so after the log was granted, until a person says otherwise; then all is compared.
func TestTheWayIsChosenAndKept(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := newSite(t, db)
		s.Config.Source, s.Config.Capturer = "auto", ""
		s.started()
		if w := s.decided("external.buylo_products", "polling"); !strings.Contains(w["why"].(string), "REPLICATION") || w["cost"] == "" {
			t.Errorf("way: %v", w)
		}
		items := s.stock(1, 3)
		s.pack("PKG-2026-0001", items[:2]...)
		s.anchored(items[0], "PKG-2026-0001")
		s.anchored(items[1], "PKG-2026-0001")
		s.must(s.Bridge.Delete(s.ctx, items[0]))
		s.until("the delete and when it was seen are anchored", func() bool { return s.has("delete", items[0]) && s.gap("observed missing") })
		s.stop()

		db.Exec(t, "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '"+servers.AgentUser+"'@'%'")
		mark := s.Agent.Mark()
		s.started()
		s.decided("external.buylo_products", "polling")
		if lines := s.Agent.Lines(func(l bed.Line) bool { return strings.HasPrefix(l.Msg, "changes are found") }); len(lines) != 1 {
			t.Errorf("the way was said %d times", len(lines))
		}
		s.command(0, "capture", "use", "external.buylo_products", "auto")
		s.decided("external.buylo_products", "binlog")
		s.saidSince(mark, "recovered", "capture")
		s.pack("PKG-2026-0002", items[2])
		s.anchored(items[2], "PKG-2026-0002")
		s.until("the change of the way is recorded", func() bool { return s.gap("another way") })
		s.stop()
	})
}

// TestTablesOfTheCustomersOwn captures a table of another schema beside Buylo's, by each way.
func TestTablesOfTheCustomersOwn(t *testing.T) {
	for _, way := range []string{"polling", "binlog", "queue"} {
		t.Run(way, func(t *testing.T) {
			db := servers.MariaDB(t)
			db.Exec(t, "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
				"CREATE TABLE product_catalog.products (id INT PRIMARY KEY, name VARCHAR(50), secret VARCHAR(50), updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (updated_at))",
				"INSERT INTO product_catalog.products (id, name, secret) VALUES (1, 'one', 'hush'), (2, 'two', 'hush')",
				"GRANT SELECT ON product_catalog.* TO '"+servers.CaptureUser+"'@'%'")
			s := newSite(t, db)
			s.Config.Tables = "[[table]]\nschema = \"product_catalog\"\nname = \"products\"\nkey = [\"id\"]\nupdated = \"updated_at\"\n" +
				"source = \"" + way + "\"\ncollection = \"catalog_" + way + "\"\nhashed = [\"secret\"]\n"
			if way == "queue" {
				s.Config.Tables += "queue = \"product_catalog.station_agent_queue_products\"\n"
				s.queue()
			}
			s.started()
			s.decided("product_catalog.products", way)
			s.until("the rows are anchored", func() bool { return s.has("upsert", "1") && s.has("upsert", "2") })
			db.Exec(t, "UPDATE product_catalog.products SET name = CONCAT(name, '!') WHERE id = 2")
			s.until("the change is anchored", func() bool { return s.has("update", "2") })
			items := s.stock(1, 1)
			s.pack("PKG-2026-0001", items...)
			s.anchored(items[0], "PKG-2026-0001")
			for _, table := range []string{"product_catalog.products", "external.buylo_products"} {
				s.command(0, "capture", "snapshot", table)
			}
			s.until("every row is recorded once more", func() bool {
				return s.count("upsert", "1") == 2 && s.count("upsert", "2") == 2 && s.count("upsert", items[0]) == 1
			})
			for _, r := range s.Cloud.Records() {
				if strings.Contains(string(r.Payload), "hush") {
					t.Errorf("a hashed column: %s", r.Payload)
				}
			}
			s.stop()
		})
	}
}

// queue makes the queue as an administrator would, of what the agent prints.
func (s *site) queue() {
	s.t.Helper()
	s.must(s.WriteConfig())
	if said := s.command(1, "queue", "check"); !strings.Contains(said, "there is no queue table") {
		s.t.Errorf("check without a queue: %s", said)
	}
	s.layOut()
	s.command(0, "queue", "check")
}

// layOut runs what station-agent queue ddl prints.
func (s *site) layOut() {
	s.t.Helper()
	for statement := range strings.SplitSeq(s.command(0, "queue", "ddl"), ";\n") {
		if statement != "" {
			s.DB.Exec(s.t, statement)
		}
	}
}

// decided waits until the status says by which way a table is captured, which is a moment after capture works.
func (s *site) decided(table, way string) map[string]any {
	s.t.Helper()
	var w map[string]any
	s.until(table+" is captured by "+way, func() bool { w = s.way(table); return w["way"] == way })
	return w
}

// way is how the status says that a table is captured.
func (s *site) way(table string) map[string]any {
	s.t.Helper()
	status, err := s.Agent.Status(s.ctx)
	if err != nil {
		return nil
	}
	for _, w := range status["capture"].([]any) {
		if w := w.(map[string]any); w["table"] == table {
			return w
		}
	}
	return nil
}

// anchored waits until a record that shows the row in a package is proven.
func (s *site) anchored(hash, pkg string) {
	s.t.Helper()
	s.until(hash+" in "+pkg+" is anchored", func() bool {
		for _, r := range s.Cloud.Records() {
			if r.ID == hash && !r.ProvenAt.IsZero() && strings.Contains(string(r.Payload), `"`+pkg+`"`) {
				return true
			}
		}
		return false
	})
}

// has tells whether a record of an operation on a row came.
func (s *site) has(op, id string) bool { return s.count(op, id) > 0 }

// count tells how many of them came.
func (s *site) count(op, id string) (n int) {
	for _, r := range s.Cloud.Records() {
		if r.ID == id && string(r.Op) == op {
			n++
		}
	}
	return n
}

// gap tells whether a record says that something was not seen.
func (s *site) gap(reason string) bool {
	for _, r := range s.Cloud.Records() {
		if r.Collection == "station_agent_gaps" && strings.Contains(string(r.Payload), reason) {
			return true
		}
	}
	return false
}

// TestKilledWhileItReads kills the agent again and again while tables of the customer's own are captured by a queue and by
// polling: each change in the queue is one record, and the polled table's records end as its rows are.
func TestKilledWhileItReads(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		const columns = " (id INT PRIMARY KEY, value INT, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (updated_at))"
		db.Exec(t, "CREATE DATABASE product_catalog CHARACTER SET utf8mb4", "CREATE TABLE product_catalog.queued"+columns,
			"CREATE TABLE product_catalog.polled"+columns, "GRANT SELECT ON product_catalog.* TO '"+servers.CaptureUser+"'@'%'")
		s := newSite(t, db)
		for _, way := range []string{"queue", "polling"} {
			name := map[string]string{"queue": "queued", "polling": "polled"}[way]
			s.Config.Tables += "[[table]]\nschema = \"product_catalog\"\nname = \"" + name + "\"\nkey = [\"id\"]\nupdated = \"updated_at\"\nsource = \"" + way + "\"\n"
			if way == "queue" {
				s.Config.Tables += "queue = \"product_catalog.station_agent_queue_queued\"\n"
			}
		}
		s.queue()
		s.start()
		s.must(s.Ready(s.ctx, "capture of product_catalog.queued", "capture of product_catalog.polled"))
		changes := 0
		change := func(id, value int) {
			for _, table := range []string{"queued", "polled"} {
				db.Exec(t, fmt.Sprintf("INSERT INTO product_catalog.%s (id, value) VALUES (%d, %d) ON DUPLICATE KEY UPDATE value = VALUES(value)", table, id, value))
			}
			changes++
		}
		for n := range 240 {
			change(n%7, n)
			if n%40 == 39 {
				s.Agent.Kill()
				s.must(s.Agent.Start())
			}
			time.Sleep(25 * time.Millisecond) // the agent needs time to be killed in
		}
		s.until("the last states were polled", func() bool { return s.values("polled")["3"] == 234 })
		db.Exec(t, "DELETE FROM product_catalog.polled WHERE id = 3")
		s.until("everything is recorded", func() bool {
			return s.values("queued")["count"] >= changes && s.has("delete", "3") && s.values("polled")["6"] == 237
		})
		time.Sleep(3 * time.Second) // nothing tells that no record follows: for one too many
		queued, polled := s.values("queued"), s.values("polled")
		if queued["count"] != changes || queued["doubled"] > 0 {
			t.Errorf("%d changes, %d records of the queue, %d doubled", changes, queued["count"], queued["doubled"])
		}
		for id := range 7 {
			want := 233 + (id+5)%7 // the last of 0 to 239 with this remainder
			if got := queued[strconv.Itoa(id)]; got != want {
				t.Errorf("queued row %d ended at %d, want %d", id, got, want)
			}
			if got := polled[strconv.Itoa(id)]; got != want && id != 3 {
				t.Errorf("polled row %d ended at %d, want %d", id, got, want)
			}
		}
		s.stop()
	})
}

// values gives the last value of each row of a collection by its records, how many distinct values came, and how many twice.
func (s *site) values(collection string) map[string]int {
	out, seen := make(map[string]int), make(map[int]bool)
	for _, r := range s.Cloud.Records() {
		if r.Collection != collection || r.Op == "delete" {
			continue
		}
		var row struct{ Value int }
		s.must(json.Unmarshal(r.Payload, &row))
		if out[r.ID] = row.Value; seen[row.Value] {
			out["doubled"]++
		}
		seen[row.Value] = true
	}
	out["count"] = len(seen)
	return out
}
