package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// hall is a broker with stations that say what the test wants.
type hall struct {
	t    *testing.T
	m    *servers.Mosquitto
	desk *fleet.Desk
	dir  string
}

func newHall(t *testing.T, heard func(*hall, fleet.Said)) *hall {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	h := &hall{t: t, m: servers.Broker(t), dir: t.TempDir()}
	said := make(chan fleet.Said, 100)
	desk, err := fleet.Dial(t.Context(), fleet.Access{Brokers: []string{"tcp://" + h.m.Addr}}, "stations", []string{"station-agent/+/+/command"}, func(s fleet.Said) { said <- s })
	if err != nil {
		t.Fatal(err)
	}
	h.desk = desk
	ctx, stop := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() {
		for {
			select {
			case s := <-said:
				if heard != nil {
					heard(h, s)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { stop(); ran.Wait(); desk.Leave() })
	return h
}

func (h *hall) say(i int, leaf string, v any, retained bool) {
	h.t.Helper()
	payload, err := json.Marshal(v)
	if err == nil {
		err = h.desk.Say(context.Background(), message.Place{Environment: "test", Station: fleetID(i)}.Topic(leaf), payload, 1, retained)
	}
	if err != nil {
		h.t.Error(err)
	}
}

func (h *hall) state(i int, mode message.Mode) {
	h.t.Helper()
	h.say(i, message.StateLeaf, message.State{State: mode, Session: 1, Connection: 1, Instance: "a", At: time.Now().UTC(), Station: fleetID(i), Environment: "test", Name: fmt.Sprint("Bench ", i), IntervalS: 30}, true)
}

// fleet runs a command of the fleet.
func (h *hall) fleet(in string, args ...string) (code int, out, errs string) {
	h.t.Helper()
	var o, e bytes.Buffer
	ctx, cancel := context.WithTimeout(h.t.Context(), 40*time.Second)
	defer cancel()
	root := append([]string{"fleet", "--broker", "tcp://" + h.m.Addr, "--environment", "test"}, args...)
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Close()
	_, _ = io.WriteString(w, in)
	w.Close()
	stdin := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = stdin }()
	code = execute(ctx, root, &o, &e)
	return code, o.String(), e.String()
}

func TestFleetWatchShowsEveryStation(t *testing.T) {
	h := newHall(t, nil)
	h.state(1, message.Ready)
	h.state(2, message.Alert)
	h.say(2, message.AlarmsLeaf, message.Alarms{At: time.Now().UTC(), Alarms: []message.Problem{troubled("mysql_away", "the server is away")}}, true)
	list := filepath.Join(h.dir, "stations.csv")
	write(t, list, "uuid,name\n"+fleetID(1)+",One\n"+fleetID(9)+",Nine\n")

	code, out, errs := h.fleet("", "watch", "--json", "--inventory", list)
	if code != 0 || strings.Count(out, "\n") != 3 {
		t.Fatalf("%d %s\n%s", code, errs, out)
	}
	for i, want := range []string{"alert", "never", "ready"} { // worst first
		var r struct{ Standing, Name string }
		if err := json.Unmarshal([]byte(strings.Split(out, "\n")[i]), &r); err != nil || r.Standing != want {
			t.Errorf("line %d: %+v %v, want %s", i, r, err, want)
		}
	}
	code, out, errs = h.fleet("", "watch", "--filter", "mysql")
	if code != 0 || strings.Count(out, "Bench") != 1 || !strings.Contains(out, "mysql_away: the server is away") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
	code, out, errs = h.fleet("", "show", "bench 2", "--wait", "0s")
	if code != 0 || !strings.Contains(out, "mysql_away, thing for") || !strings.Contains(out, fleetID(2)) {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
	if code, _, errs = h.fleet("", "show", "bench 7"); code != 1 || !strings.Contains(errs, `find station "bench 7": none of the 2 stations`) {
		t.Errorf("%d %s", code, errs)
	}
}

func TestFleetWatchFollowsChanges(t *testing.T) {
	h := newHall(t, nil)
	h.state(1, message.Ready)
	h.state(2, message.Ready)
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan int, 1)
	go func() {
		ran <- execute(ctx, []string{"fleet", "--broker", "tcp://" + h.m.Addr, "-e", "test", "watch", "--json", "--follow"}, w, io.Discard)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	next := func(id int, standing string) {
		t.Helper()
		var row struct{ Station, Standing string }
		if !lines.Scan() {
			t.Fatal("it ended")
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil || row.Station != fleetID(id) || row.Standing != standing {
			t.Fatalf("%s %v, want %d %s", lines.Bytes(), err, id, standing)
		}
	}
	next(1, "ready")
	next(2, "ready")
	h.say(1, message.HealthLeaf, message.Health{}, false) // no change
	h.state(2, message.Lost)
	next(2, "lost")
	h.m.Kill()
	if err := h.m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h2, err := fleet.Dial(t.Context(), fleet.Access{Brokers: []string{"tcp://" + h.m.Addr}}, "again", []string{"x"}, func(fleet.Said) {})
	if err != nil {
		t.Fatal(err)
	}
	defer h2.Leave()
	h.desk = h2
	h.state(1, message.Alert)
	next(1, "alert")
	stop()
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if code := <-ran; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestFleetExportForgetsAStationThatIsRemoved(t *testing.T) {
	h := newHall(t, nil)
	h.state(1, message.Ready)
	h.state(2, message.Lost)
	h.say(2, message.AlarmsLeaf, message.Alarms{Alarms: []message.Problem{troubled("mysql_away", "away")}}, true)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan int, 1)
	var said output
	go func() {
		ran <- execute(ctx, []string{"fleet", "--broker", "tcp://" + h.m.Addr, "-e", "test", "export", "--listen", "127.0.0.1:0"}, io.Discard, &said)
	}()
	defer func() { stop(); <-ran }()
	said.until(t, "/metrics\n", 1)
	_, url, _ := strings.Cut(strings.TrimSpace(said.String()), " at ")
	await := func(what string, fits func(string) bool) {
		t.Helper()
		var got string
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			res, err := http.Get(url)
			if err != nil {
				continue
			}
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if got = string(b); fits(got) {
				return
			}
		}
		t.Fatalf("waited in vain for %s:\n%s", what, got)
	}
	lost := `station_agent_standing{environment="test",station="` + fleetID(2) + `",standing="lost"} 1`
	await("both stations", func(s string) bool {
		return strings.Contains(s, lost) && strings.Contains(s, fleetID(1)) && strings.Contains(s, `code="mysql_away"`) && strings.Contains(s, "station_agent_exporter_broker_up 1")
	})
	if code, _, errs := h.fleet("", "remove", fleetID(1), "--yes"); code != 1 || !strings.Contains(errs, "stop its agent first") {
		t.Errorf("removed one that works: %d %s", code, errs)
	}
	if code, out, errs := h.fleet("n\n", "remove", "Bench 2"); code != 1 || !strings.Contains(out, "[y/N]") || !strings.Contains(errs, "not confirmed") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, _, errs := h.fleet("y\n", "remove", "Bench 2"); code != 0 {
		t.Errorf("%d %s", code, errs)
	}
	await("one station", func(s string) bool { return !strings.Contains(s, fleetID(2)) && strings.Contains(s, fleetID(1)) })
	if _, out, _ := h.fleet("", "watch", "--json"); strings.Count(out, "\n") != 1 {
		t.Errorf("the broker still has it:\n%s", out)
	}
	h.m.Kill()
	await("a broker that is away", func(s string) bool { return strings.Contains(s, "station_agent_exporter_broker_up 0") })
}

// obey plays a station: it answers each command as the command's name of the test says.
func obey(keys cmds.Keys, public *[32]byte, open func([]byte) string) func(*hall, fleet.Said) {
	seen := map[string]int{}
	return func(h *hall, s fleet.Said) {
		p, _, _ := message.Read(s.Topic)
		e, err := message.Decode[message.Envelope](s.Payload)
		if err != nil || s.Retained {
			h.t.Errorf("%q retained %v: %v", s.Payload, s.Retained, err)
			return
		}
		var i int
		fmt.Sscanf(p.Station, "%x-", &i)
		r := message.Result{Session: 1, At: time.Now()}
		c, k, err := cmds.Verify(e, keys, p)
		if err != nil {
			r.Nonce, r.Command, _ = cmds.Claims(e)
			r.Status, r.Text = message.Refused, err.Error()
			h.say(i, message.ResultLeaf, r, false)
			return
		}
		r.Nonce, r.Command = c.Nonce, c.Command
		seen[c.Nonce]++
		switch c.Command {
		case cmds.Identify:
			if r.Status, r.Challenge = message.Challenged, "ch-"+p.Station; c.Challenge == r.Challenge {
				r.Status, r.Text, r.Challenge = message.Done, "they blink for "+string(c.Args)+k.ID, ""
			}
		case cmds.Diagnostics:
			h.say(i, message.ResultLeaf, message.Result{Nonce: "somebody else's", Command: c.Command, Status: message.Done}, false)
			h.say(i, message.ResultLeaf, message.Result{Nonce: c.Nonce, Command: c.Command, Status: message.Started}, false)
			sum := sha256.Sum256([]byte("hello"))
			piece := func(part int, text string) {
				r.Part, r.Parts = part, 2
				r.Data, _ = json.Marshal(map[string]any{"name": "../../x", "sha256": hex.EncodeToString(sum[:]), "data": []byte(text)})
			}
			piece(1, "hel")
			r.Status = message.Started
			if i == 1 { // at another one it is lost on the way
				h.say(i, message.ResultLeaf, r, false)
			}
			piece(2, "lo")
			r.Status = message.Done
		case cmds.PublicKey:
			r.Status = message.Done
			r.Data, _ = json.Marshal(map[string][]byte{"public_key": public[:]})
		case cmds.SetSecret:
			var a struct {
				Name   string
				Sealed []byte
			}
			if err := json.Unmarshal(c.Args, &a); err != nil || a.Name != "certyo.key_file" {
				h.t.Errorf("%s %v", c.Args, err)
			}
			r.Status = message.Done
			r.Data, _ = json.Marshal(map[string]string{"fingerprint": cmds.Fingerprint([]byte(open(a.Sealed)))})
		case cmds.Restart:
			r.Status, r.Text = message.Failed, "no\x1b[2J"
		case cmds.Drain:
			if seen[c.Nonce] < 2 {
				return // it was just away
			}
			r.Status, r.Text = message.Done, "the second time"
		default:
			return
		}
		h.say(i, message.ResultLeaf, r, false)
	}
}

func TestFleetSend(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "maria.key")
	var out bytes.Buffer
	if code := execute(t.Context(), []string{"fleet", "key", "new", file, "--id", "maria", "--role", "admin"}, &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	lines, err := cmds.ReadKeys(out.Bytes())
	if err != nil || len(lines) != 1 {
		t.Fatalf("%q %v", out.String(), err)
	}
	public, private, err := cmds.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	h := newHall(t, obey(cmds.Keys{"maria": lines[0].Key}, public, func(sealed []byte) string {
		text, err := cmds.Open(sealed, public, private)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}))
	for i := range 3 {
		h.state(i, message.Ready)
	}
	secret, bundle := filepath.Join(dir, "secret"), filepath.Join(dir, "bundle")
	write(t, secret, "s3cret\n")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"a challenge is answered":   {[]string{"Bench 1", "identify", "seconds=5", "text=5 s"}, 0, `Bench 1: done: they blink for {"seconds":5,"text":"5 s"}maria`},
		"data goes into a file":     {[]string{"Bench 1", "diagnostics", "--out", bundle}, 0, "written to " + bundle},
		"a part is missing":         {[]string{"Bench 2", "diagnostics", "--out", bundle + "2"}, 1, "1 of 2 parts came"},
		"a secret is sealed":        {[]string{"Bench 1", "set-secret", "certyo.key_file", secret}, 0, "Bench 1: done"},
		"it failed":                 {[]string{"Bench 1", "restart"}, exitNotDone, "send restart: it failed at Bench 1: no [2J"},
		"no answer":                 {[]string{"Bench 1", "resync", "--wait", "1s"}, exitNoAnswer, "no answer from station " + fleetID(1)},
		"several want --yes":        {[]string{"Bench *", "identify"}, 1, "it may be 3 stations"},
		"several":                   {[]string{"Bench *", "identify", "--yes"}, 0, "Bench 2: done"},
		"nobody":                    {[]string{"Bench 9", "identify"}, 1, "none of the 3 stations"},
		"no such command":           {[]string{"Bench 1", "explode"}, exitUsage, `"explode" is no command`},
		"no secret on the line":     {[]string{"Bench 1", "set-secret", "certyo.key_file=s3cret"}, exitUsage, "the FILE that holds it"},
		"one that comes back":       {[]string{"Bench 1", "drain"}, 0, "the second time"},
		"each answer is one object": {[]string{"Bench 1", "identify", "--json"}, 0, `"status":"done"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := h.fleet("", append([]string{"--key", file, "send"}, c.args...)...)
			if code != c.code || !strings.Contains(out+errs, c.want) || strings.Contains(out+errs, "s3cret") || strings.ContainsAny(out+errs, "\x1b") {
				t.Errorf("%d\n%s\n%s", code, out, errs)
			}
		})
	}
	if text, err := os.ReadFile(bundle); string(text) != "hello" {
		t.Errorf("%q %v", text, err)
	}
	code, _, errs := h.fleet("", "send", "Bench 1", "lamp-test", "--wait", "1s")
	if code != exitNoAnswer {
		t.Errorf("unsigned: %d %s", code, errs)
	}
	other := filepath.Join(dir, "other.key")
	if code := execute(t.Context(), []string{"fleet", "key", "new", other, "--id", "maria", "--role", "admin"}, io.Discard, io.Discard); code != 0 {
		t.Fatal("no other key")
	}
	if code, _, errs = h.fleet("", "--key", other, "send", "Bench 1", "identify"); code != exitRefused {
		t.Errorf("another's key: %d %s", code, errs)
	}
}

func TestFleetKeyIsForItsOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), "k")
	make := func(args ...string) int {
		return execute(t.Context(), append([]string{"fleet", "key", "new", file}, args...), io.Discard, io.Discard)
	}
	if code := make("--id", "a b", "--role", "admin"); code != exitUsage {
		t.Errorf("an id with a space: %d", code)
	}
	if code := make("--id", "ab", "--role", "king"); code != exitUsage {
		t.Errorf("no such role: %d", code)
	}
	if code := make("--id", "ab", "--role", "observer"); code != 0 {
		t.Fatal(code)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if code := make("--id", "ab", "--role", "observer"); code != 1 {
		t.Errorf("overwritten: %d", code)
	}
	if id, key, err := readKey(file, ""); err != nil || id != "ab" || len(key) != 64 {
		t.Errorf("%s %v", id, err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readKey(file, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}

func TestFleetFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	file := filepath.Join(dir, "station-agent", "fleet.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	load := func(text string, flags fleetFile) (*fleetFile, error) {
		write(t, file, text)
		none := ""
		return (&fleetAt{file: &none, flags: flags}).load()
	}
	const good = "environment = \"test\"\nbrokers = [\"ssl://a:8883\"]\nuser = \"u\"\npassword_file = \"pw\"\nkey = \"/k\"\n"
	f, err := load(good, fleetFile{Environment: "production"})
	if err != nil || f.Environment != "production" || string(f.PasswordFile) != filepath.Join(filepath.Dir(file), "pw") || f.Key != "/k" || f.Brokers[0] != "ssl://a:8883" ||
		!strings.HasSuffix(f.Notes, "fleet-notes-production.json") {
		t.Errorf("%+v %v", f, err)
	}
	for text, want := range map[string]string{
		good + "colour = 1\n":                       "fleet.toml:6:1: colour: unknown field",
		strings.Replace(good, "ssl", "tcp", 1):      "brokers must begin with ssl:// or wss://",
		strings.Replace(good, "//a", "//u:pw@a", 1): "brokers is no address",
		strings.Replace(good, "user", "#", 1):       "user is missing",
		"environment = \"test\"\n":                  "brokers is missing",
		"brokers = [\"tcp://a\"]\n":                 "environment is missing",
		good + "cert_file = \"c\"\n":                "cert_file and cert_key_file belong together",
		good + "proxy = \"http://u:pw@p\"\n":        "proxy must hold neither a user",
	} {
		if _, err := load(text, fleetFile{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "u:pw") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
