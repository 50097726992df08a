package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// file is what the journal needs of a file on the card. Tests count its calls and break them.
type file interface {
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

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
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

// replaceFile puts a small file in place, whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return err
	}
	return syncFolder(openFile, filepath.Dir(path))
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
