package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// What the commands of the fleet do. What a command of the command line can have done by a desk of this agent is done by that desk.

const (
	identifyFor = 30 * time.Second
	drainFor    = time.Minute
	pauseFor    = time.Hour
	levelFor    = time.Hour
	longest     = 24 * time.Hour
	drainLook   = 200 * time.Millisecond
	partingWord = 500 * time.Millisecond // for what was said to get to the broker, before the agent stops
)

// errLater says that the next start answers.
var errLater = errors.New("the next start answers")

// argsOf reads the arguments of a command; a field that isn't there is a slip of somebody far away.
func argsOf[T any](o *task) (args T, err error) {
	d := json.NewDecoder(bytes.NewReader(o.Args))
	d.DisallowUnknownFields()
	if len(o.Args) > 0 {
		err = d.Decode(&args)
	}
	if err != nil { // the decoder may repeat a value
		return args, usageError{fmt.Errorf("the arguments are not those of %s: see README.md", o.Command.Command)}
	}
	return args, nil
}

// secondsOf is a time of the arguments, in its bounds; 0 stands for the usual one.
func secondsOf(name string, s float64, usual, least, most time.Duration) (time.Duration, error) {
	if s == 0 {
		return usual, nil
	}
	if !(s >= least.Seconds() && s <= most.Seconds()) { // not a number neither
		return 0, usageError{fmt.Errorf("%s is not between %v and %v", name, least.Seconds(), most.Seconds())}
	}
	return time.Duration(s * float64(time.Second)), nil
}

// orderActs lists what this station does.
func (p *parts) orderActs() map[string]act {
	return map[string]act{
		cmds.Identify: p.orderIdentify, cmds.PublicKey: p.orderPublicKey, cmds.LampTest: p.orderLampTest, cmds.Diagnostics: p.orderBundle,
		cmds.Snapshot: p.orderSnapshot, cmds.Resync: p.orderResync, cmds.Retry: p.orderRetry, cmds.Drain: p.orderDrain,
		cmds.Pause: p.orderPause, cmds.Resume: p.orderResume, cmds.LogLevel: p.orderLevel, cmds.Restart: p.orderRestart,
		cmds.SetConfig: p.orderSetConfig, cmds.ConfirmConfig: p.orderConfirm, cmds.SetSecret: p.orderSetSecret,
		cmds.TrustKey: p.orderTrust, cmds.RevokeKey: p.orderRevoke,
	}
}

// ask has a desk of this agent do something.
func ask(ctx context.Context, desk http.Handler, method, path string, body any) ([]byte, error) {
	req, err := newRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	res := direct(desk, req, io.NopCloser(nil))
	if err := refused(res, "this station"); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 32<<20))
	return b, errors.Join(err, res.Body.Close())
}

// askAs asks and reads the answer.
func askAs[T any](ctx context.Context, desk http.Handler, method, path string, body any) (v T, err error) {
	b, err := ask(ctx, desk, method, path, body)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &v)
	}
	return v, err
}

// identity is who answers.
type identity struct {
	Name        string `json:"name"`
	Station     string `json:"station"`
	Environment string `json:"environment"`
	Version     string `json:"version"`
	Store       string `json:"store"`
	PublicKey   string `json:"public_key"` // X25519, base64: what secrets are sealed to
}

func (p *parts) identity() (identity, error) {
	public, _, err := p.sealed.pair()
	if err != nil {
		return identity{}, fmt.Errorf("read the station's key: %w", err)
	}
	return identity{p.cfg.Station.Name, p.cfg.Station.UUID, p.cfg.Environment, version, p.store.ID(), base64.StdEncoding.EncodeToString(public[:])}, nil
}

func (p *parts) orderIdentify(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		ForS float64 `json:"for_s"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	long, err := secondsOf("for_s", args.ForS, identifyFor, time.Second, 10*time.Minute)
	if err != nil {
		return "", nil, err
	}
	who, err := p.identity()
	if p.player == nil {
		return "it has no lamp to blink with", who, err
	}
	p.blink.on(long)
	return fmt.Sprintf("all lamps blink for %v", long), who, err
}

func (p *parts) orderPublicKey(context.Context, *task, func(message.Result)) (string, any, error) {
	who, err := p.identity()
	return "", who, err
}

func (p *parts) orderLampTest(ctx context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Signal string `json:"signal"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	played, err := askAs[lampAnswer](ctx, p.control, http.MethodPost, "/lamp-test?signal="+url.QueryEscape(args.Signal), nil)
	return "outputs: " + strings.Join(played.Lamps, ", "), played, err
}

type tableArgs struct {
	Table string `json:"table"` // SCHEMA.TABLE; "": all that are captured
}

// eachTable does something to one captured table, or all.
func (p *parts) eachTable(o *task, do func(table string) error) error {
	args, err := argsOf[tableArgs](o)
	if err != nil || args.Table != "" {
		return errors.Join(err, do(args.Table))
	}
	if p.cfg.Capture.Source == byNone {
		return errNotCaptured
	}
	var errs []error
	for _, t := range p.cfg.tables() {
		errs = append(errs, do(t.Spec.String()))
	}
	return errors.Join(errs...)
}

func (p *parts) orderSnapshot(ctx context.Context, o *task, _ func(message.Result)) (string, any, error) {
	return "the rows are reported once more, as they are read", nil, p.eachTable(o, func(table string) error {
		_, err := ask(ctx, p.control, http.MethodPost, "/snapshot?table="+url.QueryEscape(table), nil)
		return err
	})
}

func (p *parts) orderResync(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	return "the rows are compared with what was reported; what differs is reported, and a record in station_agent_gaps says so", nil, p.eachTable(o, p.resync)
}

func (p *parts) orderRetry(ctx context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Seqs       []uint64 `json:"seqs"`
		All        bool     `json:"all"`
		Refusal    string   `json:"refusal"`
		Collection string   `json:"collection"`
		Table      string   `json:"table"`
		OlderS     float64  `json:"older_s"`
		NewerS     float64  `json:"newer_s"`
		From       uint64   `json:"from"`
		To         uint64   `json:"to"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	c := choice{Seqs: args.Seqs, All: args.All, Refusal: args.Refusal, Collection: args.Collection, Table: args.Table,
		Older: seconds(args.OlderS), Newer: seconds(args.NewerS), From: args.From, To: args.To}
	if err := c.one(); err != nil {
		return "", nil, usageError{errors.New(`say which: {"all":true}, {"seqs":[…]}, or what they have in common: refusal, collection, table, older_s, newer_s, from, to`)}
	}
	done, err := askAs[struct {
		Count int `json:"count"`
	}](ctx, p.control, http.MethodPost, "/outbox/retry", c)
	return fmt.Sprintf("%d records are sent again", done.Count), done, err
}

// orderDrain sends what waits and answers when nothing does any more.
func (p *parts) orderDrain(ctx context.Context, o *task, tell func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		WithinS float64 `json:"within_s"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	within, err := secondsOf("within_s", args.WithinS, drainFor, time.Second, 10*time.Minute)
	switch {
	case err != nil:
		return "", nil, err
	case p.pause.on():
		return "", nil, errors.New("delivery rests: resume it first")
	}
	tell(message.Result{Status: message.Started, Text: fmt.Sprintf("%d records wait", p.store.DB.Stats().QueueRecords)})
	p.courier.Hurry(true)
	defer p.courier.Hurry(false)
	look := time.NewTicker(drainLook)
	defer look.Stop()
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		n := p.store.DB.Stats().QueueRecords
		if n == 0 {
			return "nothing waits any more", nil, nil
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-late.C:
			return "", nil, fmt.Errorf("%d records wait still after %v%s", n, within, p.board.why("certyo"))
		case <-look.C:
		}
	}
}

func (p *parts) orderPause(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		ForS float64 `json:"for_s"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	long, err := secondsOf("for_s", args.ForS, pauseFor, time.Second, longest)
	if err != nil {
		return "", nil, err
	}
	if err := p.pause.begin(long); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("delivery and capture rest for %v, until resume or a restart; the bench goes on", long), nil, nil
}

func (p *parts) orderResume(context.Context, *task, func(message.Result)) (string, any, error) {
	if !p.pause.end() {
		return "nothing rested", nil, nil
	}
	return "delivery and capture go on", nil, nil
}

func (p *parts) orderLevel(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Level string  `json:"level"`
		ForS  float64 `json:"for_s"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	long, err := secondsOf("for_s", args.ForS, levelFor, time.Second, longest)
	if err == nil {
		err = p.level.set(args.Level, long)
	}
	return fmt.Sprintf("the log is at %s for %v, or until a restart", args.Level, long), nil, err
}

func (p *parts) orderRestart(ctx context.Context, o *task, tell func(message.Result)) (string, any, error) {
	if _, err := argsOf[struct{}](o); err != nil {
		return "", nil, err
	}
	text := "the agent stops and starts again"
	err := addLate(p.orders.dir, p.orders.replace, message.Result{Nonce: o.Nonce, Command: o.Command.Command, Status: message.Done, Text: "the agent was started again, version " + version})
	if err != nil {
		text += "; the start can't answer: " + err.Error()
	}
	tell(message.Result{Status: message.Started, Text: text})
	wait(ctx, partingWord)
	p.restart("a command of the fleet")
	return "", nil, errLater
}

func (p *parts) orderSetConfig(ctx context.Context, o *task, tell func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Config  string  `json:"config"`
		WithinS float64 `json:"within_s"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	within, err := secondsOf("within_s", args.WithinS, trialTime, trialLeast, trialMost)
	if err != nil {
		return "", nil, err
	}
	sum, err := p.trials.put([]byte(args.Config), within, o.Nonce)
	if err != nil {
		return "", nil, err
	}
	data, _ := json.Marshal(map[string]string{"digest": sum}) // of a text
	tell(message.Result{Status: message.Started, Data: data,
		Text: fmt.Sprintf("the agent starts again with configuration %s, on trial: send confirm-config with this digest within %v, or the former one comes back", sum, within)})
	wait(ctx, partingWord)
	p.restart("a configuration of the fleet is on trial")
	return "", nil, errLater
}

func (p *parts) orderConfirm(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Digest string `json:"digest"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	if err := p.trials.confirm(args.Digest); err != nil {
		return "", nil, fmt.Errorf("confirm configuration: %w", err)
	}
	return "configuration " + args.Digest + " counts from now on, until somebody edits the file at the station", nil, nil
}

func (p *parts) orderSetSecret(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		Name   string `json:"name"`
		Sealed []byte `json:"sealed"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	p.scrub.learn(p.cfg) // what it was may stand in a line of the log
	fingerprint, later, err := p.sealed.set(args.Name, args.Sealed)
	if err != nil {
		return "", nil, fmt.Errorf("set %s: %w", cut(args.Name, 40), err)
	}
	text := args.Name + " is used at the next connection"
	if later {
		text = args.Name + " is used from the next start on: restart"
	}
	return text, map[string]string{"name": args.Name, "fingerprint": fingerprint}, nil
}

func (p *parts) orderTrust(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		ID   string `json:"id"`
		Role string `json:"role"`
		Key  string `json:"key"` // base64
	}](o)
	if err != nil {
		return "", nil, err
	}
	key, err := cmds.ParseKey(args.ID + " " + args.Role + " " + args.Key)
	if err != nil || key.ID != args.ID {
		return "", nil, usageError{errors.New("that is no key: send id, role (observer, operator or admin) and key, 32 bytes in base64")}
	}
	err = p.orders.keys.change(func(c cmds.Changes, file []cmds.Line) (cmds.Changes, error) { return c.Trust(file, key) })
	return fmt.Sprintf("key %s is trusted as %s, until its line in fleet.keys_file changes", key.ID, key.Role), nil, err
}

func (p *parts) orderRevoke(_ context.Context, o *task, _ func(message.Result)) (string, any, error) {
	args, err := argsOf[struct {
		ID string `json:"id"`
	}](o)
	if err != nil {
		return "", nil, err
	}
	err = p.orders.keys.change(func(c cmds.Changes, file []cmds.Line) (cmds.Changes, error) { return c.Revoke(file, args.ID) })
	return fmt.Sprintf("key %s is revoked; revoke it in fleet.keys_file too: another card has only that", args.ID), nil, err
}
