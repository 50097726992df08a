package vm

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/store/record"
)

// TestVMArm64 packs on a 64-bit machine; it is the short form for all.
func TestVMArm64(t *testing.T) { packs(t, "arm64") }

// TestVMArmv7 packs on a 32-bit one.
func TestVMArmv7(t *testing.T) {
	if !full() {
		t.Skip("only arm64 is booted: all machines are with VM=full (make vm)")
	}
	packs(t, "armv7")
}

// TestVMRaspi0 packs on an ARMv6 without a network or a clock.
func TestVMRaspi0(t *testing.T) {
	if !full() {
		t.Skip("only arm64 is booted: all machines are with VM=full (make vm)")
	}
	c := bed.Config{Dir: "/station", Environment: "test", Station: bed.Station, Device: UART, MySQL: "127.0.0.1:9", User: "packing",
		Password: "password", CaptureMode: "auto", Certyo: "http://127.0.0.1:9", Linger: "100ms", VerifyAfter: `["1s"]`,
		Broker: "tcp://127.0.0.1:9", HealthEvery: "1s", Refresh: "1s", Packing: bed.Packing{CommandPrefix: bed.CommandPrefix, CoolDown: "1ms"},
		Tables: settings(), Secrets: map[string]string{"password": "none", "certyo-key": "none"}}
	r := boot(t, "raspi0", files(t, c))
	r.tested()
	r.plug()
	r.alive()
	r.parcels(func(n int) (label, item string) { return fmt.Sprintf("PKG-2026-%04d", n), bed.Hash(n) },
		string(record.Unverified), "green 1, blue 2")
	r.misled()
	r.stopped()
}

// files writes what the agent's folder holds.
func files(t *testing.T, c bed.Config) map[string]string {
	t.Helper()
	dir := t.TempDir()
	text, err := c.Render()
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{"agent.toml": string(text)}
	for name, secret := range c.Secrets {
		contents[name] = secret
	}
	list := map[string]string{}
	for name, text := range contents {
		list[name] = filepath.Join(dir, name)
		if err := os.WriteFile(list[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// parcels packs until the lamps have shown each step in its rhythm, three parcels at most. accepted is the verdict on an
// item, and its flashes.
func (r *rig) parcels(next func(n int) (label, item string), accepted, flashes string) {
	r.t.Helper()
	missing := map[string]bool{"opened": true, "accepted": true, "closed": true, "rejected": true}
	for n := 1; len(missing) > 0; n++ {
		if n > 3 {
			r.fail("the lamps to show the rhythm of each step", fmt.Sprint("not so, in any parcel: ", missing))
		}
		check := func(step string, mark int, want string) {
			if r.flashes(mark, want) {
				delete(missing, step)
			}
			if step != "rejected" { // which stays red until the next scan
				r.show(r.lamps.Mark(), "the end of "+step, func(s Showing) bool { return s.Now()&colours == 0 })
			}
		}
		label, item := next(n)
		mark := r.lamps.Mark()
		r.scan(item, "no package open")
		check("rejected", mark, "red 2, blue 1") // and stays red
		mark = r.lamps.Mark()
		r.scan(label, "opened")
		check("opened", mark, "green 2")
		mark = r.lamps.Mark()
		r.scan(item, accepted)
		check("accepted", mark, flashes)
		mark = r.lamps.Mark()
		r.press("closed")
		check("closed", mark, "green 1, blue 1") // one item
	}
}

// packs lets a station with all its surroundings work.
func packs(t *testing.T, name string) {
	b, err := bed.New(t.Context(), bed.Options{Dir: t.TempDir(), DB: servers.MariaDB(t), Broker: servers.Broker(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	certyo, issuer := withTLS(t, b.Certyo.Addr())
	c := b.Config
	c.Dir, c.Device = "/station", USBReader
	c.MySQL, c.Broker, c.Certyo = fromGuest(b.MySQL.Addr()), "tcp://"+fromGuest(b.Broker.Addr()), "https://"+fromGuest(certyo)
	c.CertyoCA, c.Secrets["issuer"] = "issuer", issuer
	c.Tables = settings() + fmt.Sprintf("[[reader]]\nname = \"keys\"\ndevice = %q\nidle = \"2s\"\n", USBKeyboard)
	r := boot(t, name, files(t, c))
	r.plug()
	r.tested()
	for _, what := range []string{"reader scanner", "reader keys", "button close at GPIO5", "mysql", "broker", "capture"} {
		r.is(0, what, "up", "recovered")
	}
	r.alive()
	hashes, err := b.Stock(r.ctx, 1, 8)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the agent to know what is on its station", func() (bool, any) {
		status := r.told("status", "status").Msg
		return strings.Contains(status, `"items_here":8,`), status
	})

	label := func(n int) string { return fmt.Sprintf("PKG-2026-%04d", n) }
	packed := map[string]string{}
	r.parcels(func(n int) (string, string) {
		packed[hashes[n]] = label(n)
		return label(n), hashes[n]
	}, "accepted", "green 1")
	r.misled()

	// The reader is unplugged, another device takes its name, and it comes back under the next one.
	mark, lamps := r.Log.Mark(), r.lamps.Mark()
	r.reader.Close()
	r.is(mark, "reader scanner", "lost")
	r.show(lamps, "a fault, red and yellow in turn", func(s Showing) bool {
		n := 0
		for i := 1; i < len(s); i++ {
			if s[i]&colours == Yellow && strings.Contains(s[:i].Flashes(Red), "red") {
				n++
			}
		}
		return n >= 2
	})
	r.said(mark, "the reader's link to go", func(l bed.Line) bool { return from(l, "gone: "+USBReader) })
	mark = r.Log.Mark()
	r.socket("other")
	r.said(mark, "another device on ttyUSB0", func(l bed.Line) bool { return strings.Contains(l.Msg, "_OTHER-if00-port0: ../../ttyUSB0") })
	r.plug()
	r.said(mark, "the reader on ttyUSB1", func(l bed.Line) bool { return strings.Contains(l.Msg, USBReader+": ../../ttyUSB1") })
	packed[hashes[5]] = label(5)
	for opened := r.Log.Mark(); ; { // a code is lost while the agent has not opened the port yet
		if _, err := r.reader.Write([]byte(label(5) + "\r")); err != nil {
			r.fail("scan "+label(5), err)
		}
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		_, err := r.Machine.Wait(ctx, opened, func(l bed.Line) bool { return l.Msg == "verdict" && l.Code == label(5) })
		if cancel(); err == nil || r.ctx.Err() != nil {
			r.verdict(opened, label(5), "opened")
			break
		}
	}
	r.is(mark, "reader scanner", "recovered") // by the first frame
	r.scan(hashes[5], "accepted")
	r.alive() // and no fault

	// A label is typed, and nobody else reads along.
	mark = r.Log.Mark()
	if err := r.Monitor.Type(label(6)); err != nil {
		r.fail("typing", err)
	}
	r.verdict(mark, label(6), "opened")
	if l := r.told("grab "+USBKeyboard, "grab"); !strings.Contains(l.Msg, "busy") {
		r.fail("the keyboard to be the agent's alone", l.Msg)
	}
	packed[hashes[6]] = label(6)
	r.scan(hashes[6], "accepted")
	r.press("closed")

	for hash, want := range packed {
		r.until("row "+hash+" to show "+want, func() (bool, any) {
			p, err := b.Bridge.Package(r.ctx, hash)
			if err != nil || p == nil {
				return false, err
			}
			return *p == want, *p
		})
	}
	r.until("each change of a row to be anchored once", func() (bool, any) {
		report, changes, err := b.CheckRecords(r.ctx)
		return err == nil && report.Clean() && len(changes) > len(packed), fmt.Sprint(report, report.Faults, report.Detail, err)
	})
	r.stopped()
}

// fromGuest is how the guest reaches a server of this host.
func fromGuest(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(hostFromGuest, port)
}
