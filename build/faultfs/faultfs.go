// Package faultfs is a card that fails when a test wants it to: a FUSE file system over an ordinary folder.
//
//	process under test ──► kernel, page cache ──► FS ──► folder
//	                                              │
//	                     plan: the 7th flush of "journal/" fails with EIO and loses what it was to save
//
// It counts what reaches it by file, breaks the operations that it was told to break, delays flushes and holds them. The
// kernel's page cache lies above it, in write-through mode: every write arrives here before it returns, and a file can be
// mapped. As on a real card the cache outlives closing, so that a program which trusts it after a failed flush reads bytes
// that were never saved.
//
// It never survives a power cut of its own, never flushes the folder below (the test's processes die, the machine doesn't),
// and no file of it may be mapped by the process that serves it: a page fault would wait for itself.
package faultfs

import (
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// FS is one mounted card.
type FS struct {
	plan
	server *fuse.Server
}

// Mount serves the folder backing at the folder point, until Unmount. It asks the kernel itself if this process may mount,
// and fusermount3 otherwise; an error says that neither can be had here.
func Mount(backing, point string) (*FS, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return nil, fmt.Errorf("mount %s: %w", backing, err)
	}
	f := &FS{plan: plan{counts: map[string]Count{}}}
	data := &fs.LoopbackRoot{Path: filepath.Clean(backing), Dev: uint64(st.Dev)}
	root := &node{LoopbackNode: &fs.LoopbackNode{RootData: data}, card: f}
	data.RootNode = root
	server, err := fs.Mount(point, root, options())
	if err != nil {
		return nil, fmt.Errorf("mount %s on %s: %w", backing, point, err)
	}
	f.server = server
	return f, nil
}

// options keep names and sizes out of the kernel's caches, but not the bytes of files.
func options() *fs.Options {
	never := time.Duration(0)
	return &fs.Options{
		AttrTimeout: &never, EntryTimeout: &never, NegativeTimeout: &never,
		MountOptions: fuse.MountOptions{
			FsName: "faultfs", Name: "faultfs", DirectMount: true, MaxWrite: 1 << 20, DisableXAttrs: true, ExplicitDataCacheControl: true,
		},
	}
}

// Unmount ends the service. Nobody has a file open any more.
func (f *FS) Unmount() error {
	if err := f.server.Unmount(); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return nil
}
