package faultfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"station-agent/store"
)

const (
	childVariable = "FAULTFS_CHILD"  // what the re-executed test program does instead of testing
	alone         = "FAULTFS_ALONE"  // set: this process has mounts of its own
	fullVariable  = "FAULTFS_FULL"   // set: every operation and every page, not a few
	patience      = 60 * time.Second // with one child; it needs far less than a second
)

// TestMain runs the tests where their mounts end with them, if it may make such a place.
func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		os.Exit(child(what))
	}
	if os.Getenv(alone) == "" && os.Getuid() == 0 {
		again := exec.Command("/proc/self/exe", os.Args[1:]...)
		again.Env = append(os.Environ(), alone+"=1")
		again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
		again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if err := again.Start(); err == nil {
			again.Wait()
			os.Exit(again.ProcessState.ExitCode())
		}
	}
	os.Exit(m.Run())
}

// child does one thing with a store: it reads its orders from standard input and prints what it found, as JSON.
func child(what string) int {
	var o orders
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&o); err != nil {
		fmt.Println(err)
		return 1
	}
	o.wait = func() error { return in.Decode(new(string)) }
	do := map[string]func(orders) any{"work": work, "look": look, "go on": goOn, "slow": slow, "map": mapped, "probe": readPages}[what]
	if err := json.NewEncoder(os.Stdout).Encode(do(o)); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// orders tell a child where the store is and what the parent knows of it.
type orders struct {
	Dir  string
	Done notes
	wait func() error // until the parent says go on
}

func command(ctx context.Context, what string, o orders) (*exec.Cmd, error) {
	in, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, "/proc/self/exe")
	c.Env = append(os.Environ(), "GOTRACEBACK=single", childVariable+"="+what)
	c.Stdin = bytes.NewReader(append(in, '\n'))
	return c, nil
}

// run lets a child do something. A panic, a fault or a hang of it is an error here.
func run[T any](what string, o orders) (result T, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := command(ctx, what, o)
	if err != nil {
		return result, err
	}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return result, fmt.Errorf("%s: %w (time: %v): %s%s", what, err, ctx.Err(), out.Bytes(), start(errs.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return result, fmt.Errorf("%s: %w: %s", what, err, start(out.Bytes()))
	}
	return result, nil
}

func start(b []byte) []byte { return b[:min(len(b), 4000)] }

// probe has a child read a file of bbolt, which may die of it.
func probe(path string) error {
	said, err := run[string]("probe", orders{Dir: path})
	if err == nil && said == "" {
		return nil
	}
	return fmt.Errorf("%w: %s: %s: %w", store.ErrDamaged, path, said, err)
}

// readPages runs in that child.
func readPages(o orders) any {
	if err := store.Probe(o.Dir); err != nil {
		return err.Error()
	}
	return ""
}

// card is a mounted card and the folder of the store on it.
type card struct {
	*FS
	backing, store string
}

// mount gives a new card, or skips the test with the reason.
func mount(t *testing.T) *card {
	t.Helper()
	dir := t.TempDir()
	c, err := newCard(dir)
	if err != nil {
		if _, absent := os.Stat("/dev/fuse"); absent == nil && os.Getenv("REQUIRE_SERVERS") == "1" {
			t.Fatal(err)
		}
		t.Skip("skipped: no FUSE file system can be mounted here: ", oneLine(err))
	}
	t.Cleanup(func() { ok(t, c.Unmount()) })
	return c
}

func newCard(dir string) (*card, error) {
	c := &card{backing: filepath.Join(dir, "card"), store: filepath.Join(dir, "mnt", "store")}
	err := errors.Join(os.MkdirAll(c.backing, 0o700), os.MkdirAll(filepath.Dir(c.store), 0o700))
	if err != nil {
		return nil, err
	}
	c.FS, err = Mount(c.backing, filepath.Dir(c.store))
	return c, err
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func full() bool { return os.Getenv(fullVariable) != "" }
