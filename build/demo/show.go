package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/build/bed"
)

// show writes what happens, a line each, as it happens.
type show struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
	plain bool // no colours: the output is no terminal
}

func newShow(out *os.File) *show {
	info, err := out.Stat()
	return &show{out: out, began: time.Now(), plain: err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != ""}
}

func (s *show) paint(colour, text string) string {
	if s.plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (s *show) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%s\n", s.paint("1", "── "+text))
}

// line tells what one actor did.
func (s *show) line(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s  %-7s %s\n", s.paint("2", fmt.Sprintf("%5.1fs", time.Since(s.began).Seconds())), who, fmt.Sprintf(format, args...))
}

// lamp shows one verdict as the lamps would.
func (s *show) lamp(code string, l bed.Line) {
	s.line("packer", "scans %-16s %s  %s", short(code), s.colours(l), l.Text)
}

// answer shows the verdict that follows on a "waiting".
func (s *show) answer(code string, l bed.Line) {
	s.line("", "then  %-16s %s  %s", short(code), s.colours(l), l.Text)
}

func (s *show) colours(l bed.Line) string {
	colour, lamp := "31", "● red   "
	switch l.Verdict {
	case "accepted":
		colour, lamp = "32", "● green "
	case "accepted offline", "accepted offline, unverified":
		colour, lamp = "36", "● green+blue"
	case "duplicate", "waiting", "question", "no package open":
		colour, lamp = "33", "● yellow"
	}
	return s.paint(colour, lamp)
}

func short(code string) string {
	if len(code) == 32 {
		return code[:8] + "…"
	}
	return code
}

// watchFleet shows the state that the fleet sees, as a subscriber of its own.
func watchFleet(addr string, s *show) (stop func(), err error) {
	options := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("demo-watch")
	client := mqtt.NewClient(options)
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		return nil, fmt.Errorf("watch fleet: %w", t.Error())
	}
	last := ""
	t := client.Subscribe("station-agent/+/+/state", 1, func(_ mqtt.Client, m mqtt.Message) {
		var state struct{ State string }
		if json.Unmarshal(m.Payload(), &state) == nil && state.State != last {
			last = state.State
			s.line("fleet", "sees the station as %s", s.paint("1", strings.ToUpper(state.State)))
		}
	})
	if t.Wait() && t.Error() != nil {
		return nil, fmt.Errorf("watch fleet: %w", t.Error())
	}
	return func() { client.Disconnect(100) }, nil
}
