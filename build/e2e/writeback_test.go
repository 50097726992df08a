package e2e

import (
	"fmt"
	"testing"
	"time"

	"station-agent/build/servers"
)

const tracked = `[writeback]
table = "external_workspace.station_agent_anchors"
every = "300ms"
[[table]]
schema = "shop"
name = "orders"
key = ["id"]
updated = "updated_at"
tracked = true
`

// TestWriteback shows each record in the agent's own table, and a customer's rows how they stand, through cuts and kills; and none of
// that is captured.
func TestWriteback(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		t.Parallel() // most of it is waiting
		s := newSite(t, db)
		s.must(db.CreateWorkspace(s.ctx))
		for _, text := range []string{
			"CREATE DATABASE shop",
			`CREATE TABLE shop.orders (id INT PRIMARY KEY, name VARCHAR(50), updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
				certyo_record_hash VARCHAR(128), certyo_anchor_status VARCHAR(20) DEFAULT 'Pending', certyo_verified_at TIMESTAMP NULL, KEY (updated_at))`,
			"GRANT SELECT, UPDATE (certyo_record_hash, certyo_anchor_status, certyo_verified_at, updated_at) ON shop.orders TO '" + servers.AgentUser + "'@'%'",
			"GRANT SELECT ON shop.orders TO '" + servers.CaptureUser + "'@'%'",
		} {
			s.sql(text)
		}
		s.Config.Tables = tracked
		s.started()
		items := s.stock(1, 4)
		s.pack("PKG-2026-0001", items[:2]...)
		for n := range 5 {
			s.sql("INSERT INTO shop.orders (id, name) VALUES (?, 'new')", n)
		}
		s.until("all orders are shown as anchored", func() bool {
			return s.number("SELECT COUNT(*) FROM shop.orders WHERE certyo_anchor_status = 'Anchored' AND certyo_verified_at IS NOT NULL") == 5
		})
		s.MySQL.Cut()
		s.step("PKG-2026-0002", "opened") // offline, once the rows are old
		s.step(items[2], "added")
		s.sql("UPDATE shop.orders SET name = 'changed' WHERE id < 2")
		s.Agent.Kill()
		s.MySQL.Restore()
		s.must(s.Agent.Start())
		s.rows("PKG-2026-0002", items[2])
		s.until("the agent has made its table", func() bool {
			return s.number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'external_workspace' AND table_name = 'station_agent_anchors'") == 1
		})
		s.until("all is shown as it stands", func() bool {
			return s.number("SELECT COUNT(*) FROM external_workspace.station_agent_anchors WHERE state = 'anchored' AND anchored_at IS NOT NULL AND record_hash IS NOT NULL") == s.records() &&
				s.number("SELECT COUNT(*) FROM shop.orders WHERE certyo_anchor_status = 'Anchored'") == 5
		})
		s.sql("INSERT INTO shop.orders (id, name) VALUES (9, 'end')")
		s.until("the last one is anchored", func() bool {
			return s.number("SELECT COUNT(*) FROM shop.orders WHERE id = 9 AND certyo_anchor_status = 'Anchored'") == 1
		})
		orders := map[string]int{}
		for _, r := range s.Cloud.Records() {
			if r.Collection == "orders" {
				orders[r.ID]++
			}
		}
		if want := map[string]int{"0": 2, "1": 2, "2": 1, "3": 1, "4": 1, "9": 1}; fmt.Sprint(orders) != fmt.Sprint(want) {
			t.Errorf("records of orders %v, want %v", orders, want)
		}
		s.stop()
	})
}

func (s *site) sql(text string, args ...any) {
	s.t.Helper()
	if _, err := s.DB.Root().ExecContext(s.ctx, text, args...); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
}

func (s *site) number(query string) (n int) {
	s.t.Helper()
	s.must(s.DB.Root().QueryRowContext(s.ctx, query).Scan(&n))
	return n
}

// records is how many records Certyo has, once it stays so for a second.
func (s *site) records() int {
	n := len(s.Cloud.Records())
	time.Sleep(time.Second)
	if len(s.Cloud.Records()) != n {
		return -1
	}
	return n
}
