package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// TestMain lets the tests' own binary be the child that looks at a file of the store.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "store" && os.Args[2] == "probe" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// place is a configuration in a folder of its own, with its store and sockets beside it.
type place struct {
	t    *testing.T
	file string
	cfg  *config
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // short: a unix socket takes 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := strings.Replace(sample, `#folder = "/var/lib/station-agent"`, fmt.Sprintf("folder = %q", filepath.Join(dir, "store")), 1)
	text = strings.Replace(text, `#socket = "/run/station-agent/agent.sock"`, fmt.Sprintf("socket = %q", filepath.Join(dir, "agent.sock")), 1)
	p := &place{t: t, file: filepath.Join(dir, "agent.toml")}
	write(t, p.file, text)
	if p.cfg, err = loadConfig(p.file); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) path(name string) string { return filepath.Join(filepath.Dir(p.file), name) }

// open opens the store as the agent does.
func (p *place) open() *store.Store {
	p.t.Helper()
	clk, err := newClock()
	if err != nil {
		p.t.Fatal(err)
	}
	st, err := store.Open(p.cfg.storeConfig(clk.now))
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// fill makes a store with a scan, n records that wait from number 3 on, one accepted and one refused.
func (p *place) fill(n int) {
	p.t.Helper()
	st := p.open()
	if _, err := st.Journal.Append(record.Entry{Scan: &record.Scan{Verdict: record.Accepted}, Intents: []record.Intent{{Hash: "abc"}}}); err != nil {
		p.t.Fatal(err)
	}
	g := record.Group{Position: record.Position{GTID: "0-1-7"}}
	for i := range n + 2 {
		g.Records = append(g.Records, record.Record{Database: "external", Collection: "buylo_products", ID: fmt.Sprint("item ", i+1), Version: "1",
			Op: record.Update, At: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Key: fmt.Sprint("key-", i+1), Payload: []byte(`{"name": "<ř>"}`)})
	}
	if err := st.DB.Put(g); err != nil {
		p.t.Fatal(err)
	}
	err := st.DB.Settle([]record.Delivery{{Seq: 1, Receipt: &record.Receipt{Hash: "h"}}, {Seq: 2, Refusal: "no such tenant\x1b[31m"}})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// run runs a command of this place.
func (p *place) run(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	return command(p.t, append(args, "--config", p.file)...)
}

// want runs a command and wants its exit code and some words of what it prints on either side.
func (p *place) want(code int, words []string, args ...string) string {
	p.t.Helper()
	out, errs, got := p.run(args...)
	if got != code {
		p.t.Errorf("%v: exit %d, want %d: %s%s", args, got, code, out, errs)
	}
	for _, w := range words {
		if !strings.Contains(out+errs, w) {
			p.t.Errorf("%v: lacks %q: %s", args, w, cut(out+errs, 600))
		}
	}
	if strings.Count(errs, "\n") > 1 || strings.Contains(out+errs, "\x1b") {
		p.t.Errorf("%v: more than a line, or escapes: %q %q", args, out, errs)
	}
	return out
}

// agent serves both sockets of this place over its store, as a running agent does.
func (p *place) agent() *store.Store {
	p.t.Helper()
	st := p.open()
	p.t.Cleanup(func() { st.Close() })
	d := newDesk(st, p.cfg)
	look, control := http.NewServeMux(), http.NewServeMux()
	look.HandleFunc("GET /status", answer(func(w http.ResponseWriter, _ *http.Request) error {
		return writeJSON(w, status{Losses: st.Losses()})
	}))
	d.look(look)
	proofDesk{st, p.cfg}.look(look)
	d.change(control)
	bench := stoppedBench(st)
	bench.look(look)
	bench.change(control)
	b := newBoard(slog.New(slog.DiscardHandler))
	serve(p.t, &socketServer{p.cfg.Status.Socket, lookMode, look, "status.socket", b.condition("status socket")})
	serve(p.t, &socketServer{p.cfg.Status.ControlSocket, controlMode, control, "status.control_socket", b.condition("control socket")})
	for _, socket := range []string{p.cfg.Status.Socket, p.cfg.Status.ControlSocket} {
		p.await(socket)
	}
	return st
}

// await waits until somebody listens at a socket.
func (p *place) await(socket string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatal(err)
		}
	}
}

// letters reads a list in JSON.
func letters(t *testing.T, text string) []letter {
	t.Helper()
	var list []letter
	for dec := json.NewDecoder(bytes.NewBufferString(text)); dec.More(); {
		var l letter
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}
