package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station-agent/uplink/certyo"
	"station-agent/uplink/fleet"
	"station-agent/uplink/mysql"
)

const hopTime = 10 * time.Second // for each hop

// target is a service on the network, as one account.
type target struct {
	Target  string `json:"target"` // "mysql", "certyo", "broker"
	Address string `json:"address"`
	As      string `json:"as"`
	Fits    bool   `json:"fits"`
	Hops    []hop  `json:"hops"`

	try func(ctx context.Context, t *target)
}

func networkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Walk the way to MySQL, Certyo and the broker, and name the hop that fails",
		Long: "Walk the way to MySQL (each account), to Certyo and to the MQTT broker as the agent does, hop by hop: DNS, TCP, a proxy, TLS, " +
			"login. The hop that fails is named, with the reason and what to do. Nothing is written, sent or published anywhere. A proxy " +
			"for Certyo is that of certyo.proxy, for the broker that of fleet.proxy, else of the environment (HTTPS_PROXY, NO_PROXY; for a " +
			"broker wss only): run it with the environment of the service.\n\n" +
			"Exit code 0: all can be reached. 1: something can't. 78: the configuration is wrong.",
		Example: "  sudo -u station-agent station-agent check network",
		Args:    noArgs,
	}
	file := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		list := c.targets(hopTime)
		walkAll(cmd.Context(), list)
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), list)
		} else {
			err = printTargets(cmd.OutOrStdout(), list)
		}
		bad := 0
		for _, t := range list {
			if !t.Fits {
				bad++
			}
		}
		if err == nil && bad > 0 {
			err = fmt.Errorf("check network: %d of %d can't be reached", bad, len(list))
		}
		return err
	}
	return cmd
}

// targets are what the agent of this configuration connects to.
func (c *config) targets(limit time.Duration) (list []*target) {
	m := c.MySQL
	add := func(user string, password secret) {
		if !slices.ContainsFunc(list, func(t *target) bool { return t.As == user }) {
			list = append(list, &target{Target: "mysql", Address: m.Address, As: user, try: c.tryMySQL(user, password, limit)})
		}
	}
	add(m.User, m.PasswordFile)
	if c.Capture.Source != "off" {
		add(c.Capture.User, c.Capture.PasswordFile)
	}
	list = append(list, &target{Target: "certyo", Address: c.Certyo.URL, As: "tenant " + c.Certyo.Tenant, try: c.tryCertyo(limit)})
	for _, b := range c.Fleet.Brokers {
		list = append(list, &target{Target: "broker", Address: b, As: c.Fleet.User, try: c.tryBroker(b, limit)})
	}
	return list
}

// walkAll walks to all of them side by side.
func walkAll(ctx context.Context, list []*target) {
	var join sync.WaitGroup
	for _, t := range list {
		join.Go(func() {
			t.try(ctx, t)
			t.Fits = !slices.ContainsFunc(t.Hops, func(h hop) bool { return h.State == "fault" })
		})
	}
	join.Wait()
}

// unfit is a target that can't even be tried.
func (t *target) unfit(err error) {
	t.Hops = []hop{{Hop: "login", State: "fault", Text: oneLine(err.Error()), Advice: "correct the configuration, or run this as the agent's user"}}
}

func (c *config) tryMySQL(user string, password secret, limit time.Duration) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		cfg, err := c.mysqlAs(user, password)
		if _, unread := password.read(); err == nil {
			err = unread
		}
		if err != nil {
			t.unfit(err)
			return
		}
		w := newWalk("dns", "tcp", "login")
		if cfg.TLS != nil {
			w = newWalk("dns", "tcp", "greeting", "tls", "login")
			cfg.TLS = w.tls(cfg.TLS)
		}
		cfg.ConnectTimeout, cfg.ReadTimeout, cfg.WriteTimeout, cfg.MaxConns = limit, limit, limit, 1
		db, err := mysql.Open(cfg)
		if err != nil {
			t.unfit(err)
			return
		}
		defer db.Close()
		ctx, cancel := context.WithTimeout(ctx, 4*limit)
		defer cancel()
		var conn *sql.Conn
		if conn, err = db.Conn(w.watch(ctx)); err == nil {
			conn.Close()
		}
		if mysql.NoTLS(err) {
			w.reached("greeting", "")
		}
		t.Hops = w.hops(mysql.Explain(err))
	}
}

func (c *config) tryCertyo(limit time.Duration) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		cfg, err := c.certyo()
		if _, unread := c.Certyo.KeyFile.read(); err == nil && cfg.Next == nil {
			err = unread
		}
		if err != nil {
			t.unfit(err)
			return
		}
		names, through := []string{"dns", "tcp"}, proxyFor(c.Certyo.URL, c.Certyo.proxy)
		u, _ := url.Parse(c.Certyo.URL) // was checked
		if u.Scheme == "https" && through != nil {
			names = append(names, "proxy")
		}
		if u.Scheme == "https" {
			names = append(names, "tls")
		}
		w := newWalk(append(names, "login")...)
		cfg.TLS, cfg.VerifyTimeout = w.tls(cfg.TLS), 4*limit
		ctx, cancel := context.WithTimeout(ctx, 3*limit)
		defer cancel()
		client := certyo.New(cfg)
		status, err := client.Check(w.watch(ctx))
		t.Hops = w.hops(err)
		last := &t.Hops[len(t.Hops)-1]
		switch {
		case err != nil:
		case status >= 500:
			last.State, last.Text = "warning", fmt.Sprintf("the service answers %d %s: whether it takes the key can't be told", status, http.StatusText(status))
		default:
			last.Text = "the key is taken"
			if cfg.Next != nil {
				last.Text += ": that in " + client.KeyPlace()
			}
		}
		if through != nil {
			t.Address += " through proxy " + through.Host
			adviseProxy(t.Hops, through, "certyo.proxy")
		}
	}
}

// proxyFor is the proxy for an address, nil for none.
func proxyFor(address string, proxy func(*http.Request) (*url.URL, error)) *url.URL {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	through, _ := proxy(req) // what it can't read, it says when it is dialed
	return through
}

func adviseProxy(hops []hop, through *url.URL, field string) {
	for i := range hops {
		if h := &hops[i]; h.State == "fault" && h.Hop == "proxy" {
			h.Advice = fmt.Sprintf("proxy %s doesn't let this through: ask who runs it, or take it out of %s or HTTPS_PROXY", through.Host, field)
		} else if h.State == "fault" && (h.Hop == "dns" || h.Hop == "tcp") {
			h.Advice = fmt.Sprintf("this is the way to proxy %s of %s or HTTPS_PROXY; %s", through.Host, field, h.Advice)
		}
	}
}

func (c *config) tryBroker(broker string, limit time.Duration) func(context.Context, *target) {
	return func(ctx context.Context, t *target) {
		cfg, err := c.fleet()
		if cfg.User != "" && err == nil {
			_, err = c.Fleet.PasswordFile.read()
		}
		u, _ := url.Parse(broker) // was checked
		var through *url.URL
		if err == nil {
			through, err = cfg.Proxy(u)
		}
		if err != nil {
			t.unfit(err)
			return
		}
		names := []string{"dns", "tcp"}
		if u.Scheme == "ssl" || u.Scheme == "wss" {
			if through != nil {
				names = append(names, "proxy")
			}
			names = append(names, "tls")
		}
		w := newWalk(append(names, "login")...)
		cfg.Brokers, cfg.TLS = []string{broker}, w.tls(cfg.TLS)
		ctx, cancel := context.WithTimeout(ctx, 3*limit)
		defer cancel()
		t.Hops = w.hops(fleet.Probe(w.watch(ctx), cfg))
		if through != nil {
			adviseProxy(t.Hops, through, "fleet.proxy")
		}
	}
}

func printTargets(out io.Writer, list []*target) error {
	var errs []error
	for _, t := range list {
		as := ""
		if t.As != "" {
			as = " as " + t.As
		}
		fmt.Fprintln(out, oneLine(fmt.Sprintf("%s %s%s", t.Target, t.Address, as)))
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, h := range t.Hops {
			state, took := h.State, ""
			if state == "fault" {
				state = "FAULT"
			}
			if h.State != "not reached" && h.State != "not needed" {
				took = fmt.Sprintf("%.1f ms", h.TookMS)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", h.Hop, state, took, oneLine(h.Text))
			if h.Advice != "" {
				fmt.Fprintf(w, "  \t\t\t→ %s\n", oneLine(h.Advice))
			}
		}
		errs = append(errs, w.Flush())
	}
	return errors.Join(errs...)
}
