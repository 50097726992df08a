package station

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/station/codec"
	"station-agent/station/serial"
	"station-agent/station/stationtest"
	"station-agent/store/record"
)

// heardOf is a Condition whose news a test waits for.
type heardOf chan string

func (c heardOf) Lost(err error) { c <- err.Error() }
func (c heardOf) Back()          { c <- "" }

// TestAReaderIsAskedAtItsPort plays a module at a pseudo-terminal: refused first, then reading, silent, and off at the end.
func TestAReaderIsAskedAtItsPort(t *testing.T) {
	for _, protocol := range []string{"r200", "uhfreader18", "uhfreader288", "r2000"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s, err := stationtest.NewScanner(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			m := stationtest.NewModule(protocol)
			m.Lay([]byte{0x30, 0x74, 0x25, 0x7b, 0xf7, 0x19, 0x4e, 0x40, 0, 0, 0x1a, 0x85}, 0x40)
			m.Set(func(m *stationtest.Module) { m.Most = 9 })
			stop := make(chan struct{})
			var done sync.WaitGroup
			done.Go(func() { s.Play(m, stop) })
			defer done.Wait()
			defer close(stop)

			reads, cond := make(chan Read, 1), make(heardOf, 16)
			ctx, cancel := context.WithCancel(t.Context())
			dBm := 10.0
			r := Reader{Port: serial.Config{Name: "mat", Device: s.Path(), Baud: 115200}, Protocol: protocol, Kind: RFID,
				Settings: &codec.Settings{Power: &dBm, Region: codec.Europe}}
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx, reads, cond) }()
			if text := <-cond; !strings.HasPrefix(text, "reader mat: the reader refuses power_dbm 10 (status ") {
				t.Fatal(text)
			}
			m.Set(func(m *stationtest.Module) { m.Most = 3000 })
			until := func(what string, is func(Read) bool) Read {
				for late := time.After(20 * time.Second); ; {
					select {
					case r := <-reads:
						if is(r) {
							return r
						}
					case <-cond:
					case <-late:
						t.Fatal("never " + what)
					}
				}
			}
			until("back", func(r Read) bool { return r.Back })
			seen := until("a tag", func(r Read) bool { return r.Code == "3074257BF7194E4000001A85" })
			m.Set(func(m *stationtest.Module) { m.Dead = true })
			lost := until("lost", func(r Read) bool { return r.Lost })
			if lost.At.Before(seen.At) || time.Since(lost.At) < time.Second {
				t.Errorf("lost %v after the first sight, told %v later: it has been blind since its last answer", lost.At.Sub(seen.At), time.Since(lost.At))
			}
			m.Reset()
			m.Set(func(m *stationtest.Module) { m.Dead = false })
			until("back again", func(r Read) bool { return r.Back })
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			for late := time.Now().Add(20 * time.Second); m.Streams(); time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("the antenna is still on")
				}
			}
			m.Set(func(m *stationtest.Module) {
				if m.Power < 0 || m.Region < 0 {
					t.Errorf("after a restart: power %d, region %d", m.Power, m.Region)
				}
			})
		})
	}
}

// TestASettingThatCannotBeIsAnError that ends the program: the configuration is wrong.
func TestASettingThatCannotBeIsAnError(t *testing.T) {
	err := Reader{Port: serial.Config{Name: "r", Device: "/nowhere"}, Protocol: "r2000", Settings: &codec.Settings{Region: "moon"}}.Run(t.Context(), nil, quiet{})
	if record.ClassOf(err) != record.StopHere || !strings.HasPrefix(err.Error(), `reader r: region "moon" is unknown`) {
		t.Error(err)
	}
}
