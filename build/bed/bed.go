// Package bed sets up a whole site in a folder, for the demo, the end-to-end tests and the benchmarks: a real database and
// a real broker, the stand-in for Certyo, a fault proxy in front of each, a scanner at a pseudo-terminal, and the real
// agent as a process of its own.
//
// It plays Buylo's bridge (Bridge), keeps an account of every change that the database itself saw (Audit), and compares
// that account with what the stand-in received and with the agent's journal (Check). It never looks at the agent's own
// idea of what happened where something outside can tell.
package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"station-agent/build/servers"
	"station-agent/station/stationtest"
	"station-agent/uplink/uplinktest"
)

// The station of the bed, and another one of the same site.
const (
	Station      = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"
	OtherStation = "1b0a7c3d-52c8-4f6e-8d3b-0c9d5d1e2f33"
	CertyoKey    = "certyo_sk_test_bed"
	Tenant       = "tovarna"
)

// The command codes of the site.
const (
	CommandPrefix = "STA-7Q4-"

	CloseCode       = CommandPrefix + "CLOSE"
	UndoCode        = CommandPrefix + "UNDO"
	RemoveCode      = CommandPrefix + "REMOVE"
	ClearCode       = CommandPrefix + "CLEAR"
	CancelCode      = CommandPrefix + "CANCEL"
	OverrideCode    = CommandPrefix + "OVERRIDE"
	SetAsideCode    = CommandPrefix + "SET-ASIDE"
	StatusCode      = CommandPrefix + "STATUS"
	AcknowledgeCode = CommandPrefix + "ACKNOWLEDGE"
)

// Options choose what differs between the tests.
type Options struct {
	Agent  string // path of the agent's binary
	Dir    string // an existing folder for everything
	DB     *servers.Database
	Broker *servers.Mosquitto
}

// Bed is the site. Close ends what it started; the servers belong to the caller. One operator at a time may scan.
type Bed struct {
	Options
	MySQL, Certyo, Broker *uplinktest.Proxy // cut, black-hole and restore the way to each outside world
	Cloud                 *uplinktest.Certyo
	Scanner               *stationtest.Scanner
	Antenna               *stationtest.Scanner // nil until AddAntenna
	Bridge                *Bridge
	Audit                 *Audit
	Config                Config
	Agent                 *Agent

	scanned string // the last code
}

// New sets everything up but does not start the agent.
func New(ctx context.Context, o Options) (*Bed, error) {
	b := &Bed{Options: o}
	if err := b.setUp(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bed) setUp(ctx context.Context) (err error) {
	if b.Cloud, err = uplinktest.NewCertyo(uplinktest.CertyoConfig{
		Tenant: Tenant, Keys: []string{CertyoKey}, FlushAfter: 300 * time.Millisecond, AnchorAfter: 200 * time.Millisecond,
	}); err != nil {
		return err
	}
	for _, p := range []struct {
		proxy **uplinktest.Proxy
		to    string
	}{{&b.MySQL, b.DB.Addr}, {&b.Certyo, b.Cloud.Addr()}, {&b.Broker, b.Options.Broker.Addr}} {
		if *p.proxy, err = uplinktest.NewProxy(p.to); err != nil {
			return err
		}
	}
	if b.Scanner, err = stationtest.NewScanner(b.Dir); err != nil {
		return err
	}
	b.Bridge = &Bridge{b.DB.Root()}
	if b.Audit, err = newAudit(ctx, b.DB.Root()); err != nil {
		return err
	}
	b.Config = newConfig(b)
	b.Agent = NewAgent(b.Options.Agent, b.path("agent.toml"))
	return b.WriteConfig()
}

// AddAntenna gives the station an RFID reader; the agent meets it when it is started next.
func (b *Bed) AddAntenna() (err error) {
	dir := b.path("antenna")
	if err = os.Mkdir(dir, 0o700); err == nil {
		b.Antenna, err = stationtest.NewScanner(dir)
	}
	if err == nil {
		b.Config.Antenna = b.Antenna.Path()
	}
	return err
}

// Close ends the agent and everything else that New started.
func (b *Bed) Close() error {
	var errs []error
	if b.Agent != nil {
		b.Agent.Kill()
	}
	for _, reader := range []*stationtest.Scanner{b.Scanner, b.Antenna} {
		if reader != nil {
			errs = append(errs, reader.Close())
		}
	}
	for _, p := range []*uplinktest.Proxy{b.MySQL, b.Certyo, b.Broker} {
		if p != nil {
			p.Close()
		}
	}
	if b.Cloud != nil {
		b.Cloud.Close()
	}
	return errors.Join(errs...)
}

func (b *Bed) path(name string) string { return filepath.Join(b.Dir, name) }

// WriteConfig writes the agent's configuration and secrets as they stand in b.Config.
func (b *Bed) WriteConfig() error {
	for name, secret := range b.Config.Secrets {
		if err := os.WriteFile(b.path(name), []byte(secret+"\n"), 0o600); err != nil {
			return fmt.Errorf("write secret: %w", err)
		}
	}
	text, err := b.Config.Render()
	if err != nil {
		return err
	}
	return os.WriteFile(b.path("agent.toml"), text, 0o600)
}
