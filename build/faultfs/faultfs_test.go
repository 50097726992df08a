package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bare is a card with one file of two blocks on it, flushed.
func bare(t *testing.T) (*card, *os.File) {
	c := mount(t)
	f, err := os.OpenFile(filepath.Join(filepath.Dir(c.store), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	ok(t, err)
	t.Cleanup(func() { f.Close() })
	put(t, f, strings.Repeat("a", 2*block), 0)
	ok(t, f.Sync())
	return c, f
}

func put(t *testing.T, f *os.File, s string, off int64) {
	t.Helper()
	_, err := f.WriteAt([]byte(s), off)
	ok(t, err)
}

func get(t *testing.T, f *os.File, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, err := f.ReadAt(b, 0)
	ok(t, err)
	return string(b)
}

func forget(t *testing.T, f *os.File) {
	t.Helper()
	ok(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

func TestEveryOperationCanFail(t *testing.T) {
	for op, do := range map[Op]func(f *os.File) error{
		Write:     func(f *os.File) error { _, err := f.WriteAt([]byte("b"), 0); return err },
		Flush:     (*os.File).Sync,
		DataFlush: func(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) },
		FolderFlush: func(f *os.File) error {
			d, err := os.Open(filepath.Dir(f.Name()))
			return errors.Join(err, d.Sync(), d.Close())
		},
		Create: func(f *os.File) error { return os.Mkdir(fresh(f), 0o700) },
		Rename: func(f *os.File) error {
			name := fresh(f)
			return errors.Join(os.WriteFile(name, nil, 0o600), os.Rename(name, name+".new"))
		},
		Truncate: func(f *os.File) error { return f.Truncate(block) },
		Remove: func(f *os.File) error {
			name := fresh(f)
			return errors.Join(os.WriteFile(name, nil, 0o600), os.Remove(name))
		},
	} {
		t.Run(string(op), func(t *testing.T) {
			c, f := bare(t)
			c.Set(Fault{On: []Op{op}, From: 2, Once: true, Err: syscall.EIO})
			for n := range 3 {
				err := do(f)
				if errors.Is(err, syscall.EIO) != (n == 1) || (err != nil) != (n == 1) {
					t.Fatal(n, err)
				}
			}
			if met := c.Met(); len(met) != 1 || !strings.Contains(met[0], string(op)) {
				t.Error(met)
			}
			c.Set(Fault{On: []Op{op}, From: 1, Err: syscall.ENOSPC})
			if a, b := do(f), do(f); !errors.Is(a, syscall.ENOSPC) || !errors.Is(b, syscall.ENOSPC) {
				t.Error(a, b)
			}
		})
	}
}

// fresh is a name beside f that isn't there yet.
func fresh(f *os.File) string {
	for n := 0; ; n++ {
		name := fmt.Sprint(f.Name(), n)
		if _, err := os.Stat(name); err != nil {
			return name
		}
	}
}

// The page cache must not show what a failed write was to leave.
func TestAFailedWriteIsNotInTheCache(t *testing.T) {
	c, f := bare(t)
	get(t, f, 2*block)
	c.Set(Fault{On: []Op{Write}, From: 1, Err: syscall.EIO})
	if _, err := f.WriteAt([]byte("bbb"), 10); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	c.Set()
	if s := get(t, f, 2*block); strings.Contains(s, "b") {
		t.Fatal("it shows what was not written")
	}
}

func TestAShortWriteLeavesAHalf(t *testing.T) {
	c, f := bare(t)
	c.Set(Fault{On: []Op{Write}, From: 1, Short: true, Err: syscall.ENOSPC})
	n, err := syscall.Pwrite(int(f.Fd()), []byte("bbbb"), 0)
	if n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := syscall.Pwrite(int(f.Fd()), []byte("bb"), 2); err != syscall.ENOSPC {
		t.Fatal(err)
	}
	if s := get(t, f, 4); s != "bbaa" {
		t.Fatal(s)
	}
}

// As with a real card: the failed flush lost the bytes, the cache still shows them, also to the next who opens the file,
// and only dropping the cache tells the truth.
func TestAFailedFlushLosesBytesBehindTheCache(t *testing.T) {
	c, f := bare(t)
	c.Set(Fault{On: []Op{DataFlush}, From: 1, Err: syscall.EIO, Loses: true})
	put(t, f, "bbbb", 2)
	put(t, f, "cccc", 2*block-2)
	if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EIO {
		t.Fatal(err)
	}
	c.Set()
	put(t, f, "d", 100)
	if got := c.Retried(); !slices.Equal(got, []string{"write file"}) {
		t.Fatal(got)
	}
	again, err := os.Open(f.Name())
	ok(t, err)
	defer again.Close()
	if s := get(t, again, 6); s != "aabbbb" {
		t.Fatal("the cache was dropped too early:", s)
	}
	forget(t, again)
	if s, i := get(t, again, 6), size(t, again); s != "aaaaaa" || i != 2*block {
		t.Fatal(s, i)
	}
}

func size(t *testing.T, f *os.File) int64 {
	t.Helper()
	i, err := f.Stat()
	ok(t, err)
	return i.Size()
}

func TestOnlyGrowingNeedsRoom(t *testing.T) {
	c, f := bare(t)
	c.Set(Fault{Grows: true, From: 1, Err: syscall.ENOSPC})
	put(t, f, "bbbb", block)
	ok(t, f.Sync())
	_, err := f.WriteAt([]byte("bb"), 2*block-1)
	if _, create := os.Create(f.Name() + "2"); !errors.Is(err, syscall.ENOSPC) || !errors.Is(create, syscall.ENOSPC) {
		t.Fatal(err, create)
	}
}

func TestCountsRoundOutToBlocks(t *testing.T) {
	c, f := bare(t)
	put(t, f, "bb", block-1)
	put(t, f, "b", 1)
	if got, want := c.Counts()["file"], (Count{3, 2*block + 3, 5 * block, 1}); got != want {
		t.Fatal(got, want)
	}
}

func TestAFlushCanBeHeld(t *testing.T) {
	c, f := bare(t)
	gate, done := c.Hold("file"), make(chan error)
	go func() { done <- f.Sync() }()
	if path := <-gate.Arrived; path != "file" {
		t.Fatal(path)
	}
	select {
	case <-done:
		t.Fatal("it went through")
	default:
	}
	gate.Open()
	ok(t, <-done)
}

// bbolt maps its file shared and reads there what it wrote through the file.
func TestAFileCanBeMapped(t *testing.T) {
	c, _ := bare(t)
	got, err := run[string]("map", orders{Dir: filepath.Dir(c.store)})
	if ok(t, err); got != "" {
		t.Fatal(got)
	}
}

// mapped runs in a child.
func mapped(o orders) any {
	f, err := os.OpenFile(filepath.Join(o.Dir, "file"), os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 2*block, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err.Error()
	}
	before := b[block]
	if _, err := f.WriteAt([]byte("bb"), block); err != nil {
		return err.Error()
	}
	if before != 'a' || !bytes.HasPrefix(b[block:], []byte("bba")) {
		return "the mapping shows " + string(b[block:block+4])
	}
	return ""
}
