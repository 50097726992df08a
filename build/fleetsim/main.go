// Command fleetsim measures what a fleet costs who watches it: 50, 100, 250 and 500 stations at one Mosquitto, watched by the real
// `fleet watch --json --follow` and shown to Prometheus by the real `fleet export`, each a process of its own. The stations are the
// agent's own publishers, with healths, alarms and events that change; one process runs them all. It prints a table, and as its
// last line how the CPU of broker, watcher and exporter together grows from the smallest fleet to the largest:
//
//	bench: fleet.cpu_growth_50_500 VALUE x
//
// Each station tells its health every 5 seconds instead of 30, so that a short look shows something; Prometheus asks every 5
// seconds, too. CPU is in per cent of one core, by the kernel's own count of each process.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"station-agent/build/servers"
)

const (
	healthEvery = 5 * time.Second
	scrapeEvery = 5 * time.Second
	growthLimit = 11
)

func main() {
	agent := flag.String("agent", "", "the station-agent binary")
	stations := flag.Int("stations", 500, "the largest fleet")
	span := flag.Duration("span", 20*time.Second, "for how long each fleet is looked at")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *agent, *stations, *span); err != nil {
		fmt.Fprintln(os.Stderr, "fleetsim:", err)
		os.Exit(1)
	}
}

// sizes are the fleets that are measured: the usual ones below most, and most.
func sizes(most int) (list []int) {
	for _, n := range []int{50, 100, 250, 500} {
		if n < most {
			list = append(list, n)
		}
	}
	return append(list, most)
}

func run(ctx context.Context, agent string, most int, span time.Duration) error {
	if most < 2 {
		return errors.New("a fleet has at least two stations")
	}
	// As uplink/fleet/ops/mosquitto.conf has it. The test servers' broker writes all that it keeps again at each change, so that a
	// kill loses nothing: no fleet's broker does.
	broker, err := servers.StartSecure(ctx, servers.Secure{Also: []string{"max_queued_messages 50000", "autosave_on_changes false", "autosave_interval 1800"}})
	if err != nil {
		return err
	}
	defer broker.Close()
	ctx, stop := context.WithCancel(ctx)
	hall := newHall(broker.Addr)
	defer hall.wait()
	defer stop()

	home, err := os.MkdirTemp("", "fleetsim-") // so that nobody's own file of the fleet and notes count
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	watcher, err := start(ctx, home, agent, "fleet", "watch", "--json", "--follow", "--environment", environment, "--broker", "tcp://"+broker.Addr)
	if err != nil {
		return err
	}
	defer watcher.end()
	address, err := freeAddress()
	if err != nil {
		return err
	}
	exporter, err := start(ctx, home, agent, "fleet", "export", "--listen", address, "--environment", environment, "--broker", "tcp://"+broker.Addr)
	if err != nil {
		return err
	}
	defer exporter.end()
	url := "http://" + address + "/metrics"
	go func() {
		for pause(ctx, scrapeEvery) == nil {
			_, _, _ = scrape(ctx, url) // as Prometheus does, whatever comes
		}
	}()

	fmt.Printf("%9s %11s %14s %11s %14s %11s %14s %11s %12s %12s\n", "stations", "messages/s", "broker CPU %", "RSS MB", "watcher CPU %", "RSS MB", "exporter CPU %", "RSS MB", "lines/s", "metrics kB")
	var first, last float64
	for _, n := range sizes(most) {
		if err := hall.fill(ctx, n); err != nil {
			return err
		}
		if err := pause(ctx, healthEvery+3*time.Second); err != nil { // until what comes with the start is over
			return err
		}
		pids := []int{broker.PID(), watcher.pid(), exporter.pid()}
		messages, _, err := scrape(ctx, url)
		if err != nil {
			return err
		}
		began, lines := time.Now(), watcher.lines.Load()
		before, err := used(pids)
		if err != nil {
			return err
		}
		if err := pause(ctx, span); err != nil {
			return err
		}
		after, err := used(pids)
		if err != nil {
			return err
		}
		s := time.Since(began).Seconds()
		more, size, err := scrape(ctx, url)
		if err != nil {
			return err
		}
		var cpu [3]float64
		last = 0
		for i := range pids {
			cpu[i] = 100 * (after[i] - before[i]).Seconds() / s
			last += cpu[i]
		}
		if first == 0 {
			first = last
		}
		fmt.Printf("%9d %11.1f %14.2f %11.1f %14.2f %11.1f %14.2f %11.1f %12.1f %12d\n", n, (more-messages)/s, cpu[0], resident(pids[0]), cpu[1], resident(pids[1]),
			cpu[2], resident(pids[2]), float64(watcher.lines.Load()-lines)/s, size/1000)
		if seen := watcher.stations.Load(); seen != int64(n) {
			return fmt.Errorf("the watcher told of %d stations out of %d", seen, n)
		}
	}
	latecomer, err := start(ctx, home, agent, "fleet", "watch", "--json", "--environment", environment, "--broker", "tcp://"+broker.Addr)
	if err != nil {
		return err
	}
	<-latecomer.read
	if seen := latecomer.stations.Load(); seen != int64(most) {
		return fmt.Errorf("who comes late is told of %d stations out of %d", seen, most)
	}
	small := sizes(most)[0]
	growth := last / first
	fmt.Printf("bench: fleet.cpu_growth_%d_%d %.2f x\n", small, most, growth)
	if limit := growthLimit * float64(most) / float64(small) / 10; growth > limit {
		return fmt.Errorf("CPU grows %.1f-fold from %d to %d stations: at most %.1f-fold", growth, small, most, limit)
	}
	return nil
}

// program is one of the real agent's commands.
type program struct {
	cmd      *exec.Cmd
	lines    atomic.Int64
	stations atomic.Int64 // different ones in the lines
	read     chan struct{}
}

func start(ctx context.Context, home, agent string, args ...string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, agent, args...), read: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), "XDG_CONFIG_HOME="+home), os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.count(out)
	return p, nil
}

func (p *program) count(out io.Reader) {
	defer close(p.read)
	seen := map[string]bool{}
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		p.lines.Add(1)
		if _, rest, ok := strings.Cut(in.Text(), `"station":"`); ok && len(rest) >= 36 && !seen[rest[:36]] {
			seen[rest[:36]] = true
			p.stations.Add(1)
		}
	}
}

func (p *program) pid() int { return p.cmd.Process.Pid }

func (p *program) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	<-p.read
	_ = p.cmd.Wait()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// scrape asks as Prometheus does: how many messages of stations the exporter has taken, and how long its answer is.
func scrape(ctx context.Context, url string) (messages float64, size int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(body), "\nstation_agent_exporter_messages_total ")
	number, _, _ := strings.Cut(rest, "\n")
	if messages, err = strconv.ParseFloat(number, 64); err != nil {
		return 0, 0, fmt.Errorf("read metrics of the exporter: %w", err)
	}
	return messages, len(body), nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
