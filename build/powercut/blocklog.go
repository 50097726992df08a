package powercut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// write is one entry of QEMU's log. The log is that of the kernel's dm-log-writes, all numbers little-endian 64 bit but the
// sector size:
//
//	sector 0     magic, version, number of entries (right only after a clean end), sector size u32
//	then         sector on the card, number of sectors, flags, length of inline data; filled up to a sector
//	             the data
//	and so on, up to a header of zeros
type write struct {
	at    int64  // byte on the card
	data  []byte // nothing for a flush
	flush bool   // all that was written before is on the card
	end   int64  // of the entry in the log
}

const (
	sector   = 512
	logMagic = 0x6a736677736872

	flagFlush   = 1 << 0
	flagFUA     = 1 << 1
	flagDiscard = 1 << 2
)

// readLog reads the entries of a log. An entry that was written through (FUA) counts as a write and a flush: the guest
// only relies on its own bytes, but QEMU flushes all.
func readLog(name string) ([]write, error) {
	log, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	number := func(at int64) int64 { return int64(binary.LittleEndian.Uint64(log[at:])) }
	if len(log) < sector || number(0) != logMagic || binary.LittleEndian.Uint32(log[24:]) != sector {
		return nil, errors.New("this is no log of writes")
	}
	var writes []write
	for at := int64(sector); at+sector <= int64(len(log)); {
		start, sectors, flags := number(at), number(at+8), number(at+16)
		if sectors == 0 && flags == 0 {
			break
		}
		if flags&flagDiscard != 0 {
			return nil, fmt.Errorf("entry %d throws sectors away: mount the card without that", len(writes))
		}
		data := at + sector
		at = data + sectors*sector
		if at > int64(len(log)) {
			return nil, fmt.Errorf("entry %d is cut short", len(writes))
		}
		writes = append(writes, write{start * sector, log[data:at], flags&(flagFlush|flagFUA) != 0, at})
	}
	return writes, nil
}
