package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/fleet/metrics"
	"station-agent/uplink/fleet/watch"
)

const defaultExport = "127.0.0.1:9189"

func fleetExportCommand(a *fleetAt) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Show all stations to Prometheus",
		Long: "Show all stations to Prometheus, at /metrics of --listen, until it is ended. A station that was removed from the broker is gone here, too. " +
			"There is no password: let Prometheus run on this machine, or keep others away from the address.",
		Args: noArgs,
	}
	listen := cmd.Flags().String("listen", defaultExport, "the `ADDRESS` to listen at, HOST:PORT")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, err := a.follow(1)
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", *listen)
		if err != nil {
			return fmt.Errorf("listen for Prometheus: %w: choose another address with --listen", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "station-agent: metrics of environment %s at http://%s/metrics\n", w.cfg.Environment, ln.Addr())
		return w.during(cmd.Context(), func(ctx context.Context) error {
			return serveMetrics(ctx, ln, func() ([]metrics.Station, *metrics.Own) { return w.metrics(time.Now()) })
		})
	}
	return cmd
}

// metrics is what Prometheus is told of all stations.
func (w *follower) metrics(now time.Time) (list []metrics.Station, own *metrics.Own) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.book.Refresh() // those of before count if they can't be read now
	own = &metrics.Own{BrokerUp: w.fleet.Up()}
	own.Messages, own.Refused = w.fleet.Counts()
	for _, id := range w.fleet.Stations() {
		if r, ok := w.fleet.Row(id, now); ok {
			list = append(list, measured(r, now, w.open))
		}
	}
	own.Stations = len(list)
	return list, own
}

// measured is a row in the words of metrics.
func measured(r watch.Row, now time.Time, open openings) metrics.Station {
	m := metrics.Station{Environment: r.Environment, Station: r.Station, Name: r.Name, Standing: string(r.Standing), Open: true,
		Maintenance: r.Maintenance != nil, Health: r.Health, Gaps: len(r.Gaps)}
	if r.State != nil {
		m.Version, m.Session, m.Open = r.State.Version, r.State.Session, open.at(*r.State, now)
	}
	if r.HealthAgeS != nil {
		m.HealthAgeS = *r.HealthAgeS
	}
	for _, t := range r.Troubles {
		m.Alarms = append(m.Alarms, metrics.Alarm{Problem: t.Problem, ForS: t.ForS, Acknowledged: t.Acknowledged})
	}
	return m
}

// serveMetrics answers Prometheus until ctx ends.
func serveMetrics(ctx context.Context, ln net.Listener, facts func() ([]metrics.Station, *metrics.Own)) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer // so that nobody who reads slowly holds anything up
		stations, own := facts()
		if err := metrics.Write(&b, stations, own); err != nil {
			http.Error(w, oneLine(err.Error()), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", metrics.ContentType)
		_, _ = w.Write(b.Bytes()) // the asker has gone: nobody to tell
	})
	srv := &http.Server{Handler: mux, ReadTimeout: answerTime, WriteTimeout: 2 * answerTime, MaxHeaderBytes: 8 << 10}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}
