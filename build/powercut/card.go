package powercut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"

	"station-agent/build/qemu"
)

// Programs are QEMU, a kernel and the tools of ext4.
type Programs struct{ qemu.Packages }

const block = 4096

// card is the content of a card by block; blocks of zeros may be left out. Blocks are never changed in place, so that a
// copy of the map is a copy of the card.
type card map[int64][]byte

// readCard reads an image and tells its size.
func readCard(name string) (card, int64, error) {
	image, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, err
	}
	c, zeros := card{}, make([]byte, block)
	for at := 0; at < len(image); at += block {
		if b := image[at : at+block]; !bytes.Equal(b, zeros) {
			c[int64(at)] = b
		}
	}
	return c, int64(len(image)), nil
}

// write puts whole sectors onto the card.
func (c card) write(at int64, data []byte) {
	for len(data) > 0 {
		start := at / block * block
		b := make([]byte, block)
		copy(b, c[start])
		n := copy(b[at-start:], data)
		c[start] = b
		at, data = at+int64(n), data[n:]
	}
}

// save writes the card to a sparse file of that size.
func (c card) save(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, at := range slices.Sorted(maps.Keys(c)) {
		if _, err := f.WriteAt(c[at], at); err != nil {
			return err
		}
	}
	return f.Truncate(size)
}

// makeCard makes an empty ext4 file system of 96 MiB that the kernel need not complete later.
func (p Programs) makeCard(ctx context.Context, name string) error {
	out, err := p.Command(ctx, "sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-N", "512", "-J", "size=4",
		"-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", name, "96M").CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the card: %w: %s", err, out)
	}
	return nil
}

// recoverCard does with an image what mounting after a power cut does, and copies its folder station into dir.
func (p Programs) recoverCard(ctx context.Context, image, dir string) error {
	const corrected = 1 // the exit code of e2fsck has no other bits
	out, err := p.Command(ctx, "sbin/e2fsck", "-f", "-y", image).CombinedOutput()
	if exit, is := errors.AsType[*exec.ExitError](err); is && exit.ExitCode()&^corrected == 0 {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("recover the file system: %w: %s", err, out)
	}
	out, err = p.Command(ctx, "sbin/debugfs", "-R", "rdump /station "+dir, image).CombinedOutput()
	if err != nil {
		return fmt.Errorf("read the file system: %w: %s", err, out)
	}
	return nil
}
