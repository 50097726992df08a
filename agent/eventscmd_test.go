package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

// TestEventsCommand asks a running agent and the store of a stopped one.
func TestEventsCommand(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		st := p.open()
		for _, m := range []message.Event{
			{Kind: message.Raised, Name: "mysql", Severity: message.Critical, Text: "away\x1b[31m", At: time.Now(), ClockTrusted: true},
			{Kind: message.Once, Name: "agent", Severity: message.Info, Text: "the agent started", At: time.Now()},
		} {
			if err := st.Events.Add(event(m)); err != nil {
				t.Fatal(err)
			}
		}
		st.Close()
		if running {
			p.agent()
		}
		out := p.want(0, []string{"critical  raised  mysql", "away", "the agent started", "?"}, "events")
		if n := strings.Count(out, "\n"); n != 2 || strings.Count(out, "?") != 1 {
			t.Errorf("%d lines: %s", n, out)
		}
		var e message.Event
		line, _, _ := strings.Cut(p.want(0, nil, "events", "--json"), "\n")
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq != 1 || e.Store == "" || !e.Historical || e.Code != "" {
			t.Errorf("%v %s", err, line)
		}
		p.want(exitUsage, nil, "events", "mysql")
	}
}
