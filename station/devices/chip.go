package devices

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The requests of linux/gpio.h, and the bit of a line that is held.
const (
	getChipInfo = 0x8044b401
	getLineInfo = 0xc100b405 // v2, since Linux 5.10
	lineUsed    = 1 << 0
	maxLines    = 1024
)

// chipInfo is struct gpiochip_info.
type chipInfo struct {
	name, label [32]byte
	lines       uint32
}

// lineInfo is struct gpio_v2_line_info; attributes and padding aren't looked at. Flags are read as bytes: their alignment
// differs by machine, their place doesn't.
type lineInfo struct {
	name, consumer [32]byte
	offset, attrs  uint32
	flags          [8]byte
	rest           [176]byte
}

// AskChip asks a GPIO chip for its label and lines. It requests no line: nothing changes by it.
func AskChip(path string) (label string, lines []Line, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	var chip chipInfo
	if err := control(f, getChipInfo, unsafe.Pointer(&chip)); err != nil {
		return "", nil, fmt.Errorf("ask chip %s: %w", path, err)
	}
	for n := range min(chip.lines, maxLines) {
		info := lineInfo{offset: n}
		if err := control(f, getLineInfo, unsafe.Pointer(&info)); err != nil {
			return text(chip.label), lines, fmt.Errorf("ask chip %s for line %d: %w", path, n, err)
		}
		l := Line{Offset: int(n), Name: text(info.name)}
		if binary.NativeEndian.Uint64(info.flags[:])&lineUsed != 0 {
			if l.User = text(info.consumer); l.User == "" {
				l.User = "the kernel"
			}
		}
		lines = append(lines, l)
	}
	return text(chip.label), lines, nil
}

func control(f *os.File, request uintptr, arg unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := conn.Control(func(fd uintptr) { _, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// text is a C string.
func text(b [32]byte) string {
	s, _, _ := bytes.Cut(b[:], []byte{0})
	return string(bytes.ToValidUTF8(s, []byte("?")))
}
