package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station-agent/store/record"
	"station-agent/uplink/fleet"
)

// status is what `station-agent status --json` prints: the health that the fleet gets, and what only matters here.
type status struct {
	fleet.Health
	State         fleet.Mode      `json:"state"`
	Environment   string          `json:"environment"`
	Station       string          `json:"station"`
	Name          string          `json:"name"`
	StoreID       string          `json:"store_id"`
	Capture       string          `json:"capture"`
	OpenPackage   string          `json:"open_package,omitempty"`
	OpenItems     int             `json:"open_items"`
	ItemsHere     int             `json:"items_here"` // rows on this station, as last read
	Online        bool            `json:"online"`     // they were read just now
	Parked        []record.Parked `json:"parked"`
	AnchoredTotal uint64          `json:"anchored_total"`
}

const socketAgain = 5 * time.Second // between two tries to open the socket

// statusServer answers on the unix socket. Whoever may open the socket may look, and drop what needs a person.
type statusServer struct {
	socket string
	status func() status
	drop   func(id uint64) error
	cond   *condition
}

// Run serves until ctx ends. A socket that can't be had is a trouble of its own, never one of the bench.
func (s *statusServer) Run(ctx context.Context) error {
	again := time.NewTicker(socketAgain)
	defer again.Stop()
	for ctx.Err() == nil {
		if err := s.serve(ctx); err != nil {
			s.cond.Lost(fmt.Errorf("%w: correct status.socket or the rights of its folder", err))
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	return nil
}

// serve opens the socket and serves until that fails or ctx ends.
func (s *statusServer) serve(ctx context.Context) error {
	ln, err := s.listen()
	if err != nil {
		return err
	}
	s.cond.Back()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s.status()) // the asker has gone: nobody to tell
	})
	mux.HandleFunc("POST /intents/{id}/drop", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
		if err == nil {
			err = s.drop(id)
		}
		if err != nil {
			http.Error(w, oneLine(err.Error()), http.StatusConflict)
		}
	})
	srv := &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve status: %w", err)
	}
	return nil
}

// listen takes the place of a socket that a killed agent left; the lock on the store holds that there is no other agent.
func (s *statusServer) listen() (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.socket), 0o755); err != nil {
		return nil, fmt.Errorf("make folder of status socket: %w", err)
	}
	if info, err := os.Lstat(s.socket); err == nil && info.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(s.socket) // if it stays, Listen says so
	}
	ln, err := net.Listen("unix", s.socket)
	if err != nil {
		return nil, fmt.Errorf("open status socket: %w", err)
	}
	if err := os.Chmod(s.socket, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("set rights of status socket: %w", err), ln.Close())
	}
	return ln, nil
}

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the running agent how its work is going",
		Args:  noArgs,
	}
	a := agentFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		body, err := a.ask(cmd.Context(), http.MethodGet, "/status")
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := cmd.OutOrStdout().Write(body)
			return err
		}
		var s status
		if err := json.Unmarshal(body, &s); err != nil {
			return fmt.Errorf("read status: %w: is the agent of another version?", err)
		}
		return s.print(cmd.OutOrStdout())
	}
	return cmd
}

// agentAt says how to reach the running agent: by its socket, or by the configuration that names it.
type agentAt struct{ config, socket *string }

// agentFlags adds --config and --socket to cmd.
func agentFlags(cmd *cobra.Command) agentAt {
	return agentAt{configFlag(cmd), cmd.Flags().String("socket", "", "the agent's `SOCKET`, instead of the configuration's")}
}

// ask sends one request and gives the body of the answer.
func (a agentAt) ask(ctx context.Context, method, path string) ([]byte, error) {
	socket := *a.socket
	if socket == "" {
		c, err := loadConfig(*a.config)
		if err != nil {
			return nil, err
		}
		socket = c.Status.Socket
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask agent at %s: %w: is it running, and may you open the socket?", socket, errors.Unwrap(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask agent at %s: %w", socket, err)
	case res.StatusCode == http.StatusConflict:
		return nil, errors.New(strings.TrimSpace(string(body)))
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask agent at %s: it answers %s: is it of another version?", socket, res.Status)
	}
	return body, nil
}

// print shows the status to a person: trouble first.
func (s *status) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	line("station", "%s (%s), environment %s, version %s, up %s", s.Name, s.Station, s.Environment, s.Version, seconds(s.UptimeS))
	line("state", "%s", s.State)
	for _, p := range s.Problems {
		line("problem", "%s, %s, %d times: %s", p.Name, ago(time.Since(p.Since).Seconds()), p.Count, p.Text)
	}
	for _, p := range s.Parked {
		line("parked", "item %s for package %s: %s %s", p.Hash, show(p.Package), p.Outcome.Result, p.Outcome.Text)
	}
	open := "no package is open"
	if s.OpenPackage != "" {
		open = fmt.Sprintf("package %s is open with %d items", s.OpenPackage, s.OpenItems)
	}
	line("bench", "%s; %d items are here%s; last scan %s", open, s.ItemsHere, map[bool]string{false: " as far as known: MySQL is away"}[s.Online], maybeAgo(s.LastScanS))
	line("database", "%d assignments waiting, %d need a person; last one settled %s", s.IntentsOpen, s.IntentsParked, maybeAgo(s.LastSettledS))
	line("capture", "%s%s", s.Capture, behind(s.CaptureLagS))
	line("certyo", "%d records unsent%s, %d not anchored yet%s, %d dead letters, %d anchored",
		s.QueueRecords, oldest(s.OldestUnsentS), s.Unanchored, oldest(s.OldestUnanchoredS), s.DeadLetters, s.AnchoredTotal)
	line("clock", "%s", map[bool]string{true: "synchronised", false: "not synchronised: check the time service"}[s.ClockTrusted])
	return w.Flush()
}

func behind(lag *float64) string {
	switch {
	case lag == nil:
		return ""
	case *lag < 1:
		return ", up to date"
	default:
		return ", " + seconds(*lag) + " behind"
	}
}

func show(v record.Value) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%q", *v)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
func ago(s float64) string { return "since " + seconds(s) }

func maybeAgo(s *float64) string {
	if s == nil {
		return "never"
	}
	return seconds(*s) + " ago"
}

func oldest(s float64) string {
	if s <= 0 {
		return ""
	}
	return " (oldest " + seconds(s) + ")"
}
