package servers

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// home is the folder of one running server:
//
//	owner    locked by the process that started the server, as long as that lives
//	pid      of the server
//	data/    log    socket
//	client   a script that runs the command-line client
type home struct {
	dir   string
	owner *os.File
}

func (h home) data() string   { return filepath.Join(h.dir, "data") }
func (h home) log() string    { return filepath.Join(h.dir, "log") }
func (h home) socket() string { return filepath.Join(h.dir, "socket") }
func (h home) client() string { return filepath.Join(h.dir, "client") }

// writeClient makes the script that runs argv with the arguments it is given, so that people see a short command.
func (h home) writeClient(argv []string) error {
	for i, word := range argv {
		argv[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return os.WriteFile(h.client(), []byte("exec "+strings.Join(argv, " ")+" \"$@\"\n"), 0o600)
}

// tail returns the end of the server's log.
func (h home) tail() string {
	log, _ := os.ReadFile(h.log())
	return tail(log)
}

// newHome makes the folder and first removes those whose owner died.
func newHome(ctx context.Context, kind string) (home, error) {
	base := filepath.Join(os.TempDir(), "station-agent-servers-"+strconv.Itoa(os.Getuid()))
	if len(base) > 60 { // a path to a unix socket has at most 107 characters
		base = filepath.Join("/tmp", filepath.Base(base))
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return home{}, err
	}
	unlock, err := lock(ctx, filepath.Join(base, "lock"))
	if err != nil {
		return home{}, err
	}
	defer unlock()
	sweep(base)
	dir, err := os.MkdirTemp(base, kind+"-")
	if err != nil {
		return home{}, err
	}
	owner, err := own(dir)
	if err != nil {
		return home{}, fmt.Errorf("lock data folder: %w", err)
	}
	return home{dir, owner}, nil
}

func (h home) remove() {
	os.RemoveAll(h.dir)
	h.owner.Close()
}

// own takes the lock of a server's folder, which fails while its owner lives.
func own(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "owner"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the folders whose owner is dead, and kills a server that outlived it.
func sweep(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, "m*-*"))
	for _, dir := range dirs {
		owner, err := own(dir)
		if err != nil {
			continue
		}
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		if pid, err := strconv.Atoi(string(text)); err == nil {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.Contains(command, []byte(dir)) { // the number may be another process's by now
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		home{dir, owner}.remove()
	}
}

// freePort finds a port on 127.0.0.1 that nobody listens on, below the ports the kernel gives to outgoing connections,
// so that none of those sits on it when the server comes back.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp4", address(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
