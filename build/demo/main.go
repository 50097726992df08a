// Command demo shows the whole path at a pretended bench: real MariaDB, real Mosquitto, the real agent and the stand-in for
// Certyo, a scripted packer at a pseudo-terminal, and Buylo's bridge moving items about. It cuts the network, kills the
// agent, and counts at the end what the rows, the records and the journal say.
//
// It stays up until Ctrl-C, to look around in; with -once it ends by itself, with exit code 0 only if nothing was lost and
// nothing doubled.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

func main() {
	agent := flag.String("agent", "build/out/station-agent", "the agent's binary")
	once := flag.Bool("once", false, "end after the script")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *agent, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// scriptTime bounds the script, so that a step that never comes ends the demo with what it waited for.
const scriptTime = 80 * time.Second

func demo(ctx context.Context, agent string, once bool) error {
	show := newShow(os.Stdout)
	show.title("setting up (the first run fetches MariaDB and Mosquitto as Debian packages; that takes a minute)")
	db, err := servers.StartMariaDB(ctx, servers.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CreateBuylo(ctx); err != nil {
		return err
	}
	broker, err := servers.StartMosquitto(ctx)
	if err != nil {
		return err
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "station-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := bed.New(ctx, bed.Options{Agent: agent, Dir: dir, DB: db, Broker: broker})
	if err != nil {
		return err
	}
	defer b.Close()
	show.line("world", "MariaDB %s on %s, Mosquitto on %s, the stand-in for Certyo on %s", db.Version, db.Addr, broker.Addr, b.Cloud.Addr())
	watch, err := watchFleet(broker.Addr, show)
	if err != nil {
		return err
	}
	defer watch()

	timed, cancel := context.WithTimeout(ctx, scriptTime)
	defer cancel()
	s := &script{Bed: b, show: show, ctx: timed}
	report, err := s.play()
	if err != nil {
		return err
	}
	if !once {
		lookAround(ctx, show, b, db, broker)
		if report, err = b.Check(context.Background()); err != nil {
			return err
		}
	}
	code, took, err := b.Agent.Stop()
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("stop agent: exit %d after %v", code, took)
	}
	fmt.Printf("demo: %s\n", report)
	if !report.Clean() {
		return errors.New("the counts differ: " + strings.Join(report.Faults, "; "))
	}
	return nil
}

// lookAround prints the commands to look around with and waits for Ctrl-C. What is typed is scanned.
func lookAround(ctx context.Context, show *show, b *bed.Bed, db *servers.Database, broker *servers.Mosquitto) {
	show.title("everything stays up until Ctrl-C: type a code and Enter to scan it, or look around with")
	for _, c := range [][2]string{
		{"how is it going?", fmt.Sprintf("%s status --config %s/agent.toml", b.Options.Agent, b.Dir)},
		{"what is on the station, and what was scanned", fmt.Sprintf("%[1]s items --config %[2]s/agent.toml; %[1]s scans --config %[2]s/agent.toml", b.Options.Agent, b.Dir)},
		{"the command codes", fmt.Sprintf("%s commands --config %s/agent.toml", b.Options.Agent, b.Dir)},
		{"the rows", strings.Join(db.Client(), " ") + " external -e 'SELECT hash, buylo_name, external_package_id FROM buylo_products'"},
		{"what Certyo got", "curl -s -H 'X-API-Key: " + bed.CertyoKey + "' 'http://" + b.Cloud.Addr() + "/api/v1/records?tenantId=" + bed.Tenant + "'"},
		{"what the fleet sees", b.Options.Agent + " fleet watch --environment test --broker tcp://" + broker.Addr},
		{"what the fleet is told", strings.Join(broker.Client(), " ") + " -v -t 'station-agent/#'"},
	} {
		fmt.Printf("\n  %s\n    %s\n", c[0], c[1])
	}
	fmt.Printf("\n  codes to scan: PKG-2026-0099, %s, %s, %s (and the others that are printed)\n\n", bed.Hash(9), bed.CloseCode, bed.UndoCode)
	go scanTyped(ctx, show, b)
	<-ctx.Done()
}

// scanTyped scans what is typed, until the terminal ends.
func scanTyped(ctx context.Context, show *show, b *bed.Bed) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		l, err := b.Scan(ctx, in.Text())
		if err != nil {
			show.line("packer", "%v", err)
			continue
		}
		show.lamp(in.Text(), l)
	}
}
