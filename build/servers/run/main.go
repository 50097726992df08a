// Command run starts private servers for looking around: MariaDB, MySQL and Mosquitto on 127.0.0.1, the databases with
// Buylo's schema, its accounts and a workspace. It prints how to reach them and takes them away on Ctrl-C. With -fetch
// it only puts them into the cache.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"station-agent/build/servers"
)

func main() {
	fetch := flag.Bool("fetch", false, "only put the servers into the cache")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *fetch); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, fetchOnly bool) error {
	fmt.Println("servers: looking into the cache; what is missing is fetched, which takes half a minute")
	if err := servers.Fetch(ctx); fetchOnly || ctx.Err() != nil {
		return err
	}
	for _, start := range []func(context.Context, servers.Options) (*servers.Database, error){servers.StartMariaDB, servers.StartMySQL} {
		db, err := start(ctx, servers.Options{})
		if errors.Is(err, servers.ErrFetch) {
			fmt.Fprintln(os.Stderr, "servers:", err)
			continue
		}
		if err != nil {
			return err
		}
		defer db.Close()
		if err := errors.Join(db.CreateBuylo(ctx), db.CreateWorkspace(ctx)); err != nil {
			return err
		}
		show(db)
	}
	broker, err := servers.StartMosquitto(ctx)
	if err != nil {
		return err
	}
	defer broker.Close()
	fmt.Printf("\nMosquitto on %s, no password\n  everything that passes:\n    %s\n", broker.Addr, strings.Join(broker.Client(), " ")+" -t '#'")
	fmt.Println("\nCtrl-C takes them away.")
	<-ctx.Done()
	return nil
}

func show(db *servers.Database) {
	fmt.Printf("\n%s %s on %s, schemas external and external_workspace\n", db.Flavor, db.Version, db.Addr)
	fmt.Printf("  account of the agent          %s / %s\n", servers.AgentUser, servers.AgentPassword)
	fmt.Printf("  account that reads the binlog %s / %s\n", servers.CaptureUser, servers.CapturePassword)
	fmt.Printf("  the table, as administrator:\n    %s\n", strings.Join(db.Client(), " ")+" external -e 'SELECT * FROM buylo_products'")
}
