package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed fetch.sh
var fetchScript string

// The kinds of servers; the two databases are also flavors.
const (
	mariadb   = "mariadb"
	mysql     = "mysql"
	mosquitto = "mosquitto"
)

// failureHolds is how long a failed fetch isn't tried again, so that a run of many packages without a network waits for
// it once.
const failureHolds = 2 * time.Minute

// Fetch makes sure that all three servers are in the cache and initialised. It tries each of them and joins the errors.
func Fetch(ctx context.Context) error {
	var errs []error
	for _, kind := range []string{mariadb, mysql, mosquitto} {
		_, err := fetch(ctx, kind)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// source tells which Debian suite has a kind of server, and the packages to unpack. MariaDB's server-core lacks the
// statements that initialise a data folder.
func source(kind string) (suite string, packages []string) {
	switch kind {
	case mariadb:
		return "bookworm", []string{"mariadb-server-core", "mariadb-client-core", "mariadb-server"}
	case mysql:
		return "sid", []string{"mysql-server-core", "mysql-client-core"}
	case prometheus:
		return "bookworm", []string{"prometheus"}
	default:
		return "bookworm", []string{"mosquitto", "mosquitto-clients"}
	}
}

// fetch returns the tree of kind, from the cache or the mirror. Only what concerns the mirror is an ErrFetch.
func fetch(ctx context.Context, kind string) (tree, error) {
	dir, err := cached(kind)
	if err != nil {
		return tree{}, err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return tree{}, fmt.Errorf("lock cache of %s: %w", kind, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err != nil {
		if err := download(ctx, kind, dir); err != nil {
			return tree{}, fmt.Errorf("fetch %s: %w: %w", kind, ErrFetch, err)
		}
	}
	t := tree{dir}
	return t, t.initialise(ctx, kind)
}

// cached names the folder of kind in the cache; another script or package list means another folder.
func cached(kind string) (string, error) {
	cache := os.Getenv("STATION_AGENT_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find cache folder (set STATION_AGENT_CACHE): %w", err)
		}
		cache = filepath.Join(user, "station-agent")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	suite, packages := source(kind)
	digest := sha256.Sum256([]byte(fetchScript + suite + strings.Join(packages, " ")))
	return filepath.Join(cache, fmt.Sprintf("%s-%x", kind, digest[:4])), os.MkdirAll(cache, 0o755)
}

// download runs the script into a temporary folder and renames it to dir, so that dir is there whole or not at all.
func download(ctx context.Context, kind, dir string) error {
	failed := dir + ".failed"
	if why := recent(failed); why != "" {
		return errors.New(why)
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	suite, packages := source(kind)
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-c", fetchScript, "fetch.sh", tmp, suite}, packages...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		err = fmt.Errorf("unpack Debian %s packages: %w: %s", suite, err, tail(out))
		if ctx.Err() == nil {
			err = errors.Join(err, os.WriteFile(failed, []byte(err.Error()), 0o644))
		}
		return err
	}
	return errors.Join(os.RemoveAll(failed), os.Rename(tmp, dir))
}

// recent returns the text of a failure that is too young to try again.
func recent(failed string) string {
	info, err := os.Stat(failed)
	if err != nil || time.Since(info.ModTime()) > failureHolds {
		return ""
	}
	why, _ := os.ReadFile(failed)
	return fmt.Sprintf("%s (tried at %s, tried again after %s)", why, info.ModTime().Format(time.TimeOnly),
		info.ModTime().Add(failureHolds).Format(time.TimeOnly))
}

// lock waits for the exclusive lock on the file name, which the kernel releases when its holder dies.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			f.Close()
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tail returns the last lines of a program's output.
func tail(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-12):], []byte("\n")))
}
