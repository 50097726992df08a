package main

import (
	"fmt"
	"path/filepath"
	"time"

	"station-agent/station"
	"station-agent/uplink/certyo"
)

// config is the configuration file. sample.toml documents every field; a test holds the two together.
type config struct {
	Environment string          `toml:"environment"`
	Station     stationConfig   `toml:"station"`
	Store       storeConfig     `toml:"store"`
	Readers     []readerConfig  `toml:"reader"`
	Feedback    feedbackConfig  `toml:"feedback"`
	Outputs     []outputConfig  `toml:"output"`
	Buttons     []buttonConfig  `toml:"button"`
	Patterns    []patternConfig `toml:"pattern"`
	Packing     packingConfig   `toml:"packing"`
	MySQL       mysqlConfig     `toml:"mysql"`
	Capture     captureConfig   `toml:"capture"`
	Tables      []tableConfig   `toml:"table"`
	Certyo      certyoConfig    `toml:"certyo"`
	Writeback   writebackConfig `toml:"writeback"`
	Manifest    manifestConfig  `toml:"manifest"`
	Fleet       fleetConfig     `toml:"fleet"`
	Status      statusConfig    `toml:"status"`
	Log         logConfig       `toml:"log"`

	configured map[string]string // files in PEM form as the file has them, by field: what was sent may be in their place
}

type stationConfig struct {
	UUID   string   `toml:"uuid"`
	Name   string   `toml:"name"`
	Agents []string `toml:"agents"`
}

type storeConfig struct {
	Folder       string `toml:"folder"`
	EvidenceDays int    `toml:"evidence_days"`
	MaxMB        int    `toml:"max_mb"`
	ReserveMB    int    `toml:"reserve_mb"`
	ExportFolder string `toml:"export_folder"`
}

type readerConfig struct {
	Name     string      `toml:"name"`
	Protocol string      `toml:"protocol"`
	Kind     string      `toml:"kind"`
	Device   string      `toml:"device"`
	Baud     int         `toml:"baud"`
	Parity   string      `toml:"parity"`
	Prefix   string      `toml:"prefix"`
	Layout   string      `toml:"layout"`
	Idle     duration    `toml:"idle"`
	MinReads int         `toml:"min_reads"`
	RSSI     []rssiLimit `toml:"rssi"`
	Role     string      `toml:"role"`
	Listen   bool        `toml:"listen_only"`
	Power    *float64    `toml:"power_dbm"`
	Region   string      `toml:"region"`
}

type packingConfig struct {
	Way            string   `toml:"way"`
	Commit         string   `toml:"commit"`
	PackagePattern string   `toml:"package_pattern"`
	ItemPattern    string   `toml:"item_pattern"`
	BadgePattern   string   `toml:"badge_pattern"`
	CommandPrefix  string   `toml:"command_prefix"`
	CloseCode      string   `toml:"close_code"`
	UndoCode       string   `toml:"undo_code"`
	Naming         []string `toml:"naming"`
	AllowElsewhere bool     `toml:"allow_elsewhere"`
	Identical      string   `toml:"identical"`
	ReuseLabels    bool     `toml:"reuse_labels"`
	TimeOut        duration `toml:"time_out"`
	Reopen         duration `toml:"reopen"`
	CoolDown       duration `toml:"cool_down"`
	RowsAge        duration `toml:"rows_age"`
	GoneAfter      duration `toml:"gone_after"`
}

type mysqlConfig struct {
	Address          string   `toml:"address"`
	Schema           string   `toml:"schema"`
	User             string   `toml:"user"`
	PasswordFile     secret   `toml:"password_file"`
	NextUser         string   `toml:"next_user"`
	NextPasswordFile secret   `toml:"next_password_file"`
	Refresh          duration `toml:"refresh"`
	MapTable         string   `toml:"map_table"`
	TLS              string   `toml:"tls"`
	CAFile           string   `toml:"ca_file"`
	ServerName       string   `toml:"server_name"`
	CertFile         string   `toml:"cert_file"`
	CertKeyFile      string   `toml:"cert_key_file"`
}

type captureConfig struct {
	Source       string   `toml:"source"`
	Snapshot     string   `toml:"snapshot"`
	Every        duration `toml:"every"`
	Mode         string   `toml:"mode"`
	User         string   `toml:"user"`
	PasswordFile secret   `toml:"password_file"`
	ServerID     uint32   `toml:"server_id"`
	ServerIDs    idRange  `toml:"server_ids"`
}

type certyoConfig struct {
	URL         string     `toml:"url"`
	Tenant      string     `toml:"tenant"`
	Client      string     `toml:"client"`
	KeyFile     secret     `toml:"key_file"`
	NextKeyFile secret     `toml:"next_key_file"`
	Database    string     `toml:"database"`
	CAFile      string     `toml:"ca_file"`
	Proxy       string     `toml:"proxy"`
	ProxyUser   string     `toml:"proxy_user"`
	ProxyFile   secret     `toml:"proxy_password_file"`
	Post        string     `toml:"post"`
	VerifyForm  string     `toml:"verify_form"`
	Batch       int        `toml:"batch"`
	Linger      duration   `toml:"linger"`
	Parallel    int        `toml:"parallel"`
	StartJitter duration   `toml:"start_jitter"`
	Hours       []window   `toml:"hours"`
	MaxMBADay   int        `toml:"max_mb_per_day"`
	Requests    int        `toml:"requests_per_minute"`
	VerifyAfter []duration `toml:"verify_after"`
	VerifyShare int        `toml:"verify_share"`
	VerifyRate  int        `toml:"verify_per_second"`
	Snapshots   bool       `toml:"verify_snapshots"`
	MaxUnproven int        `toml:"max_unproven"`
	MaxRefused  int        `toml:"max_refused"`
	RefusedMB   int        `toml:"max_refused_mb"`
}

type fleetConfig struct {
	Brokers      []string `toml:"brokers"`
	Broker       string   `toml:"broker"`
	User         string   `toml:"user"`
	PasswordFile secret   `toml:"password_file"`
	CAFile       string   `toml:"ca_file"`
	CertFile     string   `toml:"cert_file"`
	CertKeyFile  string   `toml:"cert_key_file"`
	Proxy        string   `toml:"proxy"`
	ProxyUser    string   `toml:"proxy_user"`
	ProxyFile    secret   `toml:"proxy_password_file"`
	Interval     duration `toml:"interval"`
	KeysFile     string   `toml:"keys_file"`
	Unsigned     []string `toml:"unsigned_commands"`

	pair     func() (cert, key string) // where the certificate and its key are now; nil: where the fields say
	Hours    []string                  `toml:"hours"`
	TimeZone string                    `toml:"time_zone"`
}

type statusConfig struct {
	Socket        string `toml:"socket"`
	ControlSocket string `toml:"control_socket"`
	RecordingKB   int    `toml:"recording_kb"`
	Metrics       string `toml:"metrics"`
}

type logConfig struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// The ways to post: what is published of one record by itself and many in bulk, or all in bulk.
const (
	postAuto = "auto"
	postBulk = "bulk"
)

// duration is a time.Duration as it is written, with its unit: "250ms", "90s", "1h30m". It stays text so that a number
// without a unit is refused with its place in the file.
type duration string

// parse reads it.
func (d duration) parse() (time.Duration, error) {
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write a number with its unit, such as 250ms, 90s or 2m", string(d))
	}
	return v, nil
}

// value is the duration of a configuration that was checked.
func (d duration) value() time.Duration {
	v, _ := d.parse()
	return v
}

// defaults is the configuration before the file is read over it.
func defaults() config {
	return config{
		Store:    storeConfig{Folder: "/var/lib/station-agent", EvidenceDays: 30, MaxMB: 896, ReserveMB: 8},
		Feedback: feedbackConfig{LampTest: true, Pitch: 100},
		Packing: packingConfig{
			Way: string(station.LabelFirst), Commit: "item", ItemPattern: "[0-9a-f]{32}", Naming: []string{"hash", "map", "gtin", "ean"},
			Identical: "refuse", TimeOut: "10m", Reopen: "10m", CoolDown: "300ms", RowsAge: "10s", GoneAfter: "2s",
		},
		MySQL:   mysqlConfig{Schema: "external", TLS: "verify", Refresh: "1s"},
		Capture: captureConfig{Source: byAuto, Snapshot: snapInitial, Every: "1s", Mode: "auto"},
		Certyo: certyoConfig{URL: "https://www.certyos.com", Post: postAuto, VerifyForm: certyo.Full, Batch: 1000, Linger: "2s", Parallel: 2, StartJitter: "5s", Hours: []window{}, Requests: 600,
			VerifyShare: 20, Snapshots: true, MaxUnproven: 200_000, MaxRefused: 10_000, RefusedMB: 64,
			VerifyAfter: []duration{"2m", "2m30s", "4m", "8m", "15m", "30m"}},
		Writeback: writebackConfig{Every: "10s"},
		Manifest:  manifestConfig{Wait: "10m"},
		Fleet:     fleetConfig{Interval: "30s", Hours: []string{}, Unsigned: []string{}},
		Status:    statusConfig{Socket: "/run/station-agent/agent.sock", RecordingKB: 1024},
		Log:       logConfig{Level: "info", Format: "text"},
	}
}

// fill sets what follows from other fields.
func (c *config) fill() {
	if c.MySQL.NextUser == "" && c.MySQL.NextPasswordFile != "" {
		c.MySQL.NextUser = c.MySQL.User
	}
	if c.Capture.User == "" && c.Capture.PasswordFile == "" {
		c.Capture.User, c.Capture.PasswordFile = c.MySQL.User, c.MySQL.PasswordFile
	}
	if c.Certyo.Database == "" {
		c.Certyo.Database = c.MySQL.Schema
	}
	if c.Status.ControlSocket == "" && c.Status.Socket != "" {
		c.Status.ControlSocket = controlBeside(c.Status.Socket)
	}
	if len(c.Fleet.Brokers) == 0 && c.Fleet.Broker != "" {
		c.Fleet.Brokers = []string{c.Fleet.Broker}
	}
	if c.Station.Name == "" {
		c.Station.Name = c.Station.UUID
	}
	for i := range c.Tables {
		c.Tables[i].fill()
	}
	for i := range c.Readers {
		c.Readers[i].fill()
	}
}

// controlBeside is where the control socket lies if nobody says so.
func controlBeside(socket string) string { return filepath.Join(filepath.Dir(socket), "control.sock") }
