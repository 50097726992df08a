package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/station"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/message/messagetest"
)

// machineFiles are what a Raspberry Pi 4 shows.
func machineFiles(t *testing.T) (root string) {
	root = t.TempDir()
	for path, text := range map[string]string{
		"proc/device-tree/model":                 "Raspberry Pi 4 Model B Rev 1.4\x00",
		"proc/sys/kernel/osrelease":              "6.12.25+rpt-rpi-v8\n",
		"proc/self/io":                           "rchar: 5\nwrite_bytes: 1000\ncancelled_write_bytes: 7\n",
		"sys/class/thermal/thermal_zone0/temp":   "48312\n",
		"sys/class/hwmon/hwmon0/name":            "cpu_thermal\n",
		"sys/class/hwmon/hwmon1/name":            "rpi_volt\n",
		"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
	} {
		put(t, root, path, text)
	}
	return root
}

func put(t *testing.T, root, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, path), text)
}

const throttled = "sys/devices/platform/soc/soc:firmware/get_throttled"

func TestTheMachineIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, dir := machineFiles(t), t.TempDir()
		put(t, dir, "journal/1.seg", "12345")
		b := newBoard(slog.New(slog.DiscardHandler))
		trusted := true
		v := newVitals(root, dir, func() record.Stamp { return record.Stamp{Wall: time.Now(), Trusted: trusted} }, b)
		v.free = func(string) (int64, error) { return 5 << 30, nil }
		look := func() (h message.Health) {
			v.look()
			v.fill(&h)
			return h
		}
		h := look()
		if !strings.HasPrefix(h.System, "Raspberry Pi 4 Model B Rev 1.4, Linux 6.12.25+rpt-rpi-v8, ") || *h.TemperatureC != 48.312 || h.StoreBytes != 5 ||
			*h.DiskFreeBytes != 5<<30 || *h.WrittenTodayBytes != 1000 || *h.Undervoltage || h.Throttled != nil {
			t.Errorf("%+v", h)
		}
		put(t, root, "proc/self/io", "write_bytes: 3000\n")
		time.Sleep(25 * time.Hour)
		if h := look(); *h.WrittenTodayBytes != 0 {
			t.Errorf("written on the new day: %d", *h.WrittenTodayBytes)
		}
		put(t, root, "proc/self/io", "write_bytes: 3500\n")
		trusted = false
		time.Sleep(25 * time.Hour)
		if h := look(); *h.WrittenTodayBytes != 500 {
			t.Errorf("written since: %d", *h.WrittenTodayBytes)
		}

		put(t, root, throttled, "50005\n") // low and throttled, now and ever
		if h := look(); !*h.Undervoltage || !*h.Throttled || len(b.problems()) != 2 {
			t.Errorf("%+v %+v", h, b.problems())
		}
		put(t, root, throttled, "0x50000")
		time.Sleep(50 * time.Minute)
		if h := look(); !*h.Undervoltage || !*h.Throttled || len(b.problems()) != 2 {
			t.Errorf("it was so for a moment: %+v %+v", h, b.problems())
		}
		time.Sleep(20 * time.Minute)
		if h := look(); !*h.Undervoltage || len(b.problems()) != 0 {
			t.Errorf("an hour later: %+v", b.problems())
		}
		put(t, root, throttled, "0")
		if h := look(); *h.Undervoltage || *h.Throttled {
			t.Errorf("%+v", h)
		}
		put(t, root, throttled, "10000")
		if h := look(); !*h.Undervoltage || *h.Throttled || len(b.problems()) != 1 || b.problems()[0].Code != "undervoltage" {
			t.Errorf("it was low between two looks: %+v %+v", h, b.problems())
		}

		v = newVitals(t.TempDir(), filepath.Join(dir, "none"), v.now, b)
		v.free = func(string) (int64, error) { return 0, errors.New("no card") }
		if h := look(); h.DiskFreeBytes != nil || h.WrittenTodayBytes != nil || h.TemperatureC != nil || h.Undervoltage != nil || h.Throttled != nil || !strings.Contains(h.System, "unknown board") {
			t.Errorf("%+v", h)
		}
		for _, bad := range []string{"", "yes", "-1"} {
			put(t, v.root, throttled, bad)
			put(t, v.root, "proc/self/io", "write_bytes: "+bad+"x\n")
			put(t, v.root, "sys/class/thermal/thermal_zone0/temp", bad)
			if h := look(); h.Undervoltage != nil || h.WrittenTodayBytes != nil || (h.TemperatureC != nil) != (bad == "-1") {
				t.Errorf("%q: %+v", bad, h)
			}
		}
	})
}

// TestACardThatFillsIsForetold holds the time left against the pace.
func TestACardThatFillsIsForetold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(slog.New(slog.DiscardHandler))
		began, free := time.Now(), int64(1<<30)
		v := newVitals(t.TempDir(), t.TempDir(), func() record.Stamp { return record.Stamp{Mono: time.Since(began)} }, b)
		v.free = func(string) (int64, error) { return free, nil }
		hours := func(n, perHour int64) {
			for range n * 360 {
				v.look()
				time.Sleep(10 * time.Second)
				free -= perHour / 360
			}
		}
		hours(24, 1<<20) // lasts forty days
		if p := b.problems(); len(p) != 0 {
			t.Errorf("%+v", p)
		}
		hours(24, 36<<20)
		p := b.problems()
		if len(p) != 1 || p[0].Code != "card_filling" || p[0].LeftS == nil || *p[0].LeftS > 5*3600 || *p[0].LeftS < 2*3600 {
			t.Fatalf("%+v, %d MiB left", p, free>>20)
		}
		free = 1 << 30
		hours(1, 0)
		if p := b.problems(); len(p) != 0 {
			t.Errorf("room was made: %+v", p)
		}
		free = 40 << 20
		v.look()
		if p := b.problems(); len(p) != 1 || !strings.Contains(p[0].Text, "40 MiB") {
			t.Errorf("little is left: %+v", p)
		}
	})
}

// A pace near the bound is one alarm, not many.
func TestACardThatFillsIsSaidOnce(t *testing.T) {
	b := newBoard(quiet())
	now := time.Duration(0)
	v := newVitals(t.TempDir(), t.TempDir(), func() record.Stamp { return record.Stamp{Mono: now} }, b)
	for _, step := range []struct {
		left time.Duration
		lost bool
	}{{4 * 24 * time.Hour, false}, {2 * 24 * time.Hour, true}, {4 * 24 * time.Hour, true}, {6 * 24 * time.Hour, false}, {4 * 24 * time.Hour, false}} {
		const free = 500 << 20
		now += 24 * time.Hour
		v.looks = []cardLook{{now - 24*time.Hour, free + int64(float64(free-cardKept)*24*float64(time.Hour)/float64(step.left))}}
		v.judgeCard(free)
		if lost := len(b.problems()) > 0; lost != step.lost {
			t.Errorf("with %v left: lost %v", step.left, lost)
		}
	}
}

// TestHealthIsWhatItsSchemaSays asks a whole store for it.
func TestHealthIsWhatItsSchemaSays(t *testing.T) {
	p := newPlace(t)
	p.fill(7)
	st := p.open()
	defer st.Close()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	reader := p.cfg.Readers[0].Name
	b := newBoard(quiet())
	b.condition("reader " + reader).Back()
	b.condition("mysql").Lost(errors.New("away"))
	f := &facts{cfg: p.cfg, began: time.Now(), clock: clk, store: st, board: b, rows: station.NewPicture(time.Second), session: st.Session(),
		lag: func() (time.Duration, bool) { return time.Second, true }, ways: func() []message.Way { return nil },
		vitals: newVitals(machineFiles(t), p.cfg.Store.Folder, clk.now, b), reads: newReads(time.Second, station.Rules{}), damage: damage{{name: reader}}}
	f.vitals.look()
	f.reads.saw(record.Tag{Reader: reader})
	f.damage[0].frames.Store(3)
	h := f.health()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	messagetest.Validate(t, message.Place{Environment: "test", Station: "s"}.Topic(message.HealthLeaf), text)
	if r := h.Readers[0]; r.Name != reader || !r.OK || r.LastReadS == nil || r.BadFrames != 3 {
		t.Errorf("%+v", r)
	}
	if h.Session != st.Session() || len(h.Lanes) != 2 || h.Lanes[0].Records != h.QueueRecords || h.BootS == 0 || len(h.Readers) != len(p.cfg.Readers) || h.QueueRecords != 7 || h.StoreBytes == 0 ||
		h.DiskFreeBytes == nil || h.TemperatureC == nil || h.Problems[0].Code != "mysql_away" {
		t.Errorf("%s", text)
	}
}
