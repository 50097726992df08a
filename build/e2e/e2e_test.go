// Package e2e starts the real binary against real servers, breaks the world around it and counts what came of it.
package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// binary is the agent under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(bed.WithAgent(func(path string) int {
		binary = path
		return m.Run()
	}))
}

// site is a bed with the test's clock and its complaints.
type site struct {
	*bed.Bed
	t   testing.TB
	ctx context.Context
}

func newSite(t testing.TB, db *servers.Database) *site {
	t.Helper()
	return newSiteWith(t, db, servers.Broker(t))
}

func newSiteWith(t testing.TB, db *servers.Database, broker *servers.Mosquitto) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	b, err := bed.New(ctx, bed.Options{Agent: binary, Dir: t.TempDir(), DB: db, Broker: broker})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			for _, l := range b.Agent.Lines(nil) {
				t.Log(l.Raw)
			}
		}
	})
	return &site{b, t, ctx}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) start() {
	s.t.Helper()
	s.must(s.WriteConfig())
	s.must(s.Agent.Start())
}

// started starts the agent and waits until all its worlds are there.
func (s *site) started() {
	s.t.Helper()
	s.start()
	s.must(s.Ready(s.ctx, "reader scanner", "mysql", "capture"))
}

func (s *site) stock(first, n int) []string {
	s.t.Helper()
	hashes, err := s.Stock(s.ctx, first, n)
	s.must(err)
	s.seen()
	return hashes
}

// seen waits until the agent knows what is on its station; without it a scan would be unknown.
func (s *site) seen() {
	s.t.Helper()
	s.must(s.Seen(s.ctx))
}

// scan wants a verdict, that which stays unless "waiting" is wanted, and gives its line.
func (s *site) scan(code, verdict string) bed.Line {
	s.t.Helper()
	ask := s.Answer
	if verdict == "waiting" {
		ask = s.Scan
	}
	line, err := ask(s.ctx, code)
	s.must(err)
	if line.Verdict != verdict {
		s.t.Fatalf("scan %q: %s (%s), want %s", code, line.Verdict, line.Text, verdict)
	}
	return line
}

// step wants an accepted scan to do something to the session.
func (s *site) step(code, step string) bed.Line {
	s.t.Helper()
	line, err := s.Answer(s.ctx, code)
	s.must(err)
	if line.Step != step || !strings.HasPrefix(line.Verdict, "accepted") {
		s.t.Fatalf("scan %q: %s, %q (%s), want %q", code, line.Verdict, line.Step, line.Text, step)
	}
	return line
}

// lookedFor wants codes to be looked for; stay says that they stayed unknown.
func (s *site) lookedFor(codes ...string) (stay func()) {
	s.t.Helper()
	var lines []bed.Line
	for _, code := range codes {
		lines = append(lines, s.scan(code, "waiting"))
	}
	return func() {
		s.t.Helper()
		for _, l := range lines {
			if final, err := s.Final(s.ctx, l); err != nil || final.Verdict != "unknown" {
				s.t.Fatalf("scan %q: %v %s, want unknown", l.Code, err, final.Raw)
			}
		}
	}
}

// rows wants rows to show a package, "" for none, in the end.
func (s *site) rows(pkg string, hashes ...string) {
	s.t.Helper()
	for _, hash := range hashes {
		s.until(fmt.Sprintf("row %s shows %q", hash, pkg), func() bool { return s.shows(hash) == pkg })
	}
}

// shows gives the package that a row shows, "" for none.
func (s *site) shows(hash string) string {
	s.t.Helper()
	p, err := s.Bridge.Package(s.ctx, hash)
	s.must(err)
	if p == nil {
		return ""
	}
	if *p == "" {
		s.t.Fatalf("row %s shows the empty text", hash)
	}
	return *p
}

// until waits for something.
func (s *site) until(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited for: %s", what)
		}
	}
}

// pack packs items into a package and closes it.
func (s *site) pack(label string, items ...string) {
	s.t.Helper()
	s.scan(label, "accepted")
	for _, i := range items {
		s.scan(i, "accepted")
	}
	s.scan(bed.CloseCode, "accepted")
}

// clean waits until everything that was promised has happened.
func (s *site) clean() bed.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 45*time.Second)
	defer cancel()
	r, err := s.WaitClean(ctx)
	s.must(err)
	return r
}

// said waits for a line of the log about one thing.
func (s *site) said(msg, what string) bed.Line {
	s.t.Helper()
	return s.saidSince(0, msg, what)
}

func (s *site) saidSince(mark int, msg, what string) bed.Line {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	l, err := s.Agent.Wait(ctx, mark, func(l bed.Line) bool { return l.Msg == msg && l.What == what })
	if err != nil {
		s.t.Fatalf("%s %s: %v", msg, what, err)
	}
	return l
}

// problem waits until status lists the thing as a problem (or no more), and gives its text.
func (s *site) problem(name string, want bool) string {
	s.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, err := s.Agent.Status(s.ctx)
		if err == nil {
			text, has := "", false
			for _, p := range status["problems"].([]any) {
				if p := p.(map[string]any); p["name"] == name {
					text, has = p["text"].(string), true
				}
			}
			if has == want {
				return text
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("problem %s: want %v: %v %v", name, want, status["problems"], err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// problemSays waits until the text of a problem has a part: what it counts comes one by one, and is looked at once a second.
func (s *site) problemSays(name, part string) {
	s.t.Helper()
	s.until(name+" says "+part, func() bool { return strings.Contains(s.problem(name, true), part) })
}

// stop wants a clean end within five seconds.
func (s *site) stop() {
	s.t.Helper()
	code, took, err := s.Agent.Stop()
	s.must(err)
	if code != 0 || took > 5*time.Second {
		s.t.Fatalf("stopped with %d after %v", code, took)
	}
}
