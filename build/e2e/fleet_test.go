package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/uplink/fleet/message"
)

// subscriber is somebody of the fleet, straight at the broker.
type subscriber struct {
	mu     sync.Mutex
	states []string
	health []map[string]any
	events []message.Event
}

func (s *site) subscribe() *subscriber {
	s.t.Helper()
	f := &subscriber{}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + s.Options.Broker.Addr).SetClientID("e2e").
		SetCleanSession(false).SetMaxReconnectInterval(100 * time.Millisecond)) // the broker keeps what is missed while it is killed
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		s.t.Fatal(t.Error())
	}
	s.t.Cleanup(func() { client.Disconnect(0) })
	topic := fmt.Sprintf("station-agent/test/%s/", bed.Station)
	take := func(_ mqtt.Client, m mqtt.Message) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var body map[string]any
		if err := json.Unmarshal(m.Payload(), &body); err != nil {
			s.t.Errorf("%s: %v", m.Topic(), err)
		}
		switch strings.TrimPrefix(m.Topic(), topic) {
		case "state":
			if body["station"] != bed.Station || body["environment"] != "test" {
				s.t.Errorf("state %v", body)
			}
			f.states = append(f.states, body["state"].(string))
		case "health":
			f.health = append(f.health, body)
		case "events":
			e, err := message.Decode[message.Event](m.Payload())
			if err != nil {
				s.t.Errorf("event %s: %v", m.Payload(), err)
			}
			f.events = append(f.events, e)
		}
	}
	if t := client.Subscribe(topic+"+", 1, take); t.Wait() && t.Error() != nil {
		s.t.Fatal(t.Error())
	}
	return f
}

// state waits until the newest state is the wanted one.
func (f *subscriber) state(t *testing.T, want string) {
	t.Helper()
	f.wait(t, "state "+want, func() bool { return len(f.states) > 0 && f.states[len(f.states)-1] == want })
}

func (f *subscriber) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	f.within(t, 30*time.Second, what, done)
}

func (f *subscriber) within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		f.mu.Lock()
		ok := done()
		f.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: states %v, %d health messages", what, f.states, len(f.health))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestFleetSeesTheWork follows state and health through work, trouble, a crash and a clean stop.
func TestFleetSeesTheWork(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	f := s.subscribe()
	s.started()
	f.state(t, "ready")
	s.Certyo.Cut()
	items := s.stock(1, 2)
	s.pack("PKG-2026-0001", items...)
	f.state(t, "alert")
	f.wait(t, "a health that tells of the queue", func() bool {
		if len(f.health) == 0 {
			return false
		}
		h := f.health[len(f.health)-1]
		return h["queue_records"].(float64) >= 4 && h["oldest_unsent_s"].(float64) > 0 && h["scans"] == float64(4) &&
			len(h["problems"].([]any)) > 0 && h["capture_lag_s"] != nil && h["last_scan_s"] != nil
	})
	s.Certyo.Restore()
	f.state(t, "ready")
	f.wait(t, "a health that tells of the proof", func() bool {
		h := f.health[len(f.health)-1]
		return h["queue_records"] == float64(0) && h["unanchored"] == float64(0)
	})
	s.Agent.Kill()
	f.state(t, "lost")
	s.started()
	f.state(t, "ready")
	s.stop()
	f.state(t, "disconnected")
	s.clean()
}

// TestUpdateIsAnnounced holds that a stop for a new version reads differently from any other stop, and from a loss.
func TestUpdateIsAnnounced(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	f := s.subscribe()
	s.started()
	f.state(t, "ready")
	if _, errs, code, err := s.Agent.Command(s.ctx, "announce-update", "--config", filepath.Join(s.Dir, "agent.toml")); err != nil || code != 0 {
		t.Fatalf("announce-update: %d %s %v", code, errs, err)
	}
	f.state(t, "updating")
	s.stop()
	f.state(t, "updating") // still
	s.started()
	f.state(t, "ready")
	f.wait(t, "what came between", func() bool {
		if slices.Contains(f.states, "lost") || slices.Contains(f.states, "disconnected") {
			t.Errorf("states %v", f.states)
		}
		return true
	})
	s.stop()
	f.state(t, "disconnected")
}

// version is what the binary says of itself.
func (s *site) version() string {
	s.t.Helper()
	out, _, _, err := s.Agent.Command(s.ctx, "version")
	s.must(err)
	return strings.Fields(out)[1]
}

// TestConnectionsNameTheStation holds that whoever looks at the server sees who is connected.
func TestConnectionsNameTheStation(t *testing.T) {
	servers.Databases(t, func(t *testing.T, plain *servers.Database) {
		db := plain
		if err := db.Restart(t.Context(), "--performance-schema=ON"); err != nil {
			t.Fatal(err)
		}
		s := newSite(t, db)
		s.started()
		s.pack("PKG-2026-0001", s.stock(1, 1)...)
		for name, want := range map[string]string{"program_name": "station-agent", "program_version": s.version(), "station": bed.Station} {
			var named, all int // connections come and go; the reader of the binary log has another name, below
			s.must(db.Root().QueryRowContext(s.ctx, `SELECT COUNT(a.ATTR_NAME), COUNT(*) FROM performance_schema.threads t
				LEFT JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = ? AND a.ATTR_VALUE = ?
				WHERE t.PROCESSLIST_USER IN (?, ?) AND t.PROCESSLIST_COMMAND NOT LIKE 'Binlog Dump%'`,
				name, want, servers.AgentUser, servers.CaptureUser).Scan(&named, &all))
			if all == 0 || named != all {
				t.Errorf("%d of %d connections name %s %s", named, all, name, want)
			}
		}
		show := "SHOW REPLICAS"
		if db.Flavor == "mariadb" {
			show = "SHOW SLAVE HOSTS"
		}
		// it asks for the log a moment after capture says that it can
		s.until("the reader of the binary log is named", func() bool { return s.replicaNamed(db, show) })
		s.stop()
	})
}

// replicaNamed tells whether a reader of the binary log goes by the station's name.
func (s *site) replicaNamed(db *servers.Database, show string) bool {
	rows, err := db.Root().QueryContext(s.ctx, show)
	s.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	s.must(err)
	cells, into := make([]string, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		s.must(rows.Scan(into...))
		if strings.Contains(strings.Join(cells, " "), bed.Station[:8]) {
			return true
		}
	}
	return false
}
