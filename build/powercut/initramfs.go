package powercut

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// initramfs makes the root of the guest: init, and below /modules the kernel modules it needs, named so that they load in
// the order of their names. The format is cpio's "newc" (the kernel's Documentation/driver-api/early-userspace).
func initramfs(init, kernelModules string, wanted ...string) ([]byte, error) {
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	a := &archive{to: compressed}
	for _, dir := range []string{"dev", "proc", "sys", "card", "modules"} {
		a.add(dir, 0o040755, nil)
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return nil, err
	}
	a.add("init", 0o100755, program)
	m, err := findModules(kernelModules)
	if err != nil {
		return nil, err
	}
	for _, name := range wanted {
		if err := m.need(name); err != nil {
			return nil, err
		}
	}
	for n, name := range m.order {
		text, err := os.ReadFile(m.files[name])
		if err != nil {
			return nil, err
		}
		a.add(fmt.Sprintf("modules/%02d-%s", n, name), 0o100644, text)
	}
	a.add("TRAILER!!!", 0, nil)
	if a.err == nil {
		a.err = compressed.Close()
	}
	return packed.Bytes(), a.err
}

// archive writes cpio entries and keeps the first error.
type archive struct {
	to    io.Writer
	files int
	err   error
}

func (a *archive) add(name string, mode uint32, text []byte) {
	if a.err != nil {
		return
	}
	a.files++
	head := "070701"
	for _, field := range []int{a.files, int(mode), 0, 0, 1, 0, len(text), 0, 0, 0, 0, len(name) + 1, 0} {
		head += fmt.Sprintf("%08x", field)
	}
	_, a.err = io.WriteString(a.to, padded(head+name+"\x00")+padded(string(text)))
}

// padded fills s up to a multiple of four bytes.
func padded(s string) string { return s + strings.Repeat("\x00", -len(s)&3) }

// modules are those of one kernel by name, and those that were asked for, each behind what it needs itself.
type modules struct {
	files map[string]string
	order []string
}

func findModules(dir string) (*modules, error) {
	m := &modules{files: map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, is := strings.CutSuffix(filepath.Base(path), ".ko"); is {
			m.files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return m, err
}

func (m *modules) need(name string) error {
	if slices.Contains(m.order, name) {
		return nil
	}
	f, err := elf.Open(m.files[name])
	if err != nil {
		return fmt.Errorf("open kernel module %s: %w", name, err)
	}
	defer f.Close()
	info, err := f.Section(".modinfo").Data()
	if err != nil {
		return fmt.Errorf("read kernel module %s: %w", name, err)
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if needs, is := strings.CutPrefix(field, "depends="); is && needs != "" {
			for other := range strings.SplitSeq(needs, ",") {
				if err := m.need(strings.ReplaceAll(other, "-", "_")); err != nil {
					return err
				}
			}
		}
	}
	m.order = append(m.order, name)
	return nil
}
