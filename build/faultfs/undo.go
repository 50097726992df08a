package faultfs

import "syscall"

// piece is a stretch of a file as it was before it was written, and how long the file was.
type piece struct {
	off  int64
	old  []byte
	size int64
}

// remember keeps what a write of length bytes at off is about to replace.
func (n *node) remember(fd int, off, length int64) {
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil {
		return
	}
	p := piece{off: off, size: st.Size, old: make([]byte, max(0, min(length, st.Size-off)))}
	got, err := syscall.Pread(fd, p.old, off)
	if err != nil {
		return
	}
	p.old = p.old[:got]
	n.undo = append(n.undo, p)
}

// takeBack makes the file what it was at the last good flush. The kernel's cache is not told: after a failed flush it
// shows what it was given.
func (n *node) takeBack(fd int) {
	for i := len(n.undo) - 1; i >= 0; i-- {
		p := n.undo[i]
		syscall.Pwrite(fd, p.old, p.off)
		syscall.Ftruncate(fd, p.size)
	}
	n.undo = nil
}
