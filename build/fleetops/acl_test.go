package fleetops

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
)

const (
	mine   = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"
	theirs = "1b0a7c3d-52c8-4f6e-8d3b-0c9d5d1e2f33"
)

// client is one account at the broker, which asks for everything.
type client struct {
	name string
	desk *fleet.Desk
	said chan fleet.Said
}

func dial(t *testing.T, m *servers.Mosquitto, name string) *client {
	t.Helper()
	c := &client{name: name, said: make(chan fleet.Said, 1000)}
	var err error
	c.desk, err = fleet.Dial(t.Context(), fleet.Access{Brokers: []string{"tcp://" + m.Addr}, User: name, Password: func() (string, error) { return "secret", nil }},
		"client-"+name, []string{"station-agent/#"}, func(s fleet.Said) { c.said <- s })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.desk.Leave)
	return c
}

func (c *client) say(t *testing.T, topic, text string) {
	t.Helper()
	if err := c.desk.Say(context.Background(), topic, []byte(text), 1, false); err != nil {
		t.Fatal(err)
	}
}

// until gives what came before a fence, which every account may write and read under its own name: what the broker forbids
// it acknowledges and drops, and only what comes in order tells that something doesn't come.
func (c *client) until(t *testing.T, fence string) (topics []string) {
	t.Helper()
	for {
		select {
		case s := <-c.said:
			switch text := string(s.Payload); {
			case text == fence:
				return topics
			case text == "marker":
				topics = append(topics, s.Topic)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s waited in vain for its fence", c.name)
		}
	}
}

func TestEachRoleMayWhatItsRulesSay(t *testing.T) {
	roles := []string{mine, theirs, "watcher", "exporter", "operator", "keeper", "nobody"}
	var logins []servers.Login
	for _, r := range roles {
		logins = append(logins, servers.Login{User: r, Password: "secret"})
	}
	m := servers.SecureBroker(t, servers.Secure{ACL: read(t, "mosquitto.acl")}, logins...)
	var clients []*client
	for _, r := range roles {
		clients = append(clients, dial(t, m, r))
	}
	leaves := []string{message.StateLeaf, message.AlarmsLeaf, message.EventsLeaf, message.HealthLeaf, message.ChallengeLeaf, message.CommandLeaf, message.ResultLeaf}
	topic := func(station, leaf string) string {
		return message.Place{Environment: "test", Station: station}.Topic(leaf)
	}
	watches := func(leaf string) bool { return leaf != message.CommandLeaf }
	may := func(role, leaf string) (writes, reads bool) { // on a topic of mine
		switch role {
		case mine:
			return leaf != message.CommandLeaf, leaf == message.StateLeaf || leaf == message.ChallengeLeaf || leaf == message.CommandLeaf
		case "watcher", "exporter":
			return false, watches(leaf)
		case "operator":
			return leaf == message.CommandLeaf, watches(leaf)
		case "keeper":
			return leaf == message.StateLeaf || leaf == message.AlarmsLeaf, watches(leaf)
		}
		return false, false
	}
	seen := 0
	for i, w := range clients {
		for _, leaf := range leaves {
			w.say(t, topic(mine, leaf), "marker")
		}
		for j, r := range clients {
			fence := fmt.Sprintf("fence %d %d", i, j)
			r.say(t, topic(r.name, message.StateLeaf), fence)
			got := r.until(t, fence)
			for _, leaf := range leaves {
				writes, _ := may(w.name, leaf)
				_, reads := may(r.name, leaf)
				came := slices.Contains(got, topic(mine, leaf))
				if came {
					seen++
				}
				if came != (writes && reads) {
					t.Errorf("%s writes %s of another station or its own, %s reads it: %v", short(w.name), leaf, short(r.name), came)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d messages came: this test looks at nothing", seen)
	}
}

func short(name string) string { before, _, _ := strings.Cut(name, "-"); return before }

// TestTheBrokersConfigurationIsTaken runs Mosquitto on the lines of the file that have nothing to do with where it lies.
func TestTheBrokersConfigurationIsTaken(t *testing.T) {
	var lines []string
	for _, line := range strings.Split(read(t, "mosquitto.conf"), "\n") {
		word, _, _ := strings.Cut(line, " ")
		if slices.Contains([]string{"max_queued_messages", "message_size_limit"}, word) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	m := servers.SecureBroker(t, servers.Secure{ACL: "user x\ntopic readwrite #\n", Also: lines}, servers.Login{User: "x", Password: "secret"})
	c := dial(t, m, "x")
	long := make([]byte, message.Most)
	if err := c.desk.Say(t.Context(), "station-agent/test/"+mine+"/result", long, 1, false); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-c.said:
		if len(s.Payload) != len(long) {
			t.Errorf("%d bytes", len(s.Payload))
		}
	case <-time.After(20 * time.Second):
		t.Error("a message of the longest kind doesn't come through")
	}
}

// TestWhoBeginsToWatchIsSentEverything holds that the line in the file is needed, and enough: what is kept of 600 stations comes in
// one go, and by Mosquitto's default a part of it would be dropped without a word.
func TestWhoBeginsToWatchIsSentEverything(t *testing.T) {
	const stations = 600
	come := func(also ...string) (n int) {
		t.Helper()
		m := servers.SecureBroker(t, servers.Secure{ACL: "user x\ntopic readwrite #\n", Also: append(also, "autosave_on_changes false")}, servers.Login{User: "x", Password: "secret"})
		access := fleet.Access{Brokers: []string{"tcp://" + m.Addr}, User: "x", Password: func() (string, error) { return "secret", nil }}
		desk, err := fleet.Dial(t.Context(), access, "stations", []string{"none"}, func(fleet.Said) {})
		if err != nil {
			t.Fatal(err)
		}
		defer desk.Leave()
		for i := range stations {
			for _, leaf := range message.Retained {
				p := message.Place{Environment: "test", Station: fmt.Sprintf("%08x-3a51-4a3e-9d0f-6f6f3b1f0a11", i)}
				if err := desk.Say(t.Context(), p.Topic(leaf), []byte("kept"), 1, true); err != nil {
					t.Fatal(err)
				}
			}
		}
		c := dial(t, m, "x")
		last := "station-agent/test/last/state"
		for {
			select {
			case s := <-c.said:
				if s.Topic == last {
					return n
				}
				n++
			case <-time.After(time.Second): // what is dropped would be a fence, too: once nothing comes it is said
				if err := desk.Say(t.Context(), last, []byte("last"), 1, false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := come(); n >= 2*stations {
		t.Errorf("by default %d messages come, too: the line is not needed any more", n)
	}
	line := ""
	for _, l := range strings.Split(read(t, "mosquitto.conf"), "\n") {
		if strings.HasPrefix(l, "max_queued_messages ") {
			line = l
		}
	}
	if n := come(line); n != 2*stations {
		t.Errorf("%d of %d messages come", n, 2*stations)
	}
}
