package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What Fetch says if the programs can't be had.
var (
	ErrFetch     = errors.New("QEMU and its kernel not available")
	ErrNoPackage = errors.New("apt knows no such package")
)

// Programs are QEMU, a kernel and the tools of ext4, unpacked from Debian's packages. They run by their own loader with
// their own libraries.
type Programs struct{ root string }

// Fetch finds them in the cache or puts them there. Script is build/packages.sh.
func Fetch(ctx context.Context, script string) (Programs, error) {
	cmd := exec.CommandContext(ctx, "bash", script, "powercut", "bookworm",
		"qemu-system-x86", "linux-image-cloud-amd64", "e2fsprogs")
	out, err := cmd.Output()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		said := strings.ReplaceAll(strings.TrimSpace(string(exit.Stderr)), "\n", "; ")
		if exit.ExitCode() == 3 {
			return Programs{}, fmt.Errorf("%w: %w: %s", ErrFetch, ErrNoPackage, said)
		}
		return Programs{}, fmt.Errorf("%w: %s", ErrFetch, said)
	}
	return Programs{filepath.Join(strings.TrimSpace(string(out)), "root")}, err
}

// command runs a program by the loader and with the libraries that came with it.
func (p Programs) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	libraries := p.path("lib/x86_64-linux-gnu") + ":" + p.path("usr/lib/x86_64-linux-gnu")
	cmd := exec.CommandContext(ctx, p.path("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
		append([]string{"--inhibit-cache", "--library-path", libraries, p.path(program)}, args...)...)
	cmd.Env = append(os.Environ(), "QEMU_MODULE_DIR="+p.path("usr/lib/x86_64-linux-gnu/qemu"))
	return cmd
}

func (p Programs) path(name string) string { return filepath.Join(p.root, name) }

// one gives the only path that fits the pattern.
func (p Programs) one(pattern string) (string, error) {
	found, err := filepath.Glob(p.path(pattern))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files %s", len(found), p.path(pattern))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}
