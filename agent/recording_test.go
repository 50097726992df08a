package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/station"
	"station-agent/station/stationtest"
	"station-agent/store/record"
)

// output is what a command has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// until waits until it holds a text so often.
func (o *output) until(t *testing.T, text string, times int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); strings.Count(o.String(), text) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", text, o)
		}
	}
}

// during runs f until the function that it gives is called, and joins it.
func during(t *testing.T, f func(ctx context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { f(ctx) })
	end = func() { cancel(); done.Wait() }
	t.Cleanup(end)
	return end
}

func plugged(t *testing.T) *stationtest.Scanner {
	t.Helper()
	s, err := stationtest.NewScanner(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func scan(t *testing.T, s *stationtest.Scanner, codes ...string) {
	t.Helper()
	for _, c := range codes {
		if err := s.Scan(c); err != nil {
			t.Fatal(err)
		}
	}
}

// with changes the configuration of a place.
func (p *place) with(pairs ...string) {
	p.t.Helper()
	text, err := os.ReadFile(p.file)
	if err != nil {
		p.t.Fatal(err)
	}
	write(p.t, p.file, strings.NewReplacer(pairs...).Replace(string(text)))
	if p.cfg, err = loadConfig(p.file); err != nil {
		p.t.Fatal(err)
	}
}

// TestARecordingOfTheRunningAgentRunsAgain has no network: the bench works all the same. A person listens meanwhile.
func TestARecordingOfTheRunningAgentRunsAgain(t *testing.T) {
	p, s := newPlace(t), plugged(t)
	p.with("/dev/serial/by-id/usb-CHANGE", s.Path(), "db.example.com:3306", "127.0.0.1:1", `#url = "https://www.certyos.com"`, `url = "http://127.0.0.1:1"`,
		`["ssl://mqtt.example.com:8883"]`, `[]`, `#cool_down = "300ms"`, `cool_down = "1ms"`, `#badge_pattern = ""`, `badge_pattern = "EMP-[0-9]+"`)
	var log, live, errs output
	stop := during(t, func(ctx context.Context) {
		if err := runStation(ctx, p.cfg, &log); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
	log.until(t, `msg=up what="reader scanner"`, 1)
	p.await(p.cfg.Status.Socket)
	p.await(p.cfg.Status.ControlSocket)
	leave := during(t, func(ctx context.Context) {
		if code := execute(ctx, []string{"listen", "scanner", "--raw", "--config", p.file}, &live, &errs); code != 0 {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
	})
	errs.until(t, "through the running agent", 1)
	const badge = "8305172946" // so long that it is in no time and no hash by chance
	codes := []string{"EMP-" + badge, "PKG-2026-0001", strings.Repeat("3f", 16), strings.Repeat("3f", 16), "STA-7Q4K-UNDO", "no such thing", "STA-7Q4K-CLOSE"}
	for n, c := range codes {
		scan(t, s, c)
		log.until(t, "msg=verdict", n+1)
	}
	live.until(t, `"command:close"`, 1)
	leave()
	file := p.path("bench.ndjson")
	p.until("the last answer is kept", func() bool { // it is logged before
		p.want(0, []string{"bytes: station-agent replay"}, "recording", file)
		text, err := os.ReadFile(file)
		return err == nil && strings.Count(string(text), `"told":`) >= strings.Count(log.String(), "msg=verdict")
	})
	stop()

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{badge, fmt.Sprintf("%x", badge), "STA-7Q4K"} {
		if strings.Contains(string(text), secret) || strings.Contains(live.String(), secret) {
			t.Errorf("%q is in the recording or on the screen", secret)
		}
	}
	out, said, code := command(t, "replay", file)
	for _, want := range []string{`"badge `, "accepted offline", "unverified", "duplicate", "undone", "closed", "0 differ"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("exit code %d, no %q: %s%s\n%s", code, want, out, said, log.String())
		}
	}
	if n := strings.Count(out, "scanner  "); n < len(codes) {
		t.Errorf("%d answers:\n%s", n, out)
	}
	write(t, file, strings.Replace(string(text), `"verdict":"duplicate"`, `"verdict":"unknown"`, 1))
	out, said, code = command(t, "replay", "--differences", file)
	if code != exitFailed || strings.Count(out, "\n") != 2 || !strings.Contains(out, "DIFFERS: verdict; then: ") || !strings.Contains(said, "1 of ") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
}

func TestListenOpensAPortThatIsNamed(t *testing.T) {
	s := plugged(t)
	file := t.TempDir() + "/scanner.ndjson"
	var out, errs output
	end := during(t, func(ctx context.Context) {
		if code := execute(ctx, []string{"listen", s.Path(), "--config", "/nowhere", "--prefix", "S1", "--raw", "--record", file, "--baud", "115200"}, &out, &errs); code != 0 {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
	})
	errs.until(t, "listening to "+s.Path()+", 115200 baud", 1)
	scan(t, s, "S1]C0PKG-1", "PKG-2\x1b[2J")
	out.until(t, "no code: ", 1)
	if err := s.Unplug(); err != nil {
		t.Fatal(err)
	}
	errs.until(t, "the reader was unplugged", 1)
	end()
	for _, want := range []string{`]C0  "PKG-1"`, "53 31 5d 43 30 50 4b 47 2d 31 0d", `without the prefix "S1"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("escapes: %q", out.String())
	}
	got, said, code := command(t, "replay", file)
	if code != 0 || !strings.Contains(got, `"PKG-1"`) || !strings.Contains(got, "2 answers, 0 differ") {
		t.Errorf("exit code %d: %s%s", code, got, said)
	}
}

// TestWhatWasTypedRunsAgain: a keyboard has no bytes, only what was typed.
func TestWhatWasTypedRunsAgain(t *testing.T) {
	file, typed := t.TempDir()+"/wedge.ndjson", station.TapedReader{Name: "wedge", Kind: station.Barcode}
	var b bytes.Buffer
	l := &listening{reader: typed, out: io.Discard, errs: io.Discard, record: &b, began: time.Now()}
	err := printJSON(&b, station.Event{Start: &station.Start{Readers: []station.TapedReader{typed}}})
	l.show(station.Heard{Reader: "wedge", Read: []record.Tag{{Reader: "wedge", Code: "PKG-1", Raw: []byte("PKG-1")}}, Tags: 1})
	l.show(station.Heard{Reader: "wedge", Read: []record.Tag{{Reader: "wedge", Bad: "cut off", Raw: []byte("PKG")}}, Tags: 1})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, b.String())
	got, said, code := command(t, "replay", file)
	if code != 0 || !strings.Contains(got, `"PKG-1"`) || !strings.Contains(got, "2 answers, 0 differ") {
		t.Errorf("exit code %d: %s%s", code, got, said)
	}
}

func TestListenWithoutAnAgentOpensTheReaderOfTheConfiguration(t *testing.T) {
	p, s := newPlace(t), plugged(t)
	p.with("/dev/serial/by-id/usb-CHANGE", s.Path())
	var out, errs output
	end := during(t, func(ctx context.Context) {
		execute(ctx, []string{"listen", "scanner", "--config", p.file}, &out, &errs)
	})
	errs.until(t, "listening to "+s.Path(), 1)
	scan(t, s, "PKG-1")
	out.until(t, `"PKG-1"`, 1)
	end()
	p.want(exitFailed, []string{`no reader "sacnner": it has scanner`}, "listen", "sacnner")
	p.want(exitUsage, []string{"baud 9601"}, "listen", "/dev/nothing", "--baud", "9601")
}

func TestGuess(t *testing.T) {
	s := plugged(t)
	for name, c := range map[string]struct {
		bytes string
		code  int
		want  string
	}{
		"lines":   {"PKG-1\rPKG-2\r", 0, "protocol line understands it at 9600 baud"},
		"a frame": {"\xbb\x02\x22\x00\x11\xd5\x30\x00\xe2\x00\x10\x71\x00\x00\x52\x9b\x09\x40\xb4\x02\xeb\x98\x0c\x7e", 0, "protocol r200 understands it at 9600 baud"},
		"damage":  {"PKG-1\r\xff\rPKG-2\r\xff\rPKG-3\r", 0, "protocol line (usually 9600 baud): 3 codes, 2 damaged frames"},
		"noise":   {"\xff\xfe\x00\x01\x00\xff\x02\x7f\x00", exitFailed, "no protocol understands the 9 bytes that came at 9600 baud"},
		"silence": {"", exitFailed, "nothing came"},
	} {
		if c.bytes != "" {
			if _, err := s.Write([]byte(c.bytes)); err != nil { // it waits for who opens the port
				t.Fatal(err)
			}
		}
		out, errs, code := command(t, "listen", s.Path(), "--guess", "--for", "700ms", "--config", "/nowhere")
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errs)
		}
	}
}

// TestNobodyListensToAReaderThatTheAgentDoesNotHave, as one that was named since it was started: it would be silent for ever.
func TestNobodyListensToAReaderThatTheAgentDoesNotHave(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/listen?reader=new", nil)
	if err := (tapeDesk{p.cfg.tape()}).listen(httptest.NewRecorder(), r); err == nil || !strings.Contains(err.Error(), `the running agent has no reader "new"`) {
		t.Error(err)
	}
}

func TestNothingIsKeptIfTheConfigurationSaysSo(t *testing.T) {
	p := newPlace(t)
	if p.cfg.tape() == nil {
		t.Error("nothing is kept by default")
	}
	p.with("#recording_kb = 1024", "recording_kb = 0")
	if p.cfg.tape() != nil {
		t.Error("something is kept")
	}
	if err := (tapeDesk{}).write(nil, nil); err == nil || !strings.Contains(err.Error(), "status.recording_kb is 0") {
		t.Error(err)
	}
}
