package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
)

// TestStatus asks a served status in both forms, over a socket that a killed agent left behind.
func TestStatus(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "agent.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	left, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	if _, errs, code := command(t, "status", "--socket", socket); code != exitFailed || !strings.Contains(errs, "is it running") {
		t.Errorf("nobody there: %d %s", code, errs)
	}

	b := newBoard(slog.New(slog.DiscardHandler))
	cond := b.condition("status socket")
	ago, until, hot, yes, room := 3.0, 7200.0, 61.2, true, int64(3<<30)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(func(w http.ResponseWriter, _ *http.Request) error {
		return writeJSON(w, status{
			Health: message.Health{Version: "1.2.3", LastScanS: &ago, QueueRecords: 12, OldestUnsentS: 90, Unanchored: 9,
				Anchoring: message.Anchoring{Pending: 3, Superseded: 1, Mismatch: 2, Missing: 3}, Unverified: 7, DeadLetters: 4, OldestDeadS: 7200,
				System: "Raspberry Pi 4", BootS: 60, TemperatureC: &hot, Undervoltage: &yes, DiskFreeBytes: &room, WrittenTodayBytes: &room,
				Readers:  []message.Reader{{Name: "scanner", OK: true, LastReadS: &ago}, {Name: "old mat"}},
				Problems: []message.Problem{{Name: "mysql", LeftS: &until, Since: time.Now(), Text: "connect: refused", Count: 4}}},
			State: message.Alert, Environment: "test", Station: "7d6f", Name: "bench 1", OpenPackage: "PKG-1", OpenItems: 2, CertyoKey: "/etc/next",
			Parked:  []record.Parked{{Intent: record.Intent{ID: 7, Hash: "abc", Package: record.Package("PKG-1")}, Outcome: record.Outcome{Result: record.OtherValue, Text: "is in PKG-2"}}},
			Dropped: 5, CapturePaused: true, RecordBytes: 3 << 20, Damage: []readerTrouble{{"mat", 12, 3}}, Lamps: &lamps{"call-back", true, []string{"green at GPIO17"}}, Losses: []store.Loss{{File: "records/1.db", What: "a page can't be read: 12 records are lost", Count: 12}},
		})
	}))
	control := http.NewServeMux()
	serve(t, &socketServer{socket, lookMode, mux, "status.socket", cond})
	serve(t, &socketServer{controlBeside(socket), controlMode, control, "status.control_socket", b.condition("control socket")})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, _, code := command(t, "status", "--socket", socket); code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no answer", b.problems())
		}
	}
	out, errs, code := command(t, "status", "--socket", socket)
	for _, want := range []string{"alert", "mysql", "connect: refused", `abc for package "PKG-1": conflict is in PKG-2`, "PKG-1 is open, items in it: 2", "3s ago", "12 records unsent (oldest 1m30s)", "the key in use is that in /etc/next", "9 not anchored yet, 2 differ at Certyo, 3 missing there, 1 superseded, 4 dead letters (oldest 2h0m0s)", "5 dead letters dropped for want of room",
		"7 given up unverified", "4 times, 2h0m0s left: connect", "scanner: ready, last read 3s ago", "old mat: away, last read never",
		"Raspberry Pi 4, up 1m0s, 3072.0 MiB free on the card, 3072.0 MiB written today, 61 °C, undervoltage since boot",
		"mat: 12 damaged frames since the start", "mat: it stopped answering 3 times", "show call-back, muted; lost: green at GPIO17", "paused", "3.0 MiB of records", "records/1.db: a page can't be read: 12 records are lost"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("status lacks %q: %d %s%s", want, code, out, errs)
		}
	}
	out, _, _ = command(t, "status", "--json", "--socket", socket)
	var back map[string]any
	if err := json.Unmarshal([]byte(out), &back); err != nil || back["state"] != "alert" || back["queue_records"] != float64(12) {
		t.Errorf("json: %v %s", err, out)
	}
	for path, mode := range map[string]os.FileMode{socket: 0o660, controlBeside(socket): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("socket %s: %v %v", path, info, err)
		}
	}
}

// TestDamageIsToldOfReadersThatHaveAny.
func TestDamageIsToldOfReadersThatHaveAny(t *testing.T) {
	d := damage{{name: "quiet"}, {name: "mat"}}
	if list := d.list(); list == nil || len(list) != 0 {
		t.Errorf("%v", list)
	}
	d[0].silent.Store(2)
	if list := d.list(); len(list) != 1 || list[0] != (readerTrouble{"quiet", 0, 2}) {
		t.Errorf("%v", list)
	}
	d[0].silent.Store(0)
	d[1].frames.Store(1 << 40)
	if list := d.list(); len(list) != 1 || list[0] != (readerTrouble{"mat", 1 << 40, 0}) {
		t.Errorf("%v", list)
	}
}

// serve runs a socket for the time of the test.
func serve(t *testing.T, s *socketServer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// TestKeeperSavesWhatChanged holds that the rows survive a restart and that the card is spared.
func TestKeeperSavesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	clk, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Config{Dir: dir, Identity: store.Identity{Environment: "test", Station: "s", Database: "d"}, Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	newKeeper := func() *keeper {
		return &keeper{picture: station.NewPicture(time.Second), store: st, inquiries: newInquiries(func() {}),
			tags: tags{made: func() time.Time { return time.Time{} }}, cond: newBoard(slog.New(slog.DiscardHandler)).condition("picture")}
	}
	k := newKeeper()
	began := time.Now()
	near := func(at, want time.Time) bool { return at.Sub(want).Abs() < time.Millisecond }
	k.seen(record.Reading{Here: []record.Row{{Hash: "b"}, {Hash: "a", Package: record.Package("P")}}, Began: began})
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	p, err := st.DB.LoadPicture()
	rows, at := p.Rows, p.At
	if err != nil || len(rows) != 2 || rows[0].Hash != "a" || !near(at, began) {
		t.Fatalf("%v %v %v", rows, at, err)
	}
	k.seen(record.Reading{Here: []record.Row{{Hash: "a", Package: record.Package("P")}, {Hash: "b"}}, Began: began.Add(time.Second)})
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	if p, _ := st.DB.LoadPicture(); !near(p.At, began) {
		t.Error("the same rows were written to the card again")
	}
	again := newKeeper()
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	if row, here := again.picture.Lookup("a"); !here || row.Package == nil || again.picture.Online(time.Now()) {
		t.Error("the rows from the card are not in the picture, or pass for fresh")
	}
}
