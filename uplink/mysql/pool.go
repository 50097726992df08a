// Package mysql opens connections to the database that Buylo shares, MySQL or MariaDB, and says what its errors mean. It
// is the one place that knows the driver.
//
// It promises:
//   - Open connects to nothing: a database that is away at start is no error of the start.
//   - The password is asked for at each connect, so that a rotated one heals without a restart, and is in no error text.
//   - Every connection speaks utf8mb4 in UTC, counts the rows that matched (not those that changed), refuses what doesn't
//     fit a column instead of cutting it, commits each statement, and names program, version and station to the server.
//   - Every wait has an end: connect, read, write, and a lock held by another, on a row or on the table (5 s, well before a
//     caller's own limit, so that a statement that was given up here doesn't wait on at the server and run later).
//   - A connection that is given up takes what it didn't send yet with it.
//
// It never sends a password in clear text outside of TLS, whatever the server asks for, never falls back from TLS to plain,
// never lets the server ask for a local file, never puts values into the text of a statement, and never logs.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const (
	lifetime = 15 * time.Minute // so that a failover behind one name is followed
	idle     = 3 * time.Minute  // below what firewalls forget
)

// Config says where the database is and who asks.
type Config struct {
	Address  string                 // HOST:PORT
	Schema   string                 // "external"
	User     string                 // the account that Buylo gave
	Password func() (string, error) // called at each connect
	TLS      *tls.Config            // see TLSConfig; nil for plain

	// Program, Version and Station are shown to the server as the connection's attributes program_name, program_version
	// and station (performance_schema.session_connect_attrs).
	Program, Version, Station string

	ConnectTimeout time.Duration // for the TCP connection; default 5 s
	ReadTimeout    time.Duration // for one answer; default 10 s
	WriteTimeout   time.Duration // for one question; default 10 s
	MaxConns       int           // default 2
}

func (c *Config) fill() error {
	c.ConnectTimeout = orElse(c.ConnectTimeout, 5*time.Second)
	c.ReadTimeout = orElse(c.ReadTimeout, 10*time.Second)
	c.WriteTimeout = orElse(c.WriteTimeout, 10*time.Second)
	c.MaxConns = orElse(c.MaxConns, 2)
	switch {
	case c.Address == "":
		return errors.New("open mysql: no address: name HOST:PORT")
	case c.User == "":
		return errors.New("open mysql: no user: name the account that Buylo gave you")
	case c.Password == nil:
		return errors.New("open mysql: no source of the password")
	}
	return nil
}

func orElse[T int | time.Duration](v, other T) T {
	if v > 0 {
		return v
	}
	return other
}

// Open makes a pool of at most MaxConns connections. It doesn't connect; its errors are those of the configuration.
func Open(cfg Config) (*sql.DB, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	dsn, err := dsn(cfg)
	if err != nil {
		return nil, fmt.Errorf("open mysql: %w", err)
	}
	connector, err := driver.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open mysql %s: %w", cfg.Address, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(cfg.MaxConns)
	db.SetMaxIdleConns(cfg.MaxConns)
	db.SetConnMaxLifetime(lifetime)
	db.SetConnMaxIdleTime(idle)
	return db, nil
}

// dsn puts cfg into the driver's words. What isn't set here is off by the driver's default: local files, clear-text and
// old passwords, fallback to plain, several statements in one, interpolated values, parsed times.
func dsn(cfg Config) (*driver.Config, error) {
	d := driver.NewConfig()
	d.Net, d.Addr, d.DBName, d.User, d.TLS = "tcp", cfg.Address, cfg.Schema, cfg.User, cfg.TLS
	d.Timeout, d.ReadTimeout, d.WriteTimeout = cfg.ConnectTimeout, cfg.ReadTimeout, cfg.WriteTimeout
	d.DialFunc = dialer(cfg.ReadTimeout)
	d.ClientFoundRows = true
	d.Logger = &driver.NopLogger{} // what it says comes back as an error, too
	d.ConnectionAttributes = attributes(cfg)
	d.Params = map[string]string{
		"autocommit":               "1", // a server may have it off by default
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'STRICT_ALL_TABLES'",
		"innodb_lock_wait_timeout": "5",
		"lock_wait_timeout":        "5", // for the table, while somebody alters it: a day or a year by default
	}
	return d, d.Apply(
		driver.Charset("utf8mb4", ""),
		driver.BeforeConnect(func(_ context.Context, d *driver.Config) (err error) {
			if d.Passwd, err = cfg.Password(); err != nil {
				return unreadable{err}
			}
			return nil
		}),
	)
}

// attributes are NAME:VALUE pairs between commas; a comma within a value would cut it.
func attributes(cfg Config) string {
	clean := strings.NewReplacer(",", " ")
	return "program_name:" + clean.Replace(cfg.Program) +
		",program_version:" + clean.Replace(cfg.Version) +
		",station:" + clean.Replace(cfg.Station)
}
