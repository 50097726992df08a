package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The two sockets are two rights: who may open status.socket may look (GET), who may open status.control_socket may change
// something (POST).
const (
	lookMode    = 0o660
	controlMode = 0o600
	socketAgain = 5 * time.Second // between two tries to open a socket
	answerTime  = 5 * time.Second // for an answer, and for each piece of a long one
)

// noTime takes a time limit away.
var noTime time.Time

// socketServer answers on one unix socket.
type socketServer struct {
	path    string
	mode    os.FileMode
	handler http.Handler
	field   string // that names the socket in the configuration
	cond    *condition
}

// Run serves until ctx ends. A socket that can't be had is a trouble of its own, never one of the bench.
func (s *socketServer) Run(ctx context.Context) error {
	again := time.NewTicker(socketAgain)
	defer again.Stop()
	for ctx.Err() == nil {
		if err := s.serve(ctx); err != nil {
			s.cond.Lost(fmt.Errorf("%w: correct %s or the rights of its folder", err, s.field))
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	return nil
}

// serve opens the socket and serves until that fails or ctx ends.
func (s *socketServer) serve(ctx context.Context) error {
	ln, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.cond.Back()
	srv := &http.Server{Handler: s.handler, ReadTimeout: answerTime, WriteTimeout: answerTime, MaxHeaderBytes: 8 << 10}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve socket: %w", err)
	}
	return nil
}

// listen takes the place of a socket that a killed agent left; the lock on the store holds that there is no other agent.
// The socket never has more rights than it is to have, not for a moment.
func (s *socketServer) listen(ctx context.Context) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder of socket: %w", err)
	}
	if info, err := os.Lstat(s.path); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(s.path) // if it stays, Listen says so
	}
	narrow := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(s.mode)) }), err)
	}}
	ln, err := narrow.Listen(ctx, "unix", s.path)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := os.Chmod(s.path, s.mode); err != nil { // the umask may have taken too much
		return nil, errors.Join(fmt.Errorf("set rights of socket: %w", err), ln.Close())
	}
	return ln, nil
}

// answer makes a handler of f. An error goes to the person as it is.
func answer(f func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			http.Error(w, oneLine(err.Error()), http.StatusConflict)
		}
	}
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the asker has gone: nobody to tell
	return nil
}

// agentAt says how to reach the running agent: by its socket, or by the configuration that names it.
type agentAt struct{ config, socket *string }

// agentFlags adds --config and --socket to cmd.
func agentFlags(cmd *cobra.Command) agentAt {
	return agentAt{configFlag(cmd), cmd.Flags().String("socket", "",
		"the agent's status `SOCKET`, instead of the configuration's; the control socket is control.sock beside it")}
}

// find tells where the socket for method is.
func (a agentAt) find(method string) (string, error) {
	look, control := *a.socket, controlBeside(*a.socket)
	if look == "" {
		c, err := loadConfig(*a.config)
		if err != nil {
			return "", err
		}
		look, control = c.Status.Socket, c.Status.ControlSocket
	}
	if method == http.MethodGet {
		return look, nil
	}
	return control, nil
}

// errAway says that no agent answers.
var errAway = errors.New("is it running?")

// request sends one request to the running agent, with body as JSON if there is one. The answer says that it was done;
// everything else is an error for a person.
func (a agentAt) request(ctx context.Context, method, path string, body any) (*http.Response, error) {
	socket, err := a.find(method)
	if err != nil {
		return nil, err
	}
	req, err := newRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: answerTime}).DialContext(ctx, "unix", socket)
	}
	res, err := (&http.Transport{DialContext: dial, DisableKeepAlives: true}).RoundTrip(req)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("ask agent at %s: %s", socket, whoMay(socket))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("ask agent at %s: %w: %w", socket, err, errAway)
	case err != nil:
		return nil, fmt.Errorf("ask agent at %s: %w", socket, err)
	}
	return res, refused(res, socket)
}

// newRequest makes a request with body as JSON, or as it is if it is a file, which stays open.
func newRequest(ctx context.Context, method, path string, body any) (*http.Request, error) {
	if f, ok := body.(*os.File); ok {
		return http.NewRequestWithContext(ctx, method, "http://agent"+path, io.NopCloser(f))
	}
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	return http.NewRequestWithContext(ctx, method, "http://agent"+path, &b)
}

// refused gives the error that an answer stands for.
func refused(res *http.Response, socket string) error {
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<10))
	if err == nil && res.StatusCode == http.StatusConflict {
		return errors.New(strings.TrimSpace(string(text)))
	}
	return fmt.Errorf("ask agent at %s: it answers %s: is it of another version?", socket, res.Status)
}

// ask sends one request and gives the body of a short answer.
func (a agentAt) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	res, err := a.request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("ask agent: %w", err)
	}
	return b, nil
}

// whoMay says whom the socket admits; path is the first thing on the way to it that can be looked at.
func whoMay(path string) string {
	info, err := os.Stat(path)
	if err != nil && path != filepath.Dir(path) {
		return whoMay(filepath.Dir(path))
	}
	if err != nil {
		return "you may not"
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "you may not"
	}
	name, group := strconv.Itoa(int(owner.Uid)), strconv.Itoa(int(owner.Gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	need := map[bool]os.FileMode{true: 0o010, false: 0o020}[info.IsDir()] // to enter, to connect
	if info.Mode().Perm()&need == 0 {
		return fmt.Sprintf("only user %s may: sudo -u %s station-agent", name, name)
	}
	return fmt.Sprintf("only user %s and group %s may: join the group, or sudo -u %s station-agent", name, group, name)
}
