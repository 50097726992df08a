// Package qemu has what virtual machines need that run Debian's kernels: the packages, fetched once, and the first root of
// a guest. The machines themselves are with those who run them.
//
// It needs no root and changes nothing of the host: QEMU, kernels and tools lie unpacked in the cache (see servers), and
// run by their own loader with their own libraries.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What Fetch says if the packages can't be had.
var (
	ErrFetch     = errors.New("QEMU and its kernel not available")
	ErrNoPackage = errors.New("apt knows no such package")
)

// Packages are Debian packages with all that they need, unpacked.
type Packages struct{ root string }

// Fetch finds packages in the cache or puts them there, by build/packages.sh, whose path script is. The suite is such as
// "bookworm", or "trixie/arm64" for kernels of another architecture.
func Fetch(ctx context.Context, script, name, suite string, packages ...string) (Packages, error) {
	cmd := exec.CommandContext(ctx, "bash", append([]string{script, name, suite}, packages...)...)
	out, err := cmd.Output()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		said := strings.ReplaceAll(strings.TrimSpace(string(exit.Stderr)), "\n", "; ")
		if exit.ExitCode() == 3 {
			return Packages{}, fmt.Errorf("%w: %w: %s", ErrFetch, ErrNoPackage, said)
		}
		return Packages{}, fmt.Errorf("%w: %s", ErrFetch, said)
	}
	return Packages{filepath.Join(strings.TrimSpace(string(out)), "root")}, err
}

// Get is Fetch for a test in a folder of build/. What can't be had skips the test; with REQUIRE_SERVERS=1 it fails, unless
// Debian has no such package.
func Get(t testing.TB, name, suite string, packages ...string) Packages {
	t.Helper()
	p, err := Fetch(t.Context(), "../packages.sh", name, suite, packages...)
	if errors.Is(err, ErrNoPackage) || errors.Is(err, ErrFetch) && os.Getenv("REQUIRE_SERVERS") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Command runs a program of this host's architecture by the loader and with the libraries that came with it.
func (p Packages) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	libraries := p.Path("lib/x86_64-linux-gnu") + ":" + p.Path("usr/lib/x86_64-linux-gnu")
	cmd := exec.CommandContext(ctx, p.Path("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
		append([]string{"--inhibit-cache", "--library-path", libraries, p.Path(program)}, args...)...)
	cmd.Env = append(os.Environ(), "QEMU_MODULE_DIR="+p.Path("usr/lib/x86_64-linux-gnu/qemu"))
	return cmd
}

// Path is where a file of the packages lies.
func (p Packages) Path(name string) string { return filepath.Join(p.root, name) }

// One gives the only path that fits the pattern.
func (p Packages) One(pattern string) (string, error) {
	found, err := filepath.Glob(p.Path(pattern))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files %s", len(found), p.Path(pattern))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
