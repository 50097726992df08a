// Package servers gives tests and the demo private servers of the kinds the agent talks to: MariaDB 10.11, MySQL 9.7 and
// Mosquitto 2, each on 127.0.0.1, on a free port, with a data folder of its own, as long as the caller wants it.
//
// It promises that nothing of the host changes: the programs are Debian packages unpacked into a cache folder
// (STATION_AGENT_CACHE, else station-agent in the user's cache folder) and run with the libraries and the loader that
// came with them, as the calling user, never as a system service. They are fetched once, under a lock, over the mirror
// this host's apt uses. The cache looks like this:
//
//	mariadb-3f9c01d2/            named by a digest of what is fetched and how
//	    packages                 checksums of the packages in it
//	    root/                    the unpacked packages
//	    template/                an initialised data folder, copied for every server
//	mariadb-3f9c01d2.lock
//	mariadb-3f9c01d2.failed      why it could not be fetched; believed for two minutes
//
// A running server has a folder under the temporary folder, with data, socket and log. It is removed when the server
// is closed; what a killed test left behind, the next run removes.
//
// A test whose server can't be fetched is skipped and says why. With REQUIRE_SERVERS=1 it fails instead, but for MySQL:
// it lives in Debian's unstable suite, which may be broken for a day. Its loss goes as one line to the file named by
// STATION_AGENT_LOUD, for the runner to show at the very end. A server that was fetched and doesn't start is always a
// failure.
//
// The package never listens on another address than 127.0.0.1 and is never linked into the device binary.
package servers

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// ErrFetch is in the chain of every error that means: the programs could not be had.
var ErrFetch = errors.New("server not available")

// MariaDB starts a MariaDB with Buylo's schema and accounts, killed when the test ends. Flags are added to the server's
// command line and win over the usual ones.
func MariaDB(t testing.TB, flags ...string) *Database {
	t.Helper()
	return database(t, mariadb, flags)
}

// MySQL is like MariaDB.
func MySQL(t testing.TB, flags ...string) *Database {
	t.Helper()
	return database(t, mysql, flags)
}

// Databases runs f as one subtest per kind of database, each with a server of its own.
func Databases(t *testing.T, f func(t *testing.T, db *Database)) {
	t.Run(mariadb, func(t *testing.T) { f(t, MariaDB(t)) })
	t.Run(mysql, func(t *testing.T) { f(t, MySQL(t)) })
}

// Broker starts a Mosquitto, killed when the test ends. Without logins everybody may connect.
func Broker(t testing.TB, logins ...Login) *Mosquitto {
	t.Helper()
	m, err := StartMosquitto(t.Context(), logins...)
	if err != nil {
		unavailable(t, mosquitto, err)
	}
	t.Cleanup(m.Close)
	return m
}

func database(t testing.TB, flavor string, flags []string) *Database {
	t.Helper()
	db, err := startDatabase(t.Context(), flavor, Options{Flags: flags})
	if err != nil {
		unavailable(t, flavor, err)
	}
	t.Cleanup(db.Close)
	if err := db.CreateBuylo(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s on %s", flavor, db.Version, db.Addr)
	return db
}

// unavailable ends the test: a server that can't be fetched skips it, or fails it where servers are required.
func unavailable(t testing.TB, kind string, err error) {
	t.Helper()
	if !errors.Is(err, ErrFetch) {
		t.Fatal(err)
	}
	line := oneLine(err)
	if kind == mysql {
		if err := shout("not tested against MySQL", line); err != nil {
			t.Error(err)
		}
	} else if os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatal(line)
	}
	t.Skip(line)
}

// shout appends what and why to the file named by STATION_AGENT_LOUD, once for all packages of a run.
func shout(what, why string) error {
	name := os.Getenv("STATION_AGENT_LOUD")
	if name == "" {
		return nil
	}
	if said, err := os.ReadFile(name); err == nil && strings.Contains(string(said), what) {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(what + ": " + why + "\n")
	return err
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
