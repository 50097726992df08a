package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"station-agent/uplink/fleet"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

const (
	validFor  = 5 * time.Minute  // a command
	sendAgain = 10 * time.Second // if there is no word of it: the station may just come back. It does it once all the same.
	mostData  = 4 << 20          // of one answer
	mostParts = 1024
)

// order is a command and its arguments.
type order struct {
	name   string
	args   map[string]any
	secret []byte // of set-secret, not sealed yet
}

// readOrder reads the arguments of a command: NAME=VALUE, where numbers, true and false are what they look like, and a file
// where the command is about one.
func readOrder(name string, args []string, in io.Reader) (o order, err error) {
	o = order{name: name, args: map[string]any{}}
	var rest []string
	for _, a := range args {
		field, value, ok := strings.Cut(a, "=")
		if !ok || !only(field, small+digits+"_", 40) {
			rest = append(rest, a)
			continue
		}
		var v any
		switch json.Unmarshal([]byte(value), &v); v.(type) {
		case float64, bool:
			o.args[field] = json.RawMessage(value)
		default:
			o.args[field] = value
		}
	}
	file := func(path string, most int64) ([]byte, error) {
		if path == "-" {
			b, err := io.ReadAll(io.LimitReader(in, most+1))
			if err == nil && int64(len(b)) > most {
				err = fmt.Errorf("it is longer than %d bytes", most)
			}
			return b, err
		}
		return readBounded(path, most)
	}
	switch {
	case name == cmds.SetConfig && len(rest) == 1:
		text, err := file(rest[0], maxConfig)
		if err != nil {
			return o, fmt.Errorf("read configuration: %w", err)
		}
		o.args["config"] = string(text)
	case name == cmds.SetSecret && len(rest) == 2:
		text, err := file(rest[1], maxSecret)
		if err != nil {
			return o, fmt.Errorf("read secret: %w", err)
		}
		o.args["name"] = rest[0]
		if o.secret = []byte(strings.TrimRight(string(text), "\r\n")); len(o.secret) == 0 {
			return o, errors.New("read secret: it is empty")
		}
	case name == cmds.SetConfig:
		return o, errors.New("set-config takes the FILE with the configuration")
	case name == cmds.SetSecret: // a secret on the command line would be seen by everybody on this machine
		return o, errors.New("set-secret takes the secret's NAME, such as certyo.key_file, and the FILE that holds it (- for standard input)")
	case len(rest) > 0:
		return o, fmt.Errorf("%q is no ARG=VALUE", rest[0])
	}
	return o, nil
}

// sender gives commands and takes their results.
type sender struct {
	w    *follower
	id   string
	key  ed25519.PrivateKey // nil: unsigned
	wait time.Duration

	mu      sync.Mutex
	waiting map[string]chan message.Result // by nonce
}

// answered is the last result of a command, and the file that came with it.
type answered struct {
	message.Result
	file []byte
}

// hear hands a result to who waits for it. What nobody waits for is none of ours.
func (s *sender) hear(m fleet.Said) {
	_, leaf, ok := message.Read(m.Topic)
	if !ok || leaf != message.ResultLeaf || m.Retained {
		return
	}
	r, err := message.Decode[message.Result](m.Payload)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.waiting[m.Topic+" "+r.Nonce] <- r:
	default:
	}
}

// obey gives one station an order. A secret is sealed with the station's key, which it is asked for first, and shown by its
// fingerprint to have come over whole.
func (s *sender) obey(ctx context.Context, p message.Place, o order) (answered, error) {
	if o.secret == nil {
		return s.give(ctx, p, o.name, o.args)
	}
	a, err := s.give(ctx, p, cmds.PublicKey, map[string]any{})
	if err != nil || a.Status != message.Done {
		return a, err
	}
	var told struct {
		Key []byte `json:"public_key"`
	}
	if err := json.Unmarshal(a.Data, &told); err != nil || len(told.Key) != 32 {
		return a, fmt.Errorf("seal secret: station %s told no public key of 32 bytes", p.Station)
	}
	sealed, err := cmds.Seal(o.secret, (*[32]byte)(told.Key))
	if err != nil {
		return a, fmt.Errorf("seal secret: %w", err)
	}
	a, err = s.give(ctx, p, o.name, map[string]any{"name": o.args["name"], "sealed": sealed})
	if err != nil || a.Status != message.Done {
		return a, err
	}
	var got struct {
		Fingerprint string `json:"fingerprint"`
	}
	if err := json.Unmarshal(a.Data, &got); err != nil || got.Fingerprint != cmds.Fingerprint(o.secret) {
		return a, fmt.Errorf("set secret: station %s answers another fingerprint than %s: send it again", p.Station, cmds.Fingerprint(o.secret))
	}
	return a, nil
}

// give sends one command, answers a challenge, and gives the last result.
func (s *sender) give(ctx context.Context, p message.Place, name string, args map[string]any) (answered, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return answered{}, err
	}
	c := message.Command{Environment: p.Environment, Station: p.Station, Command: name, Args: text}
	for range 3 { // a challenge may be too old when it is answered
		b := make([]byte, 16)
		_, _ = rand.Read(b) // never fails, see its documentation
		c.Nonce, c.Expires = hex.EncodeToString(b), time.Now().UTC().Add(validFor).Truncate(time.Second)
		a, err := s.once(ctx, p, c)
		if err != nil || a.Status != message.Challenged {
			return a, err
		}
		c.Challenge = a.Challenge
	}
	return answered{}, outcome{exitRefused, fmt.Errorf("send %s: station %s asks for one challenge after another", name, p.Station)}
}

// once sends a command until there is word of it, and collects its results.
func (s *sender) once(ctx context.Context, p message.Place, c message.Command) (answered, error) {
	e, err := cmds.Sign(c, s.id, s.key)
	if err != nil {
		return answered{}, err
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return answered{}, err
	}
	results := make(chan message.Result, mostParts)
	name := p.Topic(message.ResultLeaf) + " " + c.Nonce
	s.mu.Lock()
	s.waiting[name] = results
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.waiting, name); s.mu.Unlock() }()

	patience := time.NewTimer(s.wait)
	defer patience.Stop()
	again := time.NewTicker(sendAgain)
	defer again.Stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var data pieces
	var turned <-chan struct{}
	say, heard := true, false
	for {
		if say {
			desk, change, err := s.w.atDesk(ctx)
			if err != nil {
				return answered{}, err
			}
			if err := desk.Say(ctx, p.Topic(message.CommandLeaf), payload, 1, false); err != nil && ctx.Err() != nil {
				return answered{}, err
			} // one that was lost on the way is sent again
			turned, say = change, false
		}
		select {
		case r := <-results:
			heard = true
			err := data.add(r)
			var file []byte
			if err == nil && r.Status == message.Done {
				file, err = data.whole()
			}
			if err != nil {
				return answered{}, fmt.Errorf("read answer of %s: %w", p.Station, err)
			}
			patience.Reset(s.wait)
			if r.Status != message.Started {
				return answered{r, file}, nil
			}
		case <-turned: // results may have been missed: the same command again has the same answer
			say = true
		case <-again.C:
			say = !heard
		case <-patience.C:
			text := "it may be off, or not take commands from this account; if it comes back before %s it may still do it"
			return answered{}, outcome{exitNoAnswer, fmt.Errorf("send %s: no answer from station %s for %s: "+text, c.Command, p.Station, s.wait, c.Expires.Local().Format(time.TimeOnly))}
		case <-ctx.Done():
			return answered{}, ctx.Err()
		}
	}
}

// pieces collects data that didn't fit into one message, such as a bundle.
type pieces struct {
	want  int // so many
	sum   string
	got   map[int][]byte
	bytes int
}

// add takes a result, if it has a piece.
func (d *pieces) add(r message.Result) error {
	if r.Parts == 0 {
		return nil
	}
	if r.Parts > mostParts || r.Part < 1 || r.Part > r.Parts || d.want != 0 && r.Parts != d.want {
		return fmt.Errorf("part %d of %d makes no sense", r.Part, r.Parts)
	}
	var piece struct {
		SHA256 string `json:"sha256"` // of the whole, in hexadecimal
		Data   []byte `json:"data"`
	}
	if err := json.Unmarshal(r.Data, &piece); err != nil {
		return fmt.Errorf("part %d holds no data", r.Part)
	}
	if d.got == nil {
		d.got = map[int][]byte{}
	}
	if _, twice := d.got[r.Part]; !twice {
		d.got[r.Part] = piece.Data
		d.bytes += len(piece.Data)
	}
	d.want, d.sum = r.Parts, piece.SHA256
	if d.bytes > mostData {
		return fmt.Errorf("it is longer than %d bytes", mostData)
	}
	return nil
}

// whole is what the pieces make up; nil if there were none.
func (d *pieces) whole() (b []byte, err error) {
	if d.want == 0 {
		return nil, nil
	}
	for i := 1; i <= d.want; i++ {
		b = append(b, d.got[i]...)
	}
	if sum := sha256.Sum256(b); len(d.got) != d.want || hex.EncodeToString(sum[:]) != d.sum {
		return nil, fmt.Errorf("%d of %d parts came, and not as they were: send it again", len(d.got), d.want)
	}
	return b, nil
}
