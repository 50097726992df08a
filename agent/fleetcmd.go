package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

const fleetLong = `Look after all stations of an environment through their MQTT broker, from a laptop or a server. It needs no configuration of a
station: what it needs stands in a small file (--fleet FILE; by default fleet.toml in the folder of station-agent below
the user's folder of configurations), or in flags, which win:

  environment = "production"                 # which of your environments
  brokers = ["ssl://mqtt.example.com:8883"]  # tcp, ssl, ws or wss; several are tried in turn
  user = "night"                             # the account at the broker, if it wants one,
  password_file = "password"                 # and the file with its password
  ca_file = "ca.pem"                         # who issued the broker's certificate; default: the system's list
  cert_file = "me.pem"                       # a certificate of your own, if the broker asks for one,
  cert_key_file = "me.key"                   # and its key
  proxy = "http://10.0.0.1:3128"             # on the way to the broker; proxy_user and proxy_password_file if it wants them
  key = "maria.key"                          # signs commands: see station-agent fleet key new
  inventory = "stations.csv"                 # the stations that there should be: uuid,name
  notes = "notes.json"                       # what was acknowledged, and maintenance

Paths are seen from the file.`

func fleetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Watch all stations of an environment, send commands to them, show them to Prometheus",
		Long:  fleetLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a := fleetFlags(cmd)
	cmd.AddCommand(fleetWatchCommand(a), fleetShowCommand(a), fleetSendCommand(a), fleetExportCommand(a), fleetRemoveCommand(a), fleetKeyCommand())
	return cmd
}

// fleetFile is the file of who looks after the fleet.
type fleetFile struct {
	Environment       string   `toml:"environment"`
	Brokers           []string `toml:"brokers"`
	User              string   `toml:"user"`
	PasswordFile      secret   `toml:"password_file"`
	CAFile            string   `toml:"ca_file"`
	CertFile          string   `toml:"cert_file"`
	CertKeyFile       string   `toml:"cert_key_file"`
	Proxy             string   `toml:"proxy"`
	ProxyUser         string   `toml:"proxy_user"`
	ProxyPasswordFile secret   `toml:"proxy_password_file"`
	Key               string   `toml:"key"`
	Inventory         string   `toml:"inventory"`
	Notes             string   `toml:"notes"`
}

// fleetAt says how to reach the fleet.
type fleetAt struct {
	file  *string
	flags fleetFile // what was said by flags
}

func fleetFlags(cmd *cobra.Command) *fleetAt {
	f := cmd.PersistentFlags()
	a := &fleetAt{file: f.String("fleet", "", "the `FILE` that says how to reach the fleet (see station-agent fleet --help)")}
	v := &a.flags
	f.StringVarP(&v.Environment, "environment", "e", "", "which of your environments, such as production")
	f.StringSliceVar(&v.Brokers, "broker", nil, "the broker's `ADDRESS`, such as ssl://HOST:8883")
	for _, s := range []struct {
		to         *string
		name, what string
	}{
		{&v.User, "user", "the `ACCOUNT` at the broker"},
		{(*string)(&v.PasswordFile), "password-file", "the `FILE` with its password"},
		{&v.CAFile, "ca-file", "the issuer of the broker's certificate, a PEM `FILE`"},
		{&v.CertFile, "cert-file", "a certificate of your own, a PEM `FILE`"},
		{&v.CertKeyFile, "cert-key-file", "its key, a PEM `FILE`"},
		{&v.Proxy, "proxy", "the proxy's `ADDRESS`, such as http://HOST:3128"},
		{&v.Key, "key", "the private key that signs commands, a PEM `FILE`"},
		{&v.Inventory, "inventory", "the stations that there should be, a `FILE` of lines uuid,name"},
		{&v.Notes, "notes", "where acknowledgements and maintenance are kept, a JSON `FILE`"},
	} {
		f.StringVar(s.to, s.name, "", s.what)
	}
	return a
}

// files are the fields that name a file.
func (f *fleetFile) files() []*string {
	return []*string{(*string)(&f.PasswordFile), &f.CAFile, &f.CertFile, &f.CertKeyFile, (*string)(&f.ProxyPasswordFile), &f.Key, &f.Inventory, &f.Notes}
}

// from makes the paths absolute.
func (f *fleetFile) from(folder string) {
	for _, path := range f.files() {
		if *path != "" && !filepath.IsAbs(*path) && !strings.HasPrefix(*path, credential) {
			*path = filepath.Join(folder, *path)
		}
	}
}

// over takes from g what f lacks.
func (f *fleetFile) over(g fleetFile) {
	f.Environment, f.User = cmp.Or(f.Environment, g.Environment), cmp.Or(f.User, g.User)
	f.Proxy, f.ProxyUser = cmp.Or(f.Proxy, g.Proxy), cmp.Or(f.ProxyUser, g.ProxyUser)
	if len(f.Brokers) == 0 {
		f.Brokers = g.Brokers
	}
	mine, other := f.files(), g.files()
	for i := range mine {
		*mine[i] = cmp.Or(*mine[i], *other[i])
	}
}

// load reads file and flags and checks them.
func (a *fleetAt) load() (*fleetFile, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	f := a.flags
	f.Brokers = slices.Clone(f.Brokers)
	f.from(here)
	file := *a.file
	if file == "" {
		home, err := os.UserConfigDir()
		if err == nil {
			file = filepath.Join(home, "station-agent", "fleet.toml")
		}
	}
	said, err := readFleetFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && *a.file == "":
	case err != nil:
		return nil, err
	default:
		f.over(*said)
	}
	if f.Notes == "" {
		if home, err := os.UserConfigDir(); err == nil {
			f.Notes = filepath.Join(home, "station-agent", "fleet-notes-"+f.Environment+".json")
		}
	}
	return &f, f.check()
}

func readFleetFile(file string) (*fleetFile, error) {
	data, err := readBounded(file, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read fleet file: %w", err)
	}
	var f fleetFile
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, &configError{file: file, faults: decodeFaults(err)}
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	f.from(folder)
	return &f, nil
}

// broker is the way to the broker in the words of the station's configuration.
func (f *fleetFile) broker() *fleetConfig {
	return &fleetConfig{Brokers: f.Brokers, User: f.User, PasswordFile: f.PasswordFile, CAFile: f.CAFile, CertFile: f.CertFile, CertKeyFile: f.CertKeyFile,
		Proxy: f.Proxy, ProxyUser: f.ProxyUser, ProxyFile: f.ProxyPasswordFile, Interval: defaults().Fleet.Interval}
}

// check refuses what can't be right; the first fault is enough.
func (f *fleetFile) check() (err error) {
	r := report(func(field string, e error) {
		if err == nil {
			err = usageError{fmt.Errorf("%s %w: set it in the fleet file or by a flag, see station-agent fleet --help", strings.TrimPrefix(field, "fleet."), e)}
		}
	})
	if r.need("environment", f.Environment) && !only(f.Environment, small+digits+"-", 32) {
		r("environment", fmt.Errorf("%q is no name of an environment", f.Environment))
	}
	if len(f.Brokers) == 0 {
		r("brokers", errMissing)
	}
	f.broker().check(r)
	return err
}

// clientID is a name at the broker that nobody else has.
func clientID(what string) string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails, see its documentation
	return "station-agent-" + what + "-" + hex.EncodeToString(b)
}

// oneStation demands the argument that names a station.
func oneStation(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes one station, by uuid or name: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}

// ended tells whether a command was ended by a signal, which is no fault.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
