package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station-agent/store"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestMoveOfAStoppedAgent goes from one card to another with one command each.
func TestMoveOfAStoppedAgent(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	file := p.path("moved.store")
	p.want(exitUsage, []string{"inside the store"}, "store", "export", filepath.Join(p.cfg.Store.Folder, "x"))
	p.want(exitFailed, []string{"not moved"}, "store", "reopen")
	p.want(0, []string{"holds the store"}, "store", "export", file)
	p.want(exitFailed, []string{"moved away to " + file, "store reopen"}, "run")
	p.want(exitFailed, []string{"moved away to " + file}, "outbox", "list")
	p.want(exitFailed, []string{"is there already"}, "store", "export", file)
	p.want(exitUsage, []string{file, "--yes"}, "store", "reopen")
	p.want(0, []string{"destroy " + file}, "store", "reopen", "--yes")
	p.want(0, []string{"... of 5"}, "outbox", "list", "--limit", "1")
	p.want(0, nil, "store", "export", p.path("again.store"))
	p.want(exitFailed, []string{"not empty"}, "store", "import", p.path("again.store"))
	if err := os.Rename(p.cfg.Store.Folder, p.path("old")); err != nil {
		t.Fatal(err)
	}
	p.want(exitFailed, nil, "store", "import", p.path("none.store"))
	p.want(0, []string{p.cfg.Store.Folder + " is the store"}, "store", "import", p.path("again.store"))
	p.want(0, []string{"5 records", "session 3"}, "store", "stats") // filled, listed, and counted now
	if left, _ := filepath.Glob(p.path("*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// runParts runs an agent that has nothing but its store and its sockets.
func (p *place) runParts() (ended <-chan error) {
	p.t.Helper()
	clk, err := newClock()
	if err != nil {
		p.t.Fatal(err)
	}
	a := &parts{cfg: p.cfg, log: quiet(), clock: clk, board: newBoard(quiet()), store: p.open(), moving: newMoving()}
	look, control := http.NewServeMux(), http.NewServeMux()
	look.HandleFunc("GET /status", answer(func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, status{}) }))
	control.HandleFunc("POST /store/export", answer(a.moving.export))
	a.add(a.store)
	a.add(&socketServer{p.cfg.Status.Socket, lookMode, look, "status.socket", a.board.condition("status socket")})
	a.add(&socketServer{p.cfg.Status.ControlSocket, controlMode, control, "status.control_socket", a.board.condition("control socket")})
	done := make(chan error, 1)
	go func() { done <- a.Run(p.t.Context()) }()
	p.await(p.cfg.Status.Socket)
	p.await(p.cfg.Status.ControlSocket)
	return done
}

// TestMoveOfARunningAgent holds that the agent ends without an error and that its store is marked.
func TestMoveOfARunningAgent(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	ended := p.runParts()
	p.want(0, []string{"holds the store"}, "store", "export", p.path("moved.store"))
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.want(exitFailed, []string{"moved away"}, "run")
	f, err := os.Open(p.path("moved.store"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m, err := store.Verify(f); err != nil || len(m.Files) < 3 {
		t.Error(m, err)
	}
}

// TestAFileThatCannotBeWritten ends no agent.
func TestAFileThatCannotBeWritten(t *testing.T) {
	p := newPlace(t)
	p.fill(5)
	ended := p.runParts()
	p.want(exitFailed, nil, "store", "export", p.path("no/such/folder/moved.store"))
	select {
	case err := <-ended:
		t.Error("the agent has ended: ", err)
	default:
	}
	p.want(0, nil, "status")
}

// TestACommandThatDies leaves the store as it was, and the agent ends with an error so that it is started again.
func TestACommandThatDies(t *testing.T) {
	for name, until := range map[string]func(in *bufio.Reader) error{
		"at once":              func(*bufio.Reader) error { return nil },
		"in the middle":        func(in *bufio.Reader) error { _, err := io.CopyN(io.Discard, in, 300); return err },
		"with the whole file":  func(in *bufio.Reader) error { return readUntil(in, complete) },
		"with a word of woe":   func(in *bufio.Reader) error { return readUntil(in, complete) },
		"without a name in it": func(in *bufio.Reader) error { _, err := in.ReadString('\n'); return err },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.fill(5)
			ended := p.runParts()
			conn, err := net.Dial("unix", p.cfg.Status.ControlSocket)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "POST /store/export?to=x HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if err := until(bufio.NewReader(conn)); err != nil {
				t.Fatal(err)
			}
			if name == "with a word of woe" {
				if _, err := io.WriteString(conn, "the stick is full\n"); err != nil {
					t.Fatal(err)
				}
			}
			conn.Close()
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "the store is as it was") {
				t.Errorf("%v", err)
			}
			st := p.open()
			if st.DB.Stats().QueueRecords != 5 {
				t.Errorf("%+v", st.DB.Stats())
			}
			st.Close()
		})
	}
}

func readUntil(in *bufio.Reader, word string) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return errors.Join(errors.New("wait for "+word), err)
		}
		if strings.TrimSpace(line) == word {
			return nil
		}
	}
}
