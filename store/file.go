package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// file is what the journal needs of a file on the card. Tests count its calls and break them.
type file interface {
	ReadAt(b []byte, off int64) (int, error)
	WriteAt(b []byte, off int64) (int, error)
	Datasync() error // the bytes, and no more of the inode than is needed to read them
	Sync() error     // everything; for a folder: its names
	Close() error
}

// opener opens a file or, to flush its names, a folder.
type opener func(path string, flag int) (file, error)

type cardFile struct{ *os.File }

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return cardFile{f}, nil
}

// Datasync repeats only what a signal interrupted before it began.
func (f cardFile) Datasync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// syncFolder makes creations, renames and removals in dir durable.
func syncFolder(open opener, dir string) error {
	f, err := open(dir, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeFile writes all of b or fails.
func writeFile(f file, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// readFile reads a file as far as the card gives it: a block that can't be read reads as zeros, for whoever looks at the
// content to find out.
func readFile(open opener, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f, err := open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, info.Size())
	if n, err := f.ReadAt(data, 0); err == nil || errors.Is(err, io.EOF) {
		return data[:n], nil
	}
	clear(data)
	for off := 0; off < len(data); off += cardBlock {
		f.ReadAt(data[off:min(off+cardBlock, len(data))], int64(off)) // or it stays zeros
	}
	return data, nil
}

const cardBlock = 4096 // of the card, as far as file systems care

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// removeFile removes a file if it is there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// makeFolder creates dir durably if it is not there.
func makeFolder(dir string) error {
	if i, err := os.Stat(dir); err == nil {
		if !i.IsDir() {
			return &fs.PathError{Op: "use", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(dir))
}

// Replace puts a small file in place for the agent's own user, durably: whole or not at all.
func Replace(path string, b []byte) error { return replaceFile(path, b) }

// replaceFile puts a small file in place, whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path + temporary)
		return err
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(path))
}

// zeroFile makes a durable file of size zeros. Its blocks are written once here, so that a later flush of an entry has
// no inode to write. It flushes after every step bytes, so that a scan that flushes meanwhile hasn't all of them to carry.
func zeroFile(open opener, path string, size, step int64) (file, error) {
	f, err := open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(size, 64<<10))
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		if off > 0 && off%step == 0 {
			err = f.Datasync()
		}
		err = errors.Join(err, writeFile(f, zeros[:min(size-off, int64(len(zeros)))], off))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// temporary ends the names of files that are not in place yet; a file so named holds nothing that was promised.
const temporary = ".tmp"

// dropCache flushes path and drops the kernel's copy of it, so that what is read next is what the card holds. After a
// failed flush the kernel shows bytes that never reached the card and takes them for clean.
func dropCache(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return os.NewSyscallError("fadvise", unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// noRoom tells a full card from a failing one.
func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
