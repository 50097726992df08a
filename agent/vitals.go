package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

const (
	vitalsEvery = 10 * time.Second
	powerStands = time.Hour            // a supply that was too low for a moment is a problem for so long
	cardPace    = 10 * time.Minute     // between two looks at how the card fills
	cardLooks   = 24 * 6               // that are remembered: a day
	cardLeast   = 64 << 20             // bytes that are little, however slowly the card fills
	cardKept    = 32 << 20             // bytes with which capture pauses
	cardSoon    = 3 * 24 * time.Hour   // a card that is full so soon is a problem
	cardCalm    = 5 * 24 * time.Hour   // and one that isn't for so long is none any more
	cardWhile   = 30 * time.Minute     // of looking before anything is foretold
	farAway     = 365 * 24 * time.Hour // who cares
)

// vitals looks every ten seconds at what may have to be waited for, the card and the board, so that health asks nobody. What the
// board doesn't tell stays unknown.
type vitals struct {
	root, folder string // where /proc and /sys begin, and the store's folder
	now          func() record.Stamp
	free         func(path string) (int64, error)
	card         *condition
	power, heat  *condition

	day     string // of the count of written bytes
	before  int64  // bytes that were written before it began
	looks   []cardLook
	worries map[*condition]worry

	mu    sync.Mutex
	known message.Health // the fields that are filled in here
}

type cardLook struct {
	mono time.Duration
	free int64
}

// worry is when something of the power supply was seen last.
type worry struct {
	sticky bool
	until  time.Time
	lost   bool
}

func newVitals(root, folder string, now func() record.Stamp, b *board) *vitals {
	v := &vitals{root: root, folder: folder, now: now, free: freeBytes, worries: map[*condition]worry{},
		card: b.condition("room on the card"), power: b.condition("power supply"), heat: b.condition("heat")}
	v.known.System = v.system()
	return v
}

// Run looks until ctx ends.
func (v *vitals) Run(ctx context.Context) error {
	tick := time.NewTicker(vitalsEvery)
	defer tick.Stop()
	for {
		v.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// fill sets what was seen last.
func (v *vitals) fill(h *message.Health) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h.System, h.StoreBytes, h.DiskFreeBytes, h.WrittenTodayBytes = v.known.System, v.known.StoreBytes, v.known.DiskFreeBytes, v.known.WrittenTodayBytes
	h.TemperatureC, h.Undervoltage, h.Throttled = v.known.TemperatureC, v.known.Undervoltage, v.known.Throttled
}

func (v *vitals) look() {
	k := message.Health{System: v.known.System, WrittenTodayBytes: v.writtenToday(), TemperatureC: v.temperature()}
	for _, n := range usage(v.folder) {
		k.StoreBytes += n
	}
	if free, err := v.free(v.folder); err == nil {
		k.DiskFreeBytes = &free
		v.judgeCard(free)
	}
	p := v.powerState()
	k.Undervoltage, k.Throttled = p.low, p.slow
	v.judge(v.power, p.low, p.lowNow, errors.New("the board's supply voltage was too low: cards get damaged by that: use the board's own power supply and a short cable"))
	v.judge(v.heat, p.slow, p.slowNow, errors.New("the processor was slowed down for heat or low voltage: give the board air, and see to its power supply"))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = k
}

// text reads a small file of the kernel; "" if there is none.
func (v *vitals) text(path string) string {
	b, err := os.ReadFile(filepath.Join(v.root, path))
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), "\x00 \n")
}

// system names board, kernel and architecture.
func (v *vitals) system() string {
	return oneLine(cmp.Or(v.text("proc/device-tree/model"), "unknown board") + ", Linux " + cmp.Or(v.text("proc/sys/kernel/osrelease"), "unknown") + ", " + runtime.GOARCH)
}

// temperature is that of the first zone, which is the processor's on a Raspberry Pi: thousandths of a degree.
func (v *vitals) temperature() *float64 {
	n, err := strconv.Atoi(v.text("sys/class/thermal/thermal_zone0/temp"))
	if err != nil {
		return nil
	}
	c := float64(n) / 1000
	return &c
}

// writtenToday counts what the kernel was given for the card, see proc_pid_io(5), since midnight of a trusted clock, or the start.
func (v *vitals) writtenToday() *int64 {
	for line := range strings.Lines(v.text("proc/self/io")) {
		text, ok := strings.CutPrefix(line, "write_bytes:")
		if !ok {
			continue
		}
		all, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return nil
		}
		if now := v.now(); now.Trusted {
			day := now.Wall.Local().Format(time.DateOnly)
			if v.day != "" && day != v.day {
				v.before = all
			}
			v.day = day
		}
		all -= v.before
		return &all
	}
	return nil
}

// powerState is what the board tells of its supply: nil for what it doesn't.
type powerState struct {
	low, slow       *bool // now or since boot
	lowNow, slowNow bool
}

// powerState asks the firmware's driver of the Raspberry Pi's own kernel, else the hwmon driver of every kernel, which knows the
// voltage only. Bits of get_throttled (Raspberry Pi documentation, vcgencmd): 0 low voltage, 1 frequency capped, 2 throttled, 3 soft
// temperature limit, all now; 16 to 19 the same since boot.
func (v *vitals) powerState() (p powerState) {
	const now, ever = 1<<1 | 1<<2 | 1<<3, 1<<17 | 1<<18 | 1<<19
	files, _ := filepath.Glob(filepath.Join(v.root, "sys/devices/platform/soc*/*firmware/get_throttled")) // the pattern is sound
	for _, f := range files {
		b, _ := os.ReadFile(f)
		bits, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(b)), "0x"), 16, 32)
		if err != nil {
			continue
		}
		low, slow := bits&(1|1<<16) != 0, bits&(now|ever) != 0
		return powerState{&low, &slow, bits&1 != 0, bits&now != 0}
	}
	names, _ := filepath.Glob(filepath.Join(v.root, "sys/class/hwmon/hwmon*/name"))
	for _, name := range names {
		if b, _ := os.ReadFile(name); strings.TrimSpace(string(b)) != "rpi_volt" {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(name), "in0_lcrit_alarm")); err == nil {
			p.lowNow = strings.TrimSpace(string(b)) == "1"
			low := p.lowNow
			p.low = &low
		}
	}
	return p
}

// judge makes a problem of what is now, or came between two looks, and lets it stand for a while.
func (v *vitals) judge(c *condition, ever *bool, now bool, problem error) {
	w := v.worries[c]
	at := time.Now()
	if now || ever != nil && *ever && !w.sticky {
		w.until = at.Add(powerStands)
	}
	w.sticky = ever != nil && *ever
	switch stands := at.Before(w.until); {
	case stands && !w.lost:
		c.Lost(problem)
		w.lost = true
	case !stands && w.lost:
		c.Back()
		w.lost = false
	}
	v.worries[c] = w
}

// cardFilling is a warning with the time that is left.
type cardFilling struct {
	error
	left time.Duration
}

// Left is how long the card lasts at the pace of the last day.
func (c cardFilling) Left() time.Duration { return c.left }

// judgeCard foretells when the card is full: from how it filled during the last day, or the half hour that is known at least.
func (v *vitals) judgeCard(free int64) {
	now := v.now().Mono
	if n := len(v.looks); n == 0 || now-v.looks[n-1].mono >= cardPace {
		v.looks = append(v.looks, cardLook{now, free})
		v.looks = v.looks[max(0, len(v.looks)-cardLooks):]
	} else if v.worries[v.card].lost == (free < cardLeast) {
		return // nothing new
	}
	left := v.left(now, free)
	w := v.worries[v.card]
	soon := free < cardLeast || left < cardSoon || w.lost && left < cardCalm
	switch {
	case soon && left < farAway:
		v.card.Lost(cardFilling{fmt.Errorf("the card has %d MiB left and will be full in %v at the pace of now: make room, or see why records don't go out",
			free>>20, left.Round(time.Minute)), left})
	case soon:
		v.card.Lost(fmt.Errorf("the card has %d MiB left: make room: capture pauses at %d", free>>20, cardKept>>20))
	case w.lost:
		v.card.Back()
	}
	w.lost = soon
	v.worries[v.card] = w
}

// left is how long the card lasts.
func (v *vitals) left(now time.Duration, free int64) time.Duration {
	first := v.looks[0]
	used, while := first.free-free, now-first.mono
	if used <= 0 || while < cardWhile {
		return farAway
	}
	seconds := float64(max(0, free-cardKept)) / (float64(used) / while.Seconds())
	return time.Duration(min(seconds, farAway.Seconds()) * float64(time.Second))
}

// freeBytes is what the agent's user may still write to the card.
func freeBytes(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(s.Bavail) * int64(s.Frsize), nil
}
