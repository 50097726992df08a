package qemu

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Initramfs is the first root of a guest, and its only one.
type Initramfs struct {
	Init    string                            // the program that the kernel runs
	Folders []string                          // made empty, besides dev, proc, sys and modules
	Files   map[string]string                 // programs and other files, by their names in the guest
	Kernel  string                            // the folder of its modules
	Modules []string                          // those that are needed, with _ in their names
	Unxz    func(file string) ([]byte, error) // for kernels whose modules are compressed
}

// Make gives the archive: init, and below modules the kernel's modules with what they need themselves, named so that they
// load in the order of their names. What is built into the kernel is left out. The format is cpio's "newc" (the kernel's
// Documentation/driver-api/early-userspace), not compressed: unpacking is dearer in a guest than room is on its host.
func (i Initramfs) Make() ([]byte, error) {
	var packed bytes.Buffer
	a := &archive{to: &packed}
	for _, dir := range append([]string{"dev", "proc", "sys", "modules"}, i.Folders...) {
		a.add(dir, 0o040755, nil)
	}
	files := map[string]string{"init": i.Init}
	for name, file := range i.Files {
		files[name] = file
	}
	for name, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		a.add(name, 0o100755, text)
	}
	m, err := findModules(i.Kernel, i.Unxz)
	if err != nil {
		return nil, err
	}
	for _, name := range i.Modules {
		if err := m.need(name); err != nil {
			return nil, err
		}
	}
	for n, module := range m.order {
		a.add(fmt.Sprintf("modules/%02d-%s", n, module.name), 0o100644, module.text)
	}
	a.add("TRAILER!!!", 0, nil)
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
	files   map[string]string
	builtin []string
	unxz    func(file string) ([]byte, error)
	order   []module
}

type module struct {
	name string
	text []byte
}

func findModules(dir string, unxz func(string) ([]byte, error)) (*modules, error) {
	m := &modules{files: map[string]string{}, unxz: unxz}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, is := moduleName(path); is {
			m.files[name] = path
		}
		if filepath.Base(path) == "modules.builtin" {
			list, err := os.ReadFile(path)
			for line := range strings.Lines(string(list)) {
				name, _ := moduleName(strings.TrimSpace(line))
				m.builtin = append(m.builtin, name)
			}
			return err
		}
		return err
	})
	return m, err
}

func moduleName(path string) (name string, is bool) {
	name, is = strings.CutSuffix(strings.TrimSuffix(filepath.Base(path), ".xz"), ".ko")
	return strings.ReplaceAll(name, "-", "_"), is
}

func (m *modules) need(name string) error {
	if slices.Contains(m.builtin, name) || slices.ContainsFunc(m.order, func(o module) bool { return o.name == name }) {
		return nil
	}
	text, err := m.read(m.files[name])
	if err != nil {
		return fmt.Errorf("read kernel module %s: %w", name, err)
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read kernel module %s: %w", name, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return fmt.Errorf("read kernel module %s: it has no .modinfo", name)
	}
	info, err := section.Data()
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
	m.order = append(m.order, module{name, text})
	return nil
}

func (m *modules) read(file string) ([]byte, error) {
	if strings.HasSuffix(file, ".xz") {
		return m.unxz(file)
	}
	return os.ReadFile(file)
}
