package powercut

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"station-agent/build/qemu"
)

// Recording is what one guest did to its card.
type Recording struct {
	Rounds int     // of the script that the promises are about
	Card   string  // image of the card before
	Log    string  // what QEMU wrote down
	Marks  []int64 // bytes of the log when the card was mounted, and when each step was done

	recovery bool // it began with a card after a power cut,
	before   int  // when so many steps were done, and went no further
}

// Job is what a guest is to do.
type Job struct {
	Guest     string // its program, built
	Rounds    int    // of the script; 0: only open the store and close it
	NoFlushes bool   // its fsync does nothing
}

// bootAndWork is the longest that a guest may take.
const bootAndWork = 10 * time.Minute

// Record lets a guest do its job on an empty card. What that makes is kept in dir.
func Record(ctx context.Context, p Programs, j Job, dir string) (Recording, error) {
	r := in(dir)
	r.Rounds = j.Rounds
	if err := p.makeCard(ctx, r.Card); err != nil {
		return r, err
	}
	return r, r.run(ctx, p, j)
}

// RecordRecovery lets a guest open the store after a cut of the recording first. The power is cut again in that.
func RecordRecovery(ctx context.Context, p Programs, first Recording, c Cut, seed uint64, guest, dir string) (Recording, error) {
	r := in(dir)
	r.Rounds = first.Rounds
	err := first.each(seed, func(o Cut) bool { return o == c }, func(s state) error {
		r.recovery, r.before = true, s.done
		return s.card.save(r.Card, s.size)
	})
	if err != nil {
		return r, err
	}
	return r, r.run(ctx, p, Job{Guest: guest})
}

func in(dir string) Recording {
	return Recording{Card: filepath.Join(dir, "card"), Log: filepath.Join(dir, "log")}
}

// run lets the guest do its job with the card and fills in the marks.
func (r *Recording) run(ctx context.Context, p Programs, j Job) error {
	ctx, cancel := context.WithTimeout(ctx, bootAndWork)
	defer cancel()
	dir := filepath.Dir(r.Card)
	cmd, err := p.machine(ctx, j, dir)
	if err != nil {
		return err
	}
	r.Marks, err = r.note(cmd)
	if want := len(Script(j.Rounds)) + 1; err == nil && len(r.Marks) != want {
		err = fmt.Errorf("it did %d of %d steps", len(r.Marks)-1, want-1)
	}
	if err != nil {
		console, _ := os.ReadFile(filepath.Join(dir, "console"))
		return fmt.Errorf("run the guest: %w: %s", err, console[max(0, len(console)-2000):])
	}
	return nil
}

// machine is the command that runs QEMU. The card itself is a copy: what was on it before stays.
func (p Programs) machine(ctx context.Context, j Job, dir string) (*exec.Cmd, error) {
	kernel, err := p.One("boot/vmlinuz-*")
	if err != nil {
		return nil, err
	}
	root, err := qemu.Initramfs{Init: j.Guest, Folders: []string{"card"}, Kernel: p.Path("lib/modules"),
		Modules: []string{"virtio_pci", "virtio_blk"}}.Make()
	if err != nil {
		return nil, fmt.Errorf("make the initramfs: %w", err)
	}
	card, err := os.ReadFile(filepath.Join(dir, "card"))
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("initramfs"), root, 0o600), os.WriteFile(at("disk"), card, 0o600),
		os.WriteFile(at("log"), nil, 0o600)); err != nil {
		return nil, err
	}
	arguments := fmt.Sprintf("console=ttyS0 quiet panic=-1 ROUNDS=%d", j.Rounds)
	if j.NoFlushes {
		arguments += " FLUSHES=none"
	}
	return p.Command(ctx, "usr/bin/qemu-system-x86_64", "-accel", "tcg", "-m", "256",
		"-nodefaults", "-display", "none", "-no-reboot",
		"-L", p.Path("usr/share/qemu"), "-L", p.Path("usr/share/seabios"),
		"-kernel", kernel, "-initrd", at("initramfs"), "-append", arguments,
		"-serial", "file:"+at("console"), "-serial", "stdio",
		"-blockdev", "driver=file,filename="+at("disk")+",node-name=disk",
		"-blockdev", "driver=file,filename="+at("log")+",node-name=log",
		"-blockdev", "driver=blklogwrites,node-name=card,file=disk,log=log,log-sector-size=512",
		"-device", "virtio-blk-pci,drive=card,romfile="), nil
}

// note runs the machine and notes the length of the log each time the guest says that a step is done.
func (r Recording) note(cmd *exec.Cmd) (marks []int64, err error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := make([]byte, 1)
	for {
		if _, err = io.ReadFull(out, said); err != nil {
			break
		}
		info, e := os.Stat(r.Log)
		if e != nil {
			err = e
			break
		}
		marks = append(marks, info.Size())
		if _, err = in.Write(said); err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	} else {
		cmd.Process.Kill()
	}
	return marks, errors.Join(err, cmd.Wait())
}
