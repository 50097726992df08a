package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"station-agent/store/record"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// orders does what the fleet wants of this station: one thing after another, in a goroutine of its own, so that neither the
// broker's connection nor the bench ever waits for it.
//
//	broker ──take──▶ who, where, when, for the first time ──▶ queue of 16 ──Run──▶ noted on disk ──▶ done ──▶ result
//	                        │ no                                │ full
//	                        └──────────── refused ◀─────────────┘
//
// Nothing is written for what is refused, so that whoever floods the topic wears out no card.
type orders struct {
	log      *slog.Logger
	here     message.Place
	session  uint64
	now      func() record.Stamp
	dir      string // of what outlives a restart
	keys     *trustedKeys
	unsigned []string // commands for which the broker's list of rights may stand
	acts     map[string]act
	cond     *condition
	replace  func(path string, b []byte) error
	happened func(text string) // tells the fleet of a command that was done

	queue chan *task

	mu         sync.Mutex
	taken      cmds.Taken
	challenges cmds.Challenges
	known      map[string]*task // by whom and nonce: what was answered
	oldest     []string         // of known
	damaged    bool             // nobody knows what was taken before
	strangers  few              // what nobody proved
	repeats    few              // what was signed and isn't done: whoever listens can send that again
	late       []message.Result // to be told at the start
}

// task is a command that may be done.
type task struct {
	message.Command
	key   string // id; "" if it isn't signed
	reply func(message.Result)
	last  *message.Result // nil before the first one; guarded by orders.mu
}

// act does one command. What it gives is text for people and data; what it says before goes through tell.
type act func(ctx context.Context, o *task, tell func(message.Result)) (text string, data any, err error)

const (
	waitingMost = 16
	knownMost   = 256
	keptData    = 4 << 10 // bytes of a result that is told again
	takenFile   = "taken.json"
)

// newOrders makes the executor. What was taken before is read from dir; if it can't be, it is challenges that open for as long as
// anything could come again.
func newOrders(o *orders) *orders {
	o.queue, o.known = make(chan *task, waitingMost), map[string]*task{}
	b, err := readBounded(filepath.Join(o.dir, takenFile), 1<<20)
	if err == nil {
		err = json.Unmarshal(b, &o.taken)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		o.taken, o.damaged = cmds.Taken{}, true
		o.log.Warn("the list of commands that were taken can't be read: new ones are taken by challenge for a while", "err", err)
	}
	o.late = readLate(o.dir)
	return o
}

var (
	errRetained = errors.New("it is retained: a command is for now: publish it without the flag, and clear the topic")
	errUnsigned = errors.New("it is not signed, and fleet.unsigned_commands does not list it")
)

// take takes in a message of the command topic. It doesn't wait for anything.
func (o *orders) take(payload []byte, retained bool, reply func(message.Result)) {
	e, err := message.Decode[message.Envelope](payload)
	if err != nil {
		o.stranger(e, cmds.ErrForm, reply)
		return
	}
	c, key, err := cmds.Verify(e, o.keys.now(), o.here)
	if err == nil && retained {
		err = errRetained
	}
	if err != nil {
		o.stranger(e, err, reply)
		return
	}
	one := &task{Command: c, key: key.ID, reply: reply}
	var r *message.Result
	if err := o.may(c, key); err != nil {
		r = &message.Result{Status: message.Refused, Text: err.Error()}
	} else {
		r = o.admit(one)
	}
	if r != nil && o.isFew(&o.repeats, repeatsMost) {
		o.answer(one, *r)
	}
}

// may tells why the holder of a key may not give a command; the zero key is nobody's.
func (o *orders) may(c message.Command, key cmds.Key) error {
	need, known := cmds.Needs(c.Command)
	switch {
	case !known || o.acts[c.Command] == nil:
		return fmt.Errorf("%q is no command of this station: there are %s", cut(c.Command, 40), strings.Join(cmds.Names(), ", "))
	case key.ID == "" && !slices.Contains(o.unsigned, c.Command):
		return errUnsigned
	case key.ID != "" && !key.Role.May(need):
		return fmt.Errorf("key %s is of the role %s, and %s takes %s", key.ID, key.Role, c.Command, need)
	}
	return nil
}

// admit puts a command into the queue, or gives what is answered instead.
func (o *orders) admit(one *task) *message.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := one.key + "/" + one.Nonce
	if before := o.known[id]; before != nil {
		if before.last == nil {
			return &message.Result{Status: message.Started, Text: "it waits for its turn"}
		}
		return before.last // as it was
	}
	if len(o.queue) == cap(o.queue) {
		return &message.Result{Status: message.Refused, Text: fmt.Sprintf("%d commands wait: try again", len(o.queue))}
	}
	err := o.inTime(one)
	switch {
	case errors.Is(err, errChallenge):
		return &message.Result{Status: message.Challenged, Text: err.Error(), Challenge: o.challenges.Give(one.key, one.Nonce, time.Now())}
	case err != nil:
		return &message.Result{Status: message.Refused, Text: err.Error()}
	}
	if o.oldest = append(o.oldest, id); len(o.oldest) > knownMost {
		delete(o.known, o.oldest[0])
		o.oldest = o.oldest[1:]
	}
	o.known[id] = one
	o.queue <- one // there is room, and nobody else puts in
	return nil
}

var errChallenge = errors.New("sign it again with this challenge, within a minute")

// inTime tells why a command isn't taken now. One that nobody signed could be made anew by whoever repeats it.
func (o *orders) inTime(one *task) error {
	now := o.now()
	if o.damaged && now.Trusted {
		o.taken.Floor, o.damaged = now.Wall.Add(cmds.Ahead), false
	}
	switch {
	case one.key == "" && (!now.Trusted || one.Expires.IsZero() || one.Expires.After(now.Wall)):
		return nil
	case one.key == "":
		return cmds.ErrLate
	case one.Challenge != "" && o.taken.Has(one.key, one.Nonce):
		return cmds.ErrReplayed
	case one.Challenge != "":
		return o.challenges.Use(one.key, one.Command, time.Now())
	case !now.Trusted:
		return fmt.Errorf("the station has no time that it trusts: %w", errChallenge)
	}
	err := o.taken.Check(one.key, one.Command, now.Wall)
	if errors.Is(err, cmds.ErrFloor) {
		return fmt.Errorf("%w: %w", err, errChallenge)
	}
	return err
}

// Run does the commands until ctx ends. It tells what the run before left to be told first.
func (o *orders) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case one := <-o.queue:
			o.do(ctx, one)
		}
	}
}

// do does one command.
func (o *orders) do(ctx context.Context, one *task) {
	if err := o.noted(one); err != nil {
		o.answer(one, message.Result{Status: message.Refused, Text: err.Error()})
		return
	}
	text, data, err := o.acts[one.Command.Command](ctx, one, func(r message.Result) { o.answer(one, r) })
	r := message.Result{Status: message.Done, Text: text}
	switch {
	case errors.Is(err, errLater):
		return // the next start answers
	case err != nil && ctx.Err() != nil:
		r.Status, r.Text = message.Failed, "the agent was stopped meanwhile"
	case err != nil:
		r.Status, r.Text = message.Failed, err.Error()
		if _, wrong := errors.AsType[usageError](err); wrong {
			r.Status = message.Refused
		}
	case data != nil:
		if last, ok := data.(message.Result); ok { // of several parts
			r = last
			break
		}
		if r.Data, err = json.Marshal(data); err != nil {
			r.Status, r.Text, r.Data = message.Failed, err.Error(), nil
		}
	}
	o.answer(one, r)
}

// noted makes it durable that a command is taken, so that it can't come again after a restart. One with a challenge can't: the
// challenge is void then.
func (o *orders) noted(one *task) error {
	if one.key == "" || one.Challenge != "" {
		return nil
	}
	now := o.now()
	if now.Trusted && !one.Expires.After(now.Wall) {
		return fmt.Errorf("%w: it waited for others too long: sign it anew", cmds.ErrLate)
	}
	o.mu.Lock()
	taken := o.taken.With(one.key, one.Command, now.Wall)
	o.mu.Unlock()
	if err := keep(o.replace, filepath.Join(o.dir, takenFile), taken); err != nil {
		o.cond.Lost(err)
		return fmt.Errorf("it can't be noted on the card that it was taken, so it could be done twice: %w", err)
	}
	o.cond.Back()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = taken
	return nil
}

// answer tells a result of a command, and logs it in one line.
func (o *orders) answer(one *task, r message.Result) {
	r.Nonce, r.Command, r.Session, r.At = one.Nonce, one.Command.Command, o.session, o.now().Wall.UTC()
	r.Text = cut(oneLine(r.Text), 2000)
	if r.Part <= 1 {
		o.log.Info("command", "command", r.Command, "key", cmp.Or(one.key, "not signed"), "nonce", r.Nonce, "status", string(r.Status), "text", r.Text)
		if (r.Status == message.Done || r.Status == message.Failed) && o.happened != nil {
			o.happened(fmt.Sprintf("%s by key %s: %s: %s", r.Command, cmp.Or(one.key, "none"), r.Status, r.Text))
		}
	}
	o.mu.Lock()
	if o.known[one.key+"/"+one.Nonce] == one {
		kept := r
		if len(kept.Data) > keptData {
			kept.Data, kept.Part, kept.Parts = nil, 0, 0
			kept.Text += " (what it gave isn't kept: send it with another nonce)"
		}
		one.last = &kept
	}
	o.mu.Unlock()
	one.reply(r)
}

// toldLate gives what the run before left to be told, once.
func (o *orders) toldLate() []message.Result {
	o.mu.Lock()
	list := o.late
	o.late = nil
	o.mu.Unlock()
	for i := range list {
		list[i].Session, list[i].At = o.session, o.now().Wall.UTC()
		o.log.Info("command", "command", list[i].Command, "nonce", list[i].Nonce, "status", string(list[i].Status), "text", list[i].Text)
	}
	if len(list) > 0 {
		if err := os.Remove(filepath.Join(o.dir, lateFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			o.cond.Lost(err)
		}
	}
	return list
}

// few keeps floods from filling log, card and broker: some are answered and logged, the others counted.
type few struct {
	since time.Time
	n     int
	more  uint64
}

const (
	strangersMost = 5 // answered and logged
	repeatsMost   = 20
	fewEvery      = 10 * time.Second
)

// isFew tells whether one more is answered and logged, and logs how many were not before it.
func (o *orders) isFew(f *few, most int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(f.since) >= fewEvery {
		f.since, f.n = now, 0
	}
	if f.n == most {
		f.more++
		return false
	}
	if f.n++; f.more > 0 {
		o.log.Warn("messages on the command topic were refused and not answered", "count", f.more)
		f.more = 0
	}
	return true
}

// stranger refuses what isn't proven to come from anybody.
func (o *orders) stranger(e message.Envelope, why error, reply func(message.Result)) {
	if !o.isFew(&o.strangers, strangersMost) {
		return
	}
	nonce, name, named := cmds.Claims(e)
	o.log.Warn("command refused", "command", name, "key", oneLine(cut(e.Key, 64)), "nonce", nonce, "text", why.Error())
	if named {
		reply(message.Result{Nonce: nonce, Command: name, Status: message.Refused, Text: why.Error(), Session: o.session, At: o.now().Wall})
	}
}
