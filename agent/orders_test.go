package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// commanded is an executor with a clock of its own, and what became of it.
type commanded struct {
	*testing.T
	*orders
	dir     string
	log     bytes.Buffer
	wall    time.Time
	trusted bool

	mu      sync.Mutex
	done    []string // what was done
	results []message.Result
	nonces  int
	wait    chan struct{} // what is done waits for it, if it isn't nil
}

var commandHere = message.Place{Environment: "test", Station: "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"}

// commandKey is the private key that a test's id has.
func commandKey(id string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{id[1]}, ed25519.SeedSize))
}

func keyLine(id string, role cmds.Role) string {
	return cmds.Key{ID: id, Role: role, Public: commandKey(id).Public().(ed25519.PublicKey)}.String()
}

func newCommanded(t *testing.T, unsigned ...string) *commanded {
	c := &commanded{T: t, dir: t.TempDir(), wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), trusted: true}
	c.keys("anna admin", "olga operator", "otto observer")
	c.restart(unsigned...)
	return c
}

// keys writes the file of keys, of words "ID ROLE" or "ID ROLE revoked".
func (c *commanded) keys(lines ...string) {
	text := ""
	for _, l := range lines {
		words := strings.Fields(l)
		text += keyLine(words[0], cmds.Role(words[1])) + " " + strings.Join(words[2:], " ") + "\n"
	}
	write(c.T, filepath.Join(c.dir, "keys"), text)
}

// restart makes the executor that the next start of the agent has.
func (c *commanded) restart(unsigned ...string) {
	log := slog.New(slog.NewTextHandler(&c.log, nil))
	b := newBoard(log)
	acts := map[string]act{}
	for _, name := range cmds.Names() {
		acts[name] = func(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
			c.mu.Lock()
			c.done = append(c.done, o.Command.Command+" "+string(o.Args))
			wait := c.wait
			c.mu.Unlock()
			if wait != nil {
				<-wait
			}
			if o.Command.Command == cmds.Resync {
				return "", nil, errors.New("nothing is captured")
			}
			return "it is done", map[string]int{"n": 1}, nil
		}
	}
	c.orders = newOrders(&orders{
		log: log, here: commandHere, session: 7, dir: filepath.Join(c.dir, "fleet"), unsigned: unsigned, acts: acts, cond: b.condition("fleet commands"), replace: store.Replace,
		now:  func() record.Stamp { return record.Stamp{Wall: c.wall, Trusted: c.trusted} },
		keys: newTrustedKeys(&trustedKeys{file: filepath.Join(c.dir, "keys"), dir: filepath.Join(c.dir, "fleet"), cond: b.condition("fleet keys"), replace: store.Replace}),
	})
}

// command is one that ends in a minute, with a nonce of its own.
func (c *commanded) command(name string) message.Command {
	c.nonces++
	return message.Command{Environment: commandHere.Environment, Station: commandHere.Station, Command: name, Args: json.RawMessage(`{}`),
		Nonce: fmt.Sprintf("nonce-%012d", c.nonces), Expires: c.wall.Add(time.Minute)}
}

func (c *commanded) sign(cmd message.Command, id string) []byte {
	c.Helper()
	var key ed25519.PrivateKey
	if id != "" {
		key = commandKey(id)
	}
	e, err := cmds.Sign(cmd, id, key)
	if err != nil {
		c.Fatal(err)
	}
	return c.payload(e)
}

func (c *commanded) payload(e message.Envelope) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		c.Fatal(err)
	}
	return b
}

func (c *commanded) reply(r message.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results = append(c.results, r)
}

// works does all that waits.
func (c *commanded) works() {
	for {
		select {
		case one := <-c.queue:
			c.do(c.Context(), one)
		default:
			return
		}
	}
}

// send hands a payload over and gives the last answer, one without a status if there is none.
func (c *commanded) send(payload []byte) message.Result {
	before := len(c.results)
	c.take(payload, false, c.reply)
	c.works()
	if len(c.results) == before {
		return message.Result{}
	}
	return c.results[len(c.results)-1]
}

// wants compares an answer and how much was done so far.
func (c *commanded) wants(what string, r message.Result, status message.Status, text string, done int) {
	c.Helper()
	if r.Status != status || !strings.Contains(r.Text, text) || len(c.done) != done {
		c.Errorf("%s: %s %q, want %s %q; done: %q, want %d", what, r.Status, r.Text, status, text, c.done, done)
	}
}

func TestACommandIsDoneAnsweredAndLogged(t *testing.T) {
	c := newCommanded(t)
	cmd := c.command(cmds.Restart)
	r := c.send(c.sign(cmd, "olga"))
	c.wants("restart", r, message.Done, "it is done", 1)
	if r.Nonce != cmd.Nonce || r.Command != cmds.Restart || r.Session != 7 || string(r.Data) != `{"n":1}` || !r.At.Equal(c.wall) {
		t.Errorf("%+v", r)
	}
	line := c.log.String()
	if strings.Count(line, "msg=command") != 1 || !strings.Contains(line, "command=restart key=olga nonce="+cmd.Nonce+" status=done") {
		t.Errorf("log:\n%s", line)
	}
	c.wants("one that fails", c.send(c.sign(c.command(cmds.Resync), "olga")), message.Failed, "nothing is captured", 2)
}

func TestCommandsOfNobodyAreRefused(t *testing.T) {
	c := newCommanded(t)
	c.keys("anna admin", "olga operator revoked", "otto observer")
	elsewhere, otherwise, late, ahead := c.command(cmds.Restart), c.command(cmds.Restart), c.command(cmds.Restart), c.command(cmds.Restart)
	elsewhere.Station, otherwise.Environment, late.Expires, ahead.Expires = "1b0a7c3d-52c8-4f6e-8d3b-0c9d5d1e2f33", "production", c.wall, c.wall.Add(time.Hour)
	forged := message.Envelope{}
	if err := json.Unmarshal(c.sign(c.command(cmds.Restart), "anna"), &forged); err != nil {
		t.Fatal(err)
	}
	forged.Body = bytes.Replace(forged.Body, []byte(cmds.Restart), []byte(cmds.Retry), 1)
	for _, one := range []struct {
		what    string
		payload []byte
		text    string
	}{
		{"not signed", c.sign(c.command(cmds.Restart), ""), "not signed"},
		{"forged", c.payload(forged), "signature"},
		{"unknown", c.sign(c.command(cmds.Restart), "nobody"), "nobody here knows the key"},
		{"revoked", c.sign(c.command(cmds.Restart), "olga"), "revoked"},
		{"another station's", c.sign(elsewhere, "anna"), "another station"},
		{"another environment's", c.sign(otherwise, "anna"), "another station or environment"},
		{"late", c.sign(late, "anna"), "too late"},
		{"far ahead", c.sign(ahead, "anna"), "too far ahead"},
		{"of a lower role", c.sign(c.command(cmds.Restart), "otto"), "takes operator"},
		{"none", c.sign(c.command("rm-rf"), "anna"), "no command"},
	} {
		c.orders.strangers = few{}
		c.wants(one.what, c.send(one.payload), message.Refused, one.text, 0)
	}
	c.wants("garbage", c.send([]byte("\xff\x00{")), "", "", 0)
	c.wants("nothing", c.send(nil), "", "", 0)
	c.orders.strangers = few{}
	c.take(c.sign(c.command(cmds.Restart), "anna"), true, c.reply)
	c.works()
	c.wants("retained", c.results[len(c.results)-1], message.Refused, "retained", 0)
	if _, err := os.Stat(filepath.Join(c.dir, "fleet")); err == nil {
		t.Error("what was refused wrote something")
	}
}

func TestTheBrokerStandsForWhatIsListed(t *testing.T) {
	c := newCommanded(t, cmds.Identify)
	c.wants("listed", c.send(c.sign(c.command(cmds.Identify), "")), message.Done, "", 1)
	c.wants("not listed", c.send(c.sign(c.command(cmds.LampTest), "")), message.Refused, "unsigned_commands", 1)
	late := c.command(cmds.Identify)
	late.Expires = c.wall.Add(-time.Second)
	c.wants("late", c.send(c.sign(late, "")), message.Refused, "too late", 1)
}

func TestTheSameNonceGetsItsFormerAnswer(t *testing.T) {
	c := newCommanded(t)
	payload := c.sign(c.command(cmds.Restart), "anna")
	first := c.send(payload)
	again := c.send(payload)
	c.wants("again", again, message.Done, "it is done", 1)
	if again.Nonce != first.Nonce || string(again.Data) != string(first.Data) {
		t.Errorf("%+v, then %+v", first, again)
	}
}

func TestReplaysAreRefusedAcrossRestartsAndJumpsOfTheClock(t *testing.T) {
	c := newCommanded(t)
	old := c.sign(c.command(cmds.Restart), "anna")
	c.send(old)
	c.restart()
	c.wants("after a restart", c.send(old), message.Refused, "taken before", 1)
	noon := c.wall
	c.wall = noon.Add(time.Hour)
	c.wants("a new one, an hour on", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Done, "", 2)
	c.restart()
	c.wall = noon
	r := c.send(old)
	c.wants("after the clock was set back", r, message.Challenged, "not remembered", 2)
	if r.Challenge == "" {
		t.Error("there is no challenge: nobody could give a command until the clock is on again")
	}
}

func TestAListThatIsDamagedLetsNothingComeTwice(t *testing.T) {
	c := newCommanded(t)
	old := c.sign(c.command(cmds.Restart), "anna")
	c.send(old)
	write(t, filepath.Join(c.dir, "fleet", "taken.json"), `{"floor":`)
	c.restart()
	c.wants("the old one", c.send(old), message.Challenged, "challenge", 1)
	c.wants("a new one", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Challenged, "challenge", 1)
	c.wall = c.wall.Add(cmds.Ahead)
	c.wants("the old one, later", c.send(old), message.Refused, "too late", 1)
	c.wants("a new one, later", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Done, "", 2)
}

// Whoever listens to the topic can send again what he heard: that is answered and logged so often and no oftener.
func TestAFloodOfReplaysIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		heard := c.sign(c.command(cmds.Restart), "anna")
		c.send(heard)
		for range 10_000 {
			c.take(heard, false, c.reply)
		}
		if n := strings.Count(c.log.String(), "\n"); len(c.results) > repeatsMost+1 || n > repeatsMost+5 || len(c.done) != 1 {
			t.Errorf("%d answers, %d lines, done %d times", len(c.results), n, len(c.done))
		}
		c.wants("a new one", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Done, "", 2)
	})
}

func TestACardThatTakesNothingTakesNoCommand(t *testing.T) {
	c := newCommanded(t)
	c.replace = func(string, []byte) error { return errors.New("no space left on device") }
	c.wants("full", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Refused, "no space left", 0)
}

func TestWithoutAClockAChallengeOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		c.trusted = false
		cmd := c.command(cmds.Restart)
		cmd.Expires = time.Time{}
		r := c.send(c.sign(cmd, "anna"))
		c.wants("without", r, message.Challenged, "challenge", 0)
		cmd.Challenge = r.Challenge
		stolen := cmd
		stolen.Command = cmds.Drain
		if r := c.send(c.sign(stolen, "olga")); r.Status != message.Refused {
			t.Errorf("the challenge of another key: %+v", r)
		}
		opened := c.sign(cmd, "anna")
		c.wants("with it", c.send(opened), message.Done, "", 1)
		c.wants("again", c.send(opened), message.Done, "", 1)
		c.restart()
		c.wants("after a restart", c.send(opened), message.Refused, "challenge", 1)
		late := c.command(cmds.Restart)
		late.Challenge = c.send(c.sign(late, "anna")).Challenge
		time.Sleep(cmds.ChallengeFor + time.Second)
		c.wants("too old", c.send(c.sign(late, "anna")), message.Refused, "challenge", 1)
		c.trusted = true
		c.wants("with a clock", c.send(opened), message.Refused, "challenge", 1)
	})
}

func TestCommandsAreDoneOneAfterAnotherAndNoMoreWaitThanThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		c.wait = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.orders.Run(ctx) }()
		for range waitingMost + 4 {
			c.take(c.sign(c.command(cmds.Retry), "anna"), false, c.reply)
			synctest.Wait() // the first is under way
		}
		c.mu.Lock()
		done, refused := len(c.done), len(c.results)
		c.mu.Unlock()
		if done != 1 || refused != 3 || c.results[0].Status != message.Refused || !strings.Contains(c.results[0].Text, "wait") {
			t.Errorf("%d are done at a time, %d were refused: %+v", done, refused, c.results)
		}
		close(c.wait)
		synctest.Wait()
		if len(c.done) != waitingMost+1 {
			t.Errorf("%d were done", len(c.done))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestACommandThatWaitedTooLongIsNotDone(t *testing.T) {
	c := newCommanded(t)
	c.take(c.sign(c.command(cmds.Restart), "anna"), false, c.reply)
	c.wall = c.wall.Add(2 * time.Minute)
	c.works()
	c.wants("waited", c.results[0], message.Refused, "waited", 0)
}

// A flood is answered and logged a few times, and those who may are heard beside it.
func TestAFloodIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		forged := message.Envelope{}
		if err := json.Unmarshal(c.sign(c.command(cmds.Restart), "anna"), &forged); err != nil {
			t.Fatal(err)
		}
		forged.Signature[0] ^= 1
		for i := range 10_000 {
			c.take([]byte(fmt.Sprint("garbage ", i)), false, c.reply)
			if i%10 == 0 {
				c.take(c.payload(forged), false, c.reply)
			}
		}
		c.wants("beside it", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Done, "", 1)
		if n := strings.Count(c.log.String(), "command refused"); len(c.results) > strangersMost+1 || n > strangersMost {
			t.Errorf("%d answers, %d lines", len(c.results), n)
		}
		time.Sleep(fewEvery)
		c.send(c.payload(forged))
		if !strings.Contains(c.log.String(), "count=10995") {
			t.Errorf("the log doesn't count them:\n%s", c.log.String())
		}
	})
}

func TestTheFileOfKeysIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		c.wants("before", c.send(c.sign(c.command(cmds.Restart), "olga")), message.Done, "", 1)
		c.keys("anna admin", "olga operator revoked")
		time.Sleep(keysEvery)
		c.wants("revoked", c.send(c.sign(c.command(cmds.Restart), "olga")), message.Refused, "revoked", 1)
		if err := os.Remove(filepath.Join(c.dir, "keys")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keysEvery)
		c.wants("without a file", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Refused, "knows the key", 1)
		if p := c.orders.keys.cond; !p.lost {
			t.Error("nobody says that the file is missing")
		}
	})
}

func TestKeysChangeByCommandForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommanded(t)
		p := &parts{orders: c.orders}
		c.acts[cmds.TrustKey], c.acts[cmds.RevokeKey] = p.orderTrust, p.orderRevoke
		public := strings.Fields(keyLine("bert", cmds.Admin))[2]
		trust, revoke := c.command(cmds.TrustKey), c.command(cmds.RevokeKey)
		trust.Args, revoke.Args = json.RawMessage(`{"id":"bert","role":"admin","key":"`+public+`"}`), json.RawMessage(`{"id":"anna"}`)
		c.wants("last admin", c.send(c.sign(revoke, "anna")), message.Failed, "last key of an admin", 0)
		c.wants("trust", c.send(c.sign(trust, "anna")), message.Done, "bert", 0)
		revoke.Nonce += "2"
		c.wants("revoke", c.send(c.sign(revoke, "bert")), message.Done, "anna", 0)
		c.wants("the old key", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Refused, "revoked", 0)
		c.restart()
		c.wants("the old key after a restart", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Refused, "revoked", 0)
		c.wants("the new one", c.send(c.sign(c.command(cmds.Restart), "bert")), message.Done, "", 1)
		write(t, filepath.Join(c.dir, "fleet", "keys.json"), "{")
		c.restart()
		c.wants("what was revoked can't be read", c.send(c.sign(c.command(cmds.Restart), "anna")), message.Refused, "knows the key", 1)
	})
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	c := newCommanded(t)
	p := &parts{orders: c.orders}
	c.acts[cmds.TrustKey] = p.orderTrust
	for _, args := range []string{`{"id":"x","role":"admin","key":"bm8="}`, `{"id":"x y admin","role":"","key":""}`, `{"key_id":"x"}`, `[]`, `{"id":"s3cret"`} {
		cmd := c.command(cmds.TrustKey)
		if cmd.Args = json.RawMessage(args); !json.Valid(cmd.Args) {
			continue
		}
		c.wants(args, c.send(c.sign(cmd, "anna")), message.Refused, "", 0)
	}
}
