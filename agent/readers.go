package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"station-agent/station"
	"station-agent/station/codec"
	"station-agent/station/evdev"
	"station-agent/station/presence"
	"station-agent/station/serial"
)

// fill sets what nobody set: what the reader's makers did.
func (r *readerConfig) fill() {
	r.Protocol = cmp.Or(r.Protocol, "line")
	p, err := codec.Find(r.Protocol)
	if err != nil { // which check says
		p, _ = codec.Find("line")
	}
	r.Kind = cmp.Or(r.Kind, string(kindOf(p)))
	r.Baud = cmp.Or(r.Baud, p.Baud)
	r.Parity = cmp.Or(r.Parity, "none")
	r.Role = cmp.Or(r.Role, string(station.AnyRole))
	r.Layout = cmp.Or(r.Layout, "us")
	r.Idle = cmp.Or(r.Idle, r.usualIdle())
	r.MinReads = cmp.Or(r.MinReads, p.Reads)
	if r.RSSI == nil {
		r.RSSI = []rssiLimit{}
	}
}

// types tells whether the reader is a keyboard to the kernel.
func (r readerConfig) types() bool { return strings.HasPrefix(r.Device, "/dev/input/") }

// usualIdle is how long a device of that kind may be silent within a code.
func (r readerConfig) usualIdle() duration {
	switch {
	case !r.types():
		return "80ms"
	case r.Kind == string(station.Keypad):
		return "10s"
	default:
		return "100ms"
	}
}

func (c *config) checkReaders(r report) {
	if len(c.Readers) == 0 {
		r("reader", errors.New("is missing: a station without a reader can't pack; add a [[reader]] table"))
	}
	seen := map[string]bool{}
	for i, rd := range c.Readers {
		at := fmt.Sprintf("reader[%d].", i)
		if r.need(at+"name", rd.Name) && seen["name "+rd.Name] {
			r(at+"name", fmt.Errorf("%q is the name of an earlier reader too", rd.Name))
		}
		if r.need(at+"device", rd.Device) {
			r.absolute(at+"device", rd.Device)
			if seen["device "+rd.Device] {
				r(at+"device", fmt.Errorf("%q is the device of an earlier reader too", rd.Device))
			}
		}
		seen["name "+rd.Name], seen["device "+rd.Device] = true, true
		rd.check(r, at)
	}
	c.checkRoles(r)
}

func (c *readerConfig) check(r report, at string) {
	if !slices.Contains([]int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}, c.Baud) {
		r(at+"baud", fmt.Errorf("%d is no standard rate, such as 9600 or 115200", c.Baud))
	}
	r.oneOf(at+"kind", c.Kind, string(station.Barcode), string(station.RFID), string(station.Buttons), string(station.Keypad))
	switch {
	case c.Kind == string(station.Keypad) && !c.types():
		r(at+"kind", errors.New("keypad is for a device below /dev/input"))
	case c.Kind == string(station.Buttons) && c.types():
		r(at+"kind", errors.New("buttons is for a serial port: add a [[button]] for each push button"))
	}
	if err := (evdev.Config{Layout: c.Layout}).Check(); err != nil {
		r(at+"layout", err)
	}
	r.oneOf(at+"parity", c.Parity, "none", "even", "odd")
	longest := 2 * time.Second
	if c.Kind == string(station.Keypad) {
		longest = time.Minute
	}
	r.between(at+"idle", c.Idle, 10*time.Millisecond, longest)
	p, err := codec.Find(c.Protocol)
	switch {
	case err != nil:
		r(at+"protocol", err)
	case c.types() && c.Protocol != "line":
		r(at+"protocol", fmt.Errorf("%q can't be: a device below /dev/input types lines, which is protocol \"line\"", c.Protocol))
	case p.Radio && c.Kind != string(station.RFID):
		r(at+"kind", fmt.Errorf("%q can't be: protocol %q reads tags again and again, which is kind \"rfid\"", c.Kind, c.Protocol))
	case p.Radio && c.Prefix != "":
		r(at+"prefix", fmt.Errorf("%q can't be: protocol %q has none", c.Prefix, c.Protocol))
	}
	if c.MinReads < 1 || c.MinReads > presence.MaxReads {
		r(at+"min_reads", fmt.Errorf("%d is not between 1 and %d", c.MinReads, presence.MaxReads))
	}
	if c.Kind != string(station.RFID) && !p.Radio && (c.MinReads > 1 || len(c.RSSI) > 0) {
		r(at+"min_reads", errors.New("and rssi are for readers of kind \"rfid\": leave them out"))
	}
	c.checkAsked(r, at, p)
	seen := map[int]bool{}
	for _, l := range c.RSSI {
		antenna, _, err := l.value()
		if err == nil && seen[antenna] {
			err = fmt.Errorf("%q: this antenna has an earlier limit", string(l))
		}
		if seen[antenna] = true; err != nil {
			r(at+"rssi", err)
		}
	}
}

// rssiLimit is how strong a sight must be, to come and to stay: "-55/-60" at all antennas, "2:-50/-56" at antenna 2.
type rssiLimit string

// value reads it; antenna 0 stands for all that have no limit of their own.
func (l rssiLimit) value() (antenna int, limit presence.Limit, err error) {
	number, rest, own := strings.Cut(string(l), ":")
	if !own {
		number, rest = "0", number
	}
	come, stay, _ := strings.Cut(rest, "/")
	var faults [3]error
	antenna, faults[0] = strconv.Atoi(number)
	limit.Come, faults[1] = strconv.Atoi(come)
	limit.Stay, faults[2] = strconv.Atoi(stay)
	if errors.Join(faults[:]...) != nil || limit.Stay > limit.Come || own && antenna < 1 {
		return antenna, limit, fmt.Errorf("%q is no limit: write COME/STAY, such as \"-55/-60\", or ANTENNA:COME/STAY; it takes as much to come as to stay or more", string(l))
	}
	return antenna, limit, nil
}

// presence is when a tag comes onto an antenna and leaves it.
func (c *config) presence() presence.Config {
	p := presence.Config{Gone: c.Packing.GoneAfter.value(), Readers: map[string]presence.Reader{}}
	for _, rd := range c.Readers {
		r := presence.Reader{Reads: rd.MinReads, Antennas: map[int]presence.Limit{}}
		for _, l := range rd.RSSI {
			antenna, limit, _ := l.value() // it was checked
			if antenna == 0 {
				r.Limit = limit
			} else {
				r.Antennas[antenna] = limit
			}
		}
		p.Readers[rd.Name] = r
	}
	return p
}

// damage counts what came damaged from each reader.
type damage []*readerDamage

// readerDamage is what came damaged from one reader.
type readerDamage struct {
	name   string
	frames atomic.Uint64
	silent atomic.Uint64
}

// readerTrouble is readerDamage as it is told.
type readerTrouble struct {
	Reader  string `json:"reader"`
	Damaged uint64 `json:"damaged_frames"` // since the agent started; noise between frames counts too
	Silent  uint64 `json:"silences"`       // how often it stopped answering since then, and was set up again
}

// frames counts what came damaged from one reader.
func (d damage) frames(reader string) uint64 {
	for _, r := range d {
		if r.name == reader {
			return r.frames.Load()
		}
	}
	return 0
}

// list tells of the readers from which anything came damaged, or nothing when they were asked.
func (d damage) list() []readerTrouble {
	list := []readerTrouble{}
	for _, r := range d {
		if t := (readerTrouble{r.name, r.frames.Load(), r.silent.Load()}); t.Damaged > 0 || t.Silent > 0 {
			list = append(list, t)
		}
	}
	return list
}

func (p *parts) addReaders() error {
	rules, err := p.cfg.rules()
	if err != nil {
		return err
	}
	p.reads = newReads(p.cfg.Packing.GoneAfter.value(), rules)
	for _, r := range p.cfg.Readers {
		cond := p.board.condition("reader " + r.Name)
		if r.types() {
			keyboard := station.Keyboard{Port: evdev.Config{Name: r.Name, Device: r.Device, Layout: r.Layout, Gap: r.Idle.value()},
				Prefix: r.Prefix, Kind: station.Kind(r.Kind), Saw: p.reads.saw, Tape: p.tape}
			p.add(runFunc(func(ctx context.Context) error { return keyboard.Run(ctx, p.bench.Reads(), cond) }))
			continue
		}
		port := serial.Config{Name: r.Name, Device: r.Device, Baud: r.Baud, Parity: r.Parity, Idle: r.Idle.value()}
		reader := station.Reader{Port: port, Protocol: r.Protocol, Prefix: r.Prefix, Kind: station.Kind(r.Kind),
			Settings: r.settings(), Saw: p.reads.saw, Tape: p.tape}
		d := &readerDamage{name: r.Name}
		p.damage, reader.Damaged, reader.Silent = append(p.damage, d), d.frames.Store, d.silent.Store
		p.add(runFunc(func(ctx context.Context) error { return reader.Run(ctx, p.bench.Reads(), cond) }))
	}
	return nil
}
