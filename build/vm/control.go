package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

var errGone = errors.New("the machine has ended")

// dial waits until QEMU listens at a socket, which it does a moment after its start.
func dial(ctx context.Context, path string, ended <-chan struct{}) (net.Conn, error) {
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("%w: %w", errGone, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Monitor is QEMU's own command line (docs/interop/qmp-spec.txt of QEMU).
type Monitor struct {
	conn net.Conn
	in   *json.Decoder
}

func openMonitor(ctx context.Context, path string, ended <-chan struct{}) (*Monitor, error) {
	conn, err := dial(ctx, path, ended)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	m := &Monitor{conn, json.NewDecoder(conn)}
	return m, m.ask("qmp_capabilities", nil, nil)
}

// ask gives a command and waits for its answer.
func (m *Monitor) ask(command string, arguments, answer any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(m.conn).Encode(request); err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", command, err)
	}
	for {
		var said struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := m.in.Decode(&said); err != nil {
			return fmt.Errorf("ask QEMU to %s: %w", command, err)
		}
		switch {
		case said.Error != nil:
			return fmt.Errorf("ask QEMU to %s: %s", command, said.Error.Desc)
		case said.Return == nil: // the greeting, or an event
		case answer != nil:
			return json.Unmarshal(said.Return, answer)
		default:
			return nil
		}
	}
}

// find gives the path of the only device of a type that the board has.
func (m *Monitor) find(kind string) (string, error) {
	const board = "/machine/unattached"
	var list []struct{ Name, Type string }
	if err := m.ask("qom-list", map[string]any{"path": board}, &list); err != nil {
		return "", err
	}
	for _, d := range list {
		if d.Type == "child<"+kind+">" {
			return board + "/" + d.Name, nil
		}
	}
	return "", fmt.Errorf("this board has no %s", kind)
}

// Type types a text on the keyboard, and Enter: small and capital letters, digits and minus.
func (m *Monitor) Type(text string) error {
	for _, c := range text + "\n" {
		keys := []string{strings.ToLower(string(c))}
		switch {
		case c == '-':
			keys = []string{"minus"}
		case c == '\n':
			keys = []string{"ret"}
		case c >= 'A' && c <= 'Z':
			keys = []string{"shift", keys[0]}
		}
		var values []map[string]string
		for _, k := range keys {
			values = append(values, map[string]string{"type": "qcode", "data": k})
		}
		if err := m.ask("send-key", map[string]any{"keys": values, "hold-time": 20}, nil); err != nil {
			return err
		}
		time.Sleep(60 * time.Millisecond) // as a scanner does: its keyboard holds few keys that nobody fetched
	}
	return nil
}

// probe reads and writes registers of the machine, and sets its inputs (docs/devel/qtest.rst of QEMU). Any goroutine may.
type probe struct {
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
}

func openProbe(ctx context.Context, path string, ended <-chan struct{}) (*probe, error) {
	conn, err := dial(ctx, path, ended)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return &probe{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (p *probe) do(format string, args ...any) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(p.conn, command+"\n"); err != nil {
		return "", fmt.Errorf("probe %s: %w", command, err)
	}
	line, err := p.in.ReadString('\n')
	answer, ok := strings.CutPrefix(strings.TrimSpace(line), "OK")
	if err == nil && !ok {
		err = errors.New(line)
	}
	if err != nil {
		return "", fmt.Errorf("probe %s: %w", command, err)
	}
	return strings.TrimSpace(answer), nil
}

func (p *probe) read(address uint32) (uint32, error) {
	text, err := p.do("readl %#x", address)
	if err != nil {
		return 0, err
	}
	value, err := strconv.ParseUint(text, 0, 64)
	return uint32(value), err
}
