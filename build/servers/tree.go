package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree is one fetched kind of server in the cache.
type tree struct{ dir string }

func (t tree) path(elem ...string) string {
	return filepath.Join(append([]string{t.dir, "root"}, elem...)...)
}

// command returns the argv that runs a program of the tree by the tree's own loader with the tree's own libraries. The
// process is therefore named after the loader.
func (t tree) command(program string, args ...string) []string {
	// bookworm has libraries in both folders, sid in the second only
	var libraries []string
	for _, pattern := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(t.path(pattern))
		libraries = append(libraries, found...)
	}
	loader := "no loader in " + t.path()
	for _, l := range libraries {
		if found, _ := filepath.Glob(filepath.Join(l, "ld-linux*.so.*")); len(found) > 0 {
			loader = found[0]
		}
	}
	return append([]string{loader, "--inhibit-cache", "--library-path", strings.Join(libraries, ":"), t.path(program)}, args...)
}

func (t tree) template() string { return filepath.Join(t.dir, "template") }

// initialise makes the template data folder of a database. The caller holds the cache's lock.
func (t tree) initialise(ctx context.Context, kind string) error {
	if _, err := os.Stat(t.template()); err == nil || kind != mariadb && kind != mysql {
		return nil
	}
	tmp := t.template() + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o700)); err != nil {
		return fmt.Errorf("make template of %s: %w", kind, err)
	}
	var cmd *exec.Cmd
	if kind == mariadb {
		if err := os.Mkdir(filepath.Join(tmp, "mysql"), 0o700); err != nil {
			return err
		}
		statements, err := t.mariadbSystemTables()
		if err != nil {
			return fmt.Errorf("read system tables of MariaDB: %w", err)
		}
		argv := t.command("usr/sbin/mariadbd", append(t.mariadbBase(tmp), "--bootstrap", "--log-warnings=0",
			"--enforce-storage-engine=", "--max-allowed-packet=8M")...)
		cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(statements)
	} else {
		argv := t.command("usr/sbin/mysqld", append(t.mysqlBase(tmp), "--initialize-insecure")...)
		cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise %s: %w: %s", kind, err, tail(out))
	}
	// two servers with this file would share one server_uuid
	if err := os.RemoveAll(filepath.Join(tmp, "auto.cnf")); err != nil {
		return err
	}
	return os.Rename(tmp, t.template())
}

// mariadbSystemTables returns the statements that mariadb-install-db would run; root gets in without a password.
func (t tree) mariadbSystemTables() (string, error) {
	var b strings.Builder
	b.WriteString("create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n")
	for _, name := range []string{
		"mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql",
		"maria_add_gis_sp_bootstrap.sql", "mysql_sys_schema.sql",
	} {
		text, err := os.ReadFile(t.path("usr/share/mysql", name))
		if err != nil {
			return "", err
		}
		b.Write(text)
	}
	return b.String(), nil
}

// mariadbBase is the part of the command line that initialising and running share. The default character set of a
// server without its configuration file is latin1, and the agent's database is utf8mb4.
func (t tree) mariadbBase(data string) []string {
	return asRoot("--no-defaults", "--basedir="+t.path("usr"), "--datadir="+data,
		"--lc-messages-dir="+t.path("usr/share/mysql"), "--character-sets-dir="+t.path("usr/share/mysql/charsets"),
		"--plugin-dir="+t.path("usr/lib/mysql/plugin"), "--innodb-log-file-size=32M", "--character-set-server=utf8mb4")
}

// mysqlBase is the same for MySQL, which refuses to start without the folder for files unless told that there is none.
func (t tree) mysqlBase(data string) []string {
	return asRoot("--no-defaults", "--basedir="+t.path("usr"), "--datadir="+data,
		"--lc-messages-dir="+t.path("usr/share/mysql"), "--character-sets-dir="+t.path("usr/share/mysql/charsets"),
		"--plugin-dir="+t.path("usr/lib/mysql/plugin"), "--secure-file-priv=NULL", "--innodb-redo-log-capacity=64M")
}

// asRoot adds the flag without which the databases refuse to run for root.
func asRoot(args ...string) []string {
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	return args
}
