// Package mysql opens connections to the database that Buylo shares, MySQL or MariaDB, and says what its errors mean. It
// is the one place that knows the driver.
//
// It promises:
//   - Open connects to nothing: a database that is away at start is no error of the start.
//   - Passwords are asked for at each connect and are in no error text. There may be a current and a next credential: where
//     one is refused, the same connect tries the other, so that a rotation loses nothing and needs no restart, however far
//     apart server and files change. A server that refuses both is left alone for a while (1 s, growing to 15 s), unless
//     a password is replaced.
//   - A client certificate is read at each connect, too.
//   - Every connection speaks utf8mb4 in UTC, counts the rows that matched (not those that changed), refuses what doesn't
//     fit a column instead of cutting it, commits each statement, and names program, version and station to the server.
//   - Every wait has an end: connect, read, write, and a lock held by another, on a row or on the table (5 s, well before a
//     caller's own limit, so that a statement that was given up here doesn't wait on at the server and run later).
//   - A connection that is given up takes what it didn't send yet with it. One that lives is renewed after 15 to 20 minutes,
//     each station at its own time.
//   - Every error has one answer, in class and words: see Explain.
//
// The answers, by the server's number:
//
//	1045, locked, expired, blocked           try again; here: the other credential, then paced
//	1142, 1143: no right                     never; the missing grant is named
//	class 22 and 23, 1406: the value         never
//	1020, 1205, 1213, 3572: a lock           try again soon: Contended
//	1290, 1792, 1836: read-only              try again
//	1040, 1053, 1226, 2006, 2013, EOF        try again, over a new connection
//	1044, 1049, 1054, 1146, 3159             try again: the configuration or the server has to change
//	any other number                         try again, and call somebody if it stays: Unknown
//
// It never sends a password in clear text outside of TLS, whatever the server asks for, never falls back from TLS to plain,
// never lets the server ask for a local file, never puts values into the text of a statement, and never logs.
package mysql

import (
	"cmp"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const idle = 3 * time.Minute // below what firewalls forget

// Config says where the database is and who asks.
type Config struct {
	Address  string                 // HOST:PORT
	Schema   string                 // "external"
	User     string                 // the account that Buylo gave
	Password func() (string, error) // called at each connect
	Next     *Credential            // what holds after the next rotation; User "" for the same; nil for none
	TLS      *tls.Config            // see NewTLS; nil for plain

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
	case c.Next != nil && c.Next.Password == nil:
		return errors.New("open mysql: no source of the next password")
	}
	return nil
}

// credentials are the current one and the next one, if there is any.
func (c *Config) credentials() []Credential {
	list := []Credential{{User: c.User, Password: c.Password}}
	if c.Next != nil {
		list = append(list, Credential{User: cmp.Or(c.Next.User, c.User), Password: c.Next.Password})
	}
	return list
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
	base, err := dsn(cfg)
	if err != nil {
		return nil, fmt.Errorf("open mysql: %w", err)
	}
	db := sql.OpenDB(&connector{base: base, credentials: cfg.credentials()})
	db.SetMaxOpenConns(cfg.MaxConns)
	db.SetMaxIdleConns(cfg.MaxConns)
	db.SetConnMaxLifetime(lifetime())
	db.SetConnMaxIdleTime(idle)
	return db, nil
}

// lifetime is how long a connection is used at most, so that a failover behind one name is followed. It differs from
// station to station: those that once connected in the same second would do so again and again.
func lifetime() time.Duration { return 15*time.Minute + rand.N(5*time.Minute) }

// dsn puts cfg into the driver's words. What isn't set here is off by the driver's default: local files, clear-text and
// old passwords, fallback to plain, several statements in one, interpolated values, parsed times.
func dsn(cfg Config) (*driver.Config, error) {
	d := driver.NewConfig()
	d.Net, d.Addr, d.DBName, d.TLS = "tcp", cfg.Address, cfg.Schema, cfg.TLS
	d.Timeout, d.ReadTimeout, d.WriteTimeout = cfg.ConnectTimeout, cfg.ReadTimeout, cfg.WriteTimeout
	d.DialFunc = dialer(cfg.WriteTimeout)
	d.ClientFoundRows = true
	d.ConnectionAttributes = attributes(cfg)
	d.Params = map[string]string{
		"autocommit":               "1", // a server may have it off by default
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'STRICT_ALL_TABLES'",
		"innodb_lock_wait_timeout": "5",
		"lock_wait_timeout":        "5", // for the table, while somebody alters it: a day or a year by default
	}
	return d, d.Apply(driver.Charset("utf8mb4", ""))
}

// attributes are NAME:VALUE pairs between commas; a comma within a value would cut it.
func attributes(cfg Config) string {
	clean := strings.NewReplacer(",", " ")
	return "program_name:" + clean.Replace(cfg.Program) +
		",program_version:" + clean.Replace(cfg.Version) +
		",station:" + clean.Replace(cfg.Station)
}
