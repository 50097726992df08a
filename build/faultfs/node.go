package faultfs

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const block = 4096

// node is a file or folder. What it doesn't say itself passes through.
type node struct {
	*fs.LoopbackNode
	card *FS

	mu   sync.Mutex
	undo []piece // what was written since the last good flush, oldest first
}

// handle is an open file. It shows less of the one below than that could do, because the kernel would go around us if it
// knew of its descriptor.
type handle struct {
	passed
	fd     int
	failed bool // a flush through this handle has failed; guarded by the node
}

type passed interface {
	fs.FileReader
	fs.FileWriter
	fs.FileReleaser
	fs.FileFlusher
	fs.FileGetattrer
	fs.FileSetattrer
}

// folder is an open folder, for reading its names and for flushing them.
type folder struct {
	stream
	node *node
}

type stream interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
}

func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: ops.(*fs.LoopbackNode), card: n.card}
}

func (n *node) rel() string { return n.Path(n.Root()) }

func (n *node) backing() string { return filepath.Join(n.RootData.Path, n.rel()) }

// meet tells what goes wrong with an operation on a name in this folder.
func (n *node) meet(op Op, name string) syscall.Errno {
	if f := n.card.meet(op, path.Join(n.rel(), name), op == Create); f != nil {
		return f.Err
	}
	return fs.OK
}

// readable makes of a file that is opened for writing one that can be read too, so that we can take writes back.
func readable(flags uint32) uint32 {
	if flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		return flags&^syscall.O_ACCMODE | syscall.O_RDWR
	}
	return flags
}

func open(f fs.FileHandle) fs.FileHandle {
	fd, _ := f.(fs.FilePassthroughFder).PassthroughFd()
	return &handle{passed: f.(passed), fd: fd}
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.Open(ctx, readable(flags))
	if errno != fs.OK {
		return nil, 0, errno
	}
	return open(f), fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.meet(Create, name); errno != fs.OK {
		return nil, nil, 0, errno
	}
	inode, f, _, errno := n.LoopbackNode.Create(ctx, name, readable(flags), mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	return inode, open(f), fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.meet(Create, name); errno != fs.OK {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.meet(Remove, name); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := parent.(*node).meet(Rename, newName); errno != fs.OK {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != fs.OK {
		return nil, 0, errno
	}
	return &folder{f.(stream), n}, 0, fs.OK
}

func (d *folder) Fsyncdir(context.Context, uint32) syscall.Errno {
	d.node.card.wait(d.node.rel())
	return d.node.meet(FolderFlush, "")
}

// Setattr changes the size, whole or not at all; everything else passes through.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, ok := in.GetSize()
	if !ok {
		return n.LoopbackNode.Setattr(ctx, f, in, out)
	}
	if errno := n.meet(Truncate, ""); errno != fs.OK {
		return errno
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if b, err := os.Open(n.backing()); err == nil {
		n.remember(int(b.Fd()), int64(size), 1<<40)
		b.Close()
	}
	return n.LoopbackNode.Setattr(ctx, f, in, out)
}

func (n *node) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h, rel := f.(*handle), n.rel()
	if h.failed {
		n.card.retry(Write, rel)
	}
	if fault := n.card.meet(Write, rel, needsRoom(h.fd, off, off+int64(len(data)))); fault != nil {
		if !fault.Short || len(data) < 2 {
			return 0, fault.Err
		}
		data = data[:len(data)/2]
	}
	n.remember(h.fd, off, int64(len(data)))
	written, errno := h.Write(ctx, data, off)
	n.card.count(rel, func(c *Count) {
		end := off + int64(written)
		c.Writes++
		c.Bytes += int64(written)
		c.BlockBytes += (end+block-1)/block*block - off/block*block
	})
	return written, errno
}

// needsRoom tells whether a write from off to end takes room that the file doesn't have yet: behind its end, or in a hole.
func needsRoom(fd int, off, end int64) bool {
	hole, err := unix.Seek(fd, off, unix.SEEK_HOLE) // the end of a file counts as one
	return err != nil || hole < end
}

func (n *node) Fsync(_ context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	h, rel, op := f.(*handle), n.rel(), Flush
	if flags&1 != 0 { // FUSE_FSYNC_FDATASYNC
		op = DataFlush
	}
	n.card.wait(rel)
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.failed {
		n.card.retry(op, rel)
	}
	n.card.count(rel, func(c *Count) { c.Flushes++ })
	fault := n.card.meet(op, rel, false)
	if fault == nil {
		n.undo = nil
		return fs.OK
	}
	h.failed = true
	if fault.Loses {
		n.takeBack(h.fd)
	}
	return fault.Err
}
