package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/station/stationtest"
)

// tuneBench is a module at a port that the configuration in file names, and a person who presses Enter.
func tuneBench(t *testing.T, extra string) (m *stationtest.Module, file string) {
	t.Helper()
	dir := t.TempDir()
	s, err := stationtest.NewScanner(dir)
	if err != nil {
		t.Fatal(err)
	}
	m = stationtest.NewModule("r2000")
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { s.Play(m, stop) })
	t.Cleanup(func() {
		close(stop)
		done.Wait()
		_ = s.Close()
	})
	file = filepath.Join(dir, "f.toml")
	text := strings.NewReplacer(`#protocol = "line"`, "protocol = \"r2000\"\n"+extra, "/dev/serial/by-id/usb-CHANGE", s.Path()).Replace(sample)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return m, file
}

// tune runs the command; answer is called at each question, before Enter is pressed.
func tune(t *testing.T, answer func(question int), args ...string) (stdout, stderr string, code int) {
	t.Helper()
	in, press := io.Pipe()
	from, out := io.Pipe()
	var shown, errs bytes.Buffer
	var done sync.WaitGroup
	done.Go(func() {
		n := 0
		for lines := bufio.NewScanner(from); lines.Scan(); {
			shown.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "press Enter") {
				answer(n)
				n++
				go func() { _, _ = press.Write([]byte("\n")) }()
			}
		}
	})
	root := newRoot()
	root.SetArgs(append([]string{"tune"}, args...))
	root.SetIn(in)
	root.SetOut(out)
	if err := root.ExecuteContext(t.Context()); err != nil {
		errs.WriteString(err.Error())
		code = 1
	}
	_ = out.Close()
	done.Wait()
	return shown.String(), errs.String(), code
}

func TestTuneProposesLinesForTheConfiguration(t *testing.T) {
	t.Parallel()
	m, file := tuneBench(t, "power_dbm = 20")
	tag := []byte{0x30, 0x74, 0x25, 0x7b, 0xf7, 0x19, 0x4e, 0x40, 0, 0, 0x1a, 0x85}
	out, errs, code := tune(t, func(question int) {
		m.Lay(tag, byte(129-45-20*question)) // -45, and -65 at the neighbour's
	}, "scanner", "--config", file, "--seconds", "1")
	if code != 0 || !strings.HasSuffix(out, "For [[reader]] scanner:\n\npower_dbm = 20\nrssi = [\"-52/-59\"]\n") || !strings.Contains(out, "3074257BF7194E4000001A85") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
}

// TestTuneFindsTheLeastPower, and measures with that.
func TestTuneFindsTheLeastPower(t *testing.T) {
	t.Parallel()
	m, file := tuneBench(t, "power_dbm = 9")
	m.Set(func(m *stationtest.Module) { m.Reach = 5 })
	out, errs, code := tune(t, func(question int) {
		if question == 0 {
			m.Lay([]byte("123456789012"), 129-45)
		} else {
			m.Lay(nil, 0)
		}
	}, "scanner", "--config", file, "--seconds", "1", "--step-power")
	if code != 0 || !strings.HasSuffix(out, "power_dbm = 6\nrssi = []\n") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
}

func TestTuneSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	m, file := tuneBench(t, "")
	for _, c := range []struct {
		args []string
		do   func()
		want string
	}{
		{[]string{"nobody"}, func() {}, `tune: "nobody" is no reader of tags of the configuration: it has scanner`},
		{[]string{"scanner", "--seconds", "0"}, func() {}, "--seconds 0 is not between 1 and 3600"},
		{[]string{"scanner", "--step-power"}, func() {}, "tune: --step-power needs power_dbm to begin with"},
		{[]string{"scanner", "--seconds", "1"}, func() {}, "tune: there is nothing to propose"},
		{[]string{"scanner", "--seconds", "1"}, func() { m.Set(func(m *stationtest.Module) { m.Dead = true }) }, "tune: reader scanner: no answer from the reader"},
	} {
		began := time.Now()
		_, errs, code := tune(t, func(int) { c.do() }, append(c.args, "--config", file)...)
		if code == 0 || !strings.HasPrefix(errs, c.want) {
			t.Errorf("%v: %d %s after %v, want %s", c.args, code, errs, time.Since(began), c.want)
		}
	}
}
