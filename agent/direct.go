package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"station-agent/store"
)

// send asks the running agent or, if none runs, a desk of the command's own over the store it left.
func (a agentAt) send(cmd *cobra.Command, method, path string, body any) (*http.Response, error) {
	res, err := a.request(cmd.Context(), method, path, body)
	if !errors.Is(err, errAway) || *a.socket != "" {
		return res, err
	}
	c, err := loadConfig(*a.config)
	if err != nil {
		return nil, err
	}
	req, err := newRequest(cmd.Context(), method, path, body)
	if err != nil {
		return nil, err
	}
	st, err := openStopped(c, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, d := range []interface {
		look(*http.ServeMux)
		change(*http.ServeMux)
	}{newDesk(st, c), stoppedBench(st), proofDesk{st, c}} {
		d.look(mux)
		d.change(mux)
	}
	res = direct(mux, req, st)
	return res, refused(res, c.Store.Folder)
}

// openStopped opens the store of a stopped agent as the agent itself would. What opening has lost, this command has to
// say: the agent's next start finds it mended.
func openStopped(c *config, warnings io.Writer) (*store.Store, error) {
	if err := ownStore(c.Store.Folder); err != nil {
		return nil, err
	}
	clk, err := newClock()
	if err != nil {
		return nil, err
	}
	st, err := store.Open(c.storeConfig(clk.now))
	if err != nil {
		return nil, err
	}
	for _, l := range st.Losses() {
		fmt.Fprintln(warnings, "station-agent: warning:", lossText(l))
	}
	return st, nil
}

// ownStore refuses a folder without a store, which opening would fill, and one of another user, whose files would become
// ours, so that the agent could not use them any more.
func ownStore(folder string) error {
	info, err := os.Stat(filepath.Join(folder, "store.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open store %s: there is none", folder)
	}
	if err != nil {
		return fmt.Errorf("open store %s: %w: %s", folder, err, whoMay(folder))
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		name := strconv.Itoa(int(owner.Uid))
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		return fmt.Errorf("open store %s: it belongs to user %s: sudo -u %s station-agent", folder, name, name)
	}
	return nil
}

// direct answers one request with h in this process. Closing the answer's body ends h and closes st.
func direct(h http.Handler, req *http.Request, st io.Closer) *http.Response {
	out, in := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: in, status: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(w, req)
		w.WriteHeader(http.StatusOK)
		in.Close()
	}()
	code := <-w.status
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: w.header, Body: directBody{out, ended, st}}
}

type directBody struct {
	*io.PipeReader
	ended <-chan struct{}
	store io.Closer
}

func (b directBody) Close() error {
	err := b.PipeReader.Close()
	<-b.ended
	return errors.Join(err, b.store.Close())
}

// pipeWriter is a http.ResponseWriter into a pipe.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	status chan int
	once   sync.Once
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(code int) { w.once.Do(func() { w.status <- code }) }

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
