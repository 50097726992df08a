package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// obeying is a whole agent, without database, broker and lamps, that is given commands.
type obeying struct {
	*place
	*parts
	log   strings.Builder
	ended chan error
	stop  context.CancelFunc
	n     int
}

func newObeying(t *testing.T) *obeying {
	p, _ := secretPlace(t)
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.path("keys"), keyLine("anna", cmds.Admin)+"\n")
	write(t, p.file, strings.NewReplacer("ssl://mqtt.example.com:8883", "tcp://127.0.0.1:9", `#keys_file = ""`, `keys_file = "`+p.path("keys")+`"`,
		`#source = "auto"`, `source = "off"`, "db.example.com:3306", "127.0.0.1:9", `#lamp_test = true`, `lamp_test = false`).Replace(string(text)))
	o := &obeying{place: p}
	o.begin()
	return o
}

// begin is a start of the agent.
func (o *obeying) begin() {
	o.t.Helper()
	card, data, err := loadFile(o.file)
	if err != nil {
		o.t.Fatal(err)
	}
	t := newTrials(o.file, card, data)
	c := t.choose(card)
	log, how := newLog(c.Log, &o.log)
	if o.parts, err = wire(c, log, how, t); err != nil {
		o.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o.ended, o.stop = make(chan error, 1), stop
	running, ended := o.parts, o.ended
	go func() { ended <- running.Run(ctx); t.close() }()
	o.t.Cleanup(stop)
}

// do gives a command and waits for its last answer.
func (o *obeying) do(name, args string) (last message.Result, all []message.Result) {
	o.t.Helper()
	o.n++
	cmd := message.Command{Environment: "test", Station: o.parts.cfg.Station.UUID, Command: name, Args: json.RawMessage(args),
		Nonce: "nonce-of-" + name + "-" + strings.Repeat("x", 10+o.n), Expires: time.Now().Add(time.Minute)}
	results := make(chan message.Result, 100)
	send := func() {
		e, err := cmds.Sign(cmd, "anna", commandKey("anna"))
		if err != nil {
			o.t.Fatal(err)
		}
		payload, err := json.Marshal(e)
		if err != nil {
			o.t.Fatal(err)
		}
		o.parts.orders.take(payload, false, func(r message.Result) { results <- r })
	}
	for send(); ; {
		select {
		case r := <-results:
			if r.Status == message.Challenged { // this machine may have no clock that it trusts
				cmd.Challenge = r.Challenge
				send()
				continue
			}
			if all = append(all, r); r.Status != message.Started {
				return r, all
			}
		case err := <-o.ended:
			o.ended <- err
			for len(results) > 0 { // came before, and may have been passed over
				all = append(all, <-results)
			}
			return message.Result{}, all
		case <-time.After(30 * time.Second):
			o.t.Fatalf("no answer to %s", name)
		}
	}
}

func (o *obeying) wants(name, args string, status message.Status, text string) message.Result {
	o.t.Helper()
	r, _ := o.do(name, args)
	if r.Status != status || !strings.Contains(r.Text, text) {
		o.t.Errorf("%s %s: %s %q, want %s %q", name, args, r.Status, r.Text, status, text)
	}
	return r
}

func (o *obeying) ends(want error) {
	o.t.Helper()
	select {
	case err := <-o.ended:
		if !errors.Is(err, want) {
			o.t.Fatalf("ended with %v, want %v", err, want)
		}
	case <-time.After(30 * time.Second):
		o.t.Fatal("it does not end")
	}
}

// told gives the line of the log about what the start told of a command of before.
func (o *obeying) told(nonce string) string {
	for line := range strings.Lines(string(o.parts.last.text())) {
		if strings.Contains(line, "nonce="+nonce) {
			return line
		}
	}
	return ""
}

// A whole agent does each command, and what it can't do it says.
func TestTheAgentDoesWhatTheFleetWants(t *testing.T) {
	o := newObeying(t)
	r := o.wants(cmds.Identify, `{}`, message.Done, "no lamp")
	var who identity
	if err := json.Unmarshal(r.Data, &who); err != nil || who.Station != o.parts.cfg.Station.UUID || who.Environment != "test" {
		t.Errorf("%s %v", r.Data, err)
	}
	key, err := base64.StdEncoding.DecodeString(who.PublicKey)
	if err != nil || len(key) != 32 {
		t.Fatalf("public key %q", who.PublicKey)
	}
	o.wants(cmds.PublicKey, ``, message.Done, "")
	o.wants(cmds.LampTest, `{}`, message.Failed, "no lamp is configured")
	o.wants(cmds.Snapshot, `{}`, message.Failed, "nothing is captured")
	o.wants(cmds.Resync, `{"table":"shop.orders"}`, message.Failed, "nothing is captured")
	o.wants(cmds.Retry, `{}`, message.Refused, "say which")
	o.wants(cmds.Retry, `{"all":true}`, message.Done, "0 records")
	o.wants(cmds.Retry, `{"seqs":[4711]}`, message.Failed, "record 4711")
	o.wants(cmds.Drain, `{"within_s":5}`, message.Done, "nothing waits")
	o.wants(cmds.Drain, `{"within_s":1e9}`, message.Refused, "within_s")
	o.wants(cmds.Pause, `{"for_s":90000}`, message.Refused, "for_s")
	o.wants(cmds.Pause, `{"for_s":600}`, message.Done, "10m0s")
	if why := o.board.why("pause"); !strings.Contains(why, "rest until") {
		t.Errorf("status doesn't tell: %q", why)
	}
	o.wants(cmds.Drain, `{}`, message.Failed, "resume it first")
	o.wants(cmds.Resume, `{}`, message.Done, "go on")
	o.wants(cmds.Resume, `{}`, message.Done, "nothing rested")
	if why := o.board.why("pause"); why != "" {
		t.Errorf("status tells still: %q", why)
	}
	o.wants(cmds.LogLevel, `{"level":"loud"}`, message.Refused, "none of debug")
	o.wants(cmds.LogLevel, `{"level":"debug","for_s":60}`, message.Done, "debug for 1m0s")
	if !o.parts.log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the log is as it was")
	}
	box, err := cmds.Seal([]byte("s3cret"), (*[32]byte)(key))
	if err != nil {
		t.Fatal(err)
	}
	args, _ := json.Marshal(map[string]any{"name": "certyo.key_file", "sealed": box})
	r = o.wants(cmds.SetSecret, string(args), message.Done, "next connection")
	if !strings.Contains(string(r.Data), cmds.Fingerprint([]byte("s3cret"))) {
		t.Errorf("no fingerprint: %s", r.Data)
	}
	o.place.reads("the key", o.parts.cfg.Certyo.KeyFile, "s3cret")
	_, all := o.do(cmds.Diagnostics, `{}`)
	if files := unpacked(t, all); !strings.Contains(files["status.json"], o.parts.cfg.Station.UUID) || !strings.Contains(files["log.txt"], "command=pause") {
		t.Errorf("%d files, log:\n%s", len(files), files["log.txt"])
	}
	o.wants(cmds.ConfirmConfig, `{"digest":"00"}`, message.Failed, "no configuration is on trial")
	o.stop()
	o.ends(nil)
	if said := o.parts.last.text(); strings.Contains(string(said), "s3cret") || strings.Contains(string(said), "of the file") {
		t.Errorf("the log holds a secret:\n%s", said)
	}
}

func TestARestartIsAnsweredBeforeAndAfter(t *testing.T) {
	o := newObeying(t)
	_, before := o.do(cmds.Restart, `{}`)
	o.ends(errAgain)
	if len(before) != 1 || before[0].Status != message.Started {
		t.Errorf("before: %+v", before)
	}
	o.begin()
	if line := o.told(before[0].Nonce); !strings.Contains(line, "status=done") {
		t.Errorf("after: %q", line)
	}
	o.stop()
	o.ends(nil)
	o.begin()
	if line := o.told(before[0].Nonce); line != "" {
		t.Errorf("told again: %q", line)
	}
	o.stop()
	o.ends(nil)
}

// A configuration goes from the command to the trial, and is confirmed; one that isn't is followed by the former one.
func TestAConfigurationIsTriedByRestart(t *testing.T) {
	o := newObeying(t)
	send := func(name string) (digest, nonce string) {
		text, err := os.ReadFile(o.file)
		if err != nil {
			t.Fatal(err)
		}
		args, _ := json.Marshal(map[string]any{"config": strings.Replace(string(text), former, name, 1), "within_s": 600})
		_, all := o.do(cmds.SetConfig, string(args))
		o.ends(errAgain)
		var data struct{ Digest string }
		if len(all) != 1 || json.Unmarshal(all[0].Data, &data) != nil {
			t.Fatalf("%+v", all)
		}
		o.begin()
		return data.Digest, all[0].Nonce
	}
	o.wants(cmds.SetConfig, `{"config":"levle = 1"}`, message.Failed, "levle")
	sum, nonce := send("new")
	if line := o.told(nonce); !strings.Contains(line, "status=started") || !strings.Contains(line, sum) || o.parts.cfg.Station.Name != "new" {
		t.Errorf("%q on trial: %q", o.parts.cfg.Station.Name, line)
	}
	o.wants(cmds.ConfirmConfig, `{"digest":"`+sum+`"}`, message.Done, sum)
	_, nonce = send("newer")
	o.stop()
	o.ends(nil)
	o.begin()
	if line := o.told(nonce); o.parts.cfg.Station.Name != "new" || !strings.Contains(line, "status=failed") {
		t.Errorf("then %q: %q", o.parts.cfg.Station.Name, line)
	}
	o.stop()
	o.ends(nil)
}

// A configuration without a broker can't be confirmed, and so it goes.
func TestATrialWithoutABrokerEnds(t *testing.T) {
	o := newObeying(t)
	text, err := os.ReadFile(o.file)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.NewReplacer(former, "new", `brokers = ["tcp://127.0.0.1:9"]`, `brokers = []`).Replace(string(text))
	o.stop()
	o.ends(nil)
	if _, err := o.trials.put([]byte(without), 100*time.Millisecond, "nonce-0123456789"); err != nil {
		t.Fatal(err)
	}
	o.trials.close()
	o.begin()
	if len(o.parts.cfg.Fleet.Brokers) != 0 || o.parts.cfg.Station.Name != "new" {
		t.Fatalf("on trial: %+v", o.parts.cfg.Fleet)
	}
	o.ends(errAgain)
	o.begin()
	if o.parts.cfg.Station.Name != former {
		t.Errorf("then %q", o.parts.cfg.Station.Name)
	}
	o.stop()
	o.ends(nil)
}

func TestAPauseEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(slog.New(slog.DiscardHandler))
		var mu sync.Mutex
		var list []time.Time
		rests := func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return list
		}
		rest := func(at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, at)
		}
		armed := make(chan struct{})
		p := &pausing{rests: []func(time.Time){rest}, armed: armed, cond: b.condition("pause")}
		if err := p.begin(time.Hour); err == nil || len(rests()) != 0 {
			t.Error("it rests before capture knows where it starts")
		}
		close(armed)
		if err := p.begin(time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if err := p.begin(time.Hour); err != nil { // anew
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if !p.on() || len(rests()) != 2 || b.why("pause") == "" {
			t.Errorf("before its end: %v %q", rests(), b.why("pause"))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p.on() || len(rests()) != 3 || !rests()[2].IsZero() || b.why("pause") != "" || p.end() {
			t.Errorf("after it: %v %q", rests(), b.why("pause"))
		}
	})
}

// While capture rests no source is asked; then it goes on.
func TestCaptureRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &capturing{chosen: make(chan struct{}, 1)}
		c.rest(time.Now().Add(time.Hour))
		began := time.Now()
		if !c.rested(t.Context()) || time.Since(began) != time.Hour {
			t.Errorf("it rested for %v", time.Since(began))
		}
		c.rest(time.Now().Add(time.Hour))
		time.AfterFunc(time.Minute, func() { c.rest(time.Time{}) })
		if began = time.Now(); !c.rested(t.Context()) || time.Since(began) != time.Minute {
			t.Errorf("it rested for %v", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.rest(time.Now().Add(time.Hour))
		time.AfterFunc(time.Minute, cancel)
		if c.rested(ctx) {
			t.Error("it goes on though the agent stops")
		}
	})
}
