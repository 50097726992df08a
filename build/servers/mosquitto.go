package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Login is an account of the broker.
type Login struct{ User, Password string }

// Mosquitto is a private MQTT broker. It keeps retained messages and persistent sessions when killed. Its methods may be
// called from any goroutine.
type Mosquitto struct {
	Addr    string // host:port, the same for the broker's whole life
	WebAddr string // the same for MQTT over websockets
	TLSAddr string // the same over TLS; "" without Secure

	tree tree
	home home
	port int // of Addr
	web  int // of WebAddr
	tls  int // of TLSAddr
	safe *Secure

	mu   sync.Mutex
	proc *process // nil when killed
}

// StartMosquitto starts a broker and returns when it answers. Without logins everybody may connect.
func StartMosquitto(ctx context.Context, logins ...Login) (*Mosquitto, error) {
	return startMosquitto(ctx, nil, logins)
}

func startMosquitto(ctx context.Context, safe *Secure, logins []Login) (*Mosquitto, error) {
	t, err := fetch(ctx, mosquitto)
	if err != nil {
		return nil, err
	}
	h, err := newHome(ctx, mosquitto)
	if err != nil {
		return nil, fmt.Errorf("make data folder of %s: %w", mosquitto, err)
	}
	m := &Mosquitto{tree: t, home: h, safe: safe}
	if err := m.begin(ctx, logins); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// begin is the first start. Between the choice of a port and its use somebody else may take it: then once more.
func (m *Mosquitto) begin(ctx context.Context, logins []Login) error {
	if err := os.Mkdir(m.home.data(), 0o700); err != nil {
		return err
	}
	if err := m.writePasswords(ctx, logins); err != nil {
		return err
	}
	var err error
	for range 2 {
		if err = m.settle(len(logins) == 0); err != nil {
			return err
		}
		if err = m.Start(ctx); err == nil || !strings.Contains(err.Error(), "in use") {
			break
		}
	}
	return err
}

// settle chooses the ports and writes what depends on them.
func (m *Mosquitto) settle(anonymous bool) error {
	var err error
	if m.port, err = freePort(); err != nil {
		return err
	}
	if m.web, err = freePort(); err != nil {
		return err
	}
	m.Addr, m.WebAddr = address(m.port), address(m.web)
	if m.safe != nil && m.safe.Cert != "" {
		if m.tls, err = freePort(); err != nil {
			return err
		}
		m.TLSAddr = address(m.tls)
	}
	subscribe := m.tree.command("usr/bin/mosquitto_sub", "-h", "127.0.0.1", "-p", strconv.Itoa(m.port), "-v")
	if err := m.home.writeClient(subscribe); err != nil {
		return err
	}
	return m.configure(anonymous)
}

// Start starts a killed broker again, with the data and the address it had, and returns when it answers. The context
// bounds the waiting only.
func (m *Mosquitto) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil {
		return nil
	}
	proc, err := launch(m.tree.command("usr/sbin/mosquitto", "-c", m.conf()), m.home)
	if err != nil {
		return err
	}
	if err := m.answers(ctx, proc); err != nil {
		proc.kill()
		return fmt.Errorf("start %s: %w", mosquitto, err)
	}
	m.proc = proc
	return nil
}

// Kill ends the broker with SIGKILL and waits until it is gone.
func (m *Mosquitto) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil {
		m.proc.kill()
		m.proc = nil
	}
}

// Close kills the broker and removes its data.
func (m *Mosquitto) Close() {
	m.Kill()
	m.home.remove()
}

// Client is the command that shows what passes the broker, to which arguments are added: -t and a topic filter, and -u
// and -P where the broker asks for them.
func (m *Mosquitto) Client() []string { return []string{"sh", m.home.client()} }

// answers waits until the broker accepts connections; if it ends instead, the error has the end of its log.
func (m *Mosquitto) answers(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		select {
		case <-proc.ended:
			return fmt.Errorf("it ended: %w: %s", errors.Join(proc.err, ctx.Err()), m.home.tail())
		default:
		}
		if err := m.accepts(ctx); err == nil {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("wait for an answer: %w: %s", err, m.home.tail())
		}
	}
}

// accepts tells whether all listeners take connections.
func (m *Mosquitto) accepts(ctx context.Context) error {
	var d net.Dialer
	for _, addr := range []string{m.Addr, m.WebAddr, m.TLSAddr} {
		if addr == "" {
			continue
		}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		conn.Close()
	}
	return nil
}

func (m *Mosquitto) conf() string      { return filepath.Join(m.home.dir, "mosquitto.conf") }
func (m *Mosquitto) passwords() string { return filepath.Join(m.home.dir, "passwords") }

func (m *Mosquitto) configure(anonymous bool) error {
	lines := []string{
		"persistence true",
		"persistence_location " + m.home.data() + "/",
		"autosave_interval 1",
		"autosave_on_changes true",
		fmt.Sprintf("listener %d 127.0.0.1", m.port),
		fmt.Sprintf("listener %d 127.0.0.1", m.web),
		"protocol websockets",
		"socket_domain ipv4", // without it a websocket listener is on all addresses
		fmt.Sprintf("allow_anonymous %t", anonymous),
	}
	if !anonymous {
		lines = append(lines, "password_file "+m.passwords())
	}
	if m.safe != nil {
		more, err := m.safe.lines(m.home.dir, m.tls)
		if err != nil {
			return err
		}
		lines = append(lines, more...)
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "user root") // else it would change to a user who may not read the folder
	}
	return os.WriteFile(m.conf(), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (m *Mosquitto) writePasswords(ctx context.Context, logins []Login) error {
	if err := os.WriteFile(m.passwords(), nil, 0o600); err != nil {
		return err
	}
	for _, l := range logins {
		argv := m.tree.command("usr/bin/mosquitto_passwd", "-b", m.passwords(), l.User, l.Password)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("write password of %s: %w: %s", l.User, err, tail(out))
		}
	}
	return nil
}

// SetLogins starts the broker again with other accounts.
func (m *Mosquitto) SetLogins(ctx context.Context, logins ...Login) error {
	m.Kill()
	if err := m.writePasswords(ctx, logins); err != nil {
		return err
	}
	return m.Start(ctx)
}

// Stall stops the broker where it is: its connections stay open and nothing is read or said until Resume.
func (m *Mosquitto) Stall() { m.signal(syscall.SIGSTOP) }

// Resume ends a Stall.
func (m *Mosquitto) Resume() { m.signal(syscall.SIGCONT) }

func (m *Mosquitto) signal(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil {
		_ = syscall.Kill(-m.proc.pid, s) // it has ended: nothing to stop
	}
}
