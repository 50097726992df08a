package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"station-agent/store"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// A configuration that the fleet sends stands beside the store, and which one counts in one small file:
//
//	<store>/fleet/config.json          over: digest of the file on the card, accepted, trial
//	<store>/fleet/config-DIGEST.toml   the text
//
//	             set-config             start              confirm-config
//	former one ─────────────▶ on trial ────────▶ begun ───────────────────▶ accepted
//	      ▲                       │                │
//	      └───────────────────────┴────────────────┘ the former one counts again
//
// A trial begins once: if it ends in any way but by being confirmed, be it by a crash, an error at the start, its time or a pulled plug, the
// next start is with the former one. The text is whole on disk before config.json names it. Who edits the file on the
// card has the last word: nothing that was sent over another one counts.

const (
	fleetFolder = "fleet" // in the store's: what commands left behind
	trialTime   = 5 * time.Minute
	trialLeast  = 10 * time.Second
	trialMost   = time.Hour
)

// sentConfig is config.json.
type sentConfig struct {
	Over     string `json:"over"`               // digest of the file on the card that it takes the place of
	Accepted string `json:"accepted,omitempty"` // digest of the text that counts; "": that of the card does
	Trial    *trial `json:"trial,omitempty"`
}

// trial is a configuration that nobody has confirmed yet.
type trial struct {
	Digest  string  `json:"digest"`
	WithinS float64 `json:"within_s"` // from its start
	Begun   bool    `json:"begun"`
	Nonce   string  `json:"nonce"` // of the command that sent it
}

func (t trial) within() time.Duration { return time.Duration(t.WithinS * float64(time.Second)) }

// trials knows which configuration counts.
type trials struct {
	file string // on the card
	dir  string
	over string // digest of the file as it was read

	replace func(path string, b []byte) error // durably, or not at all
	remove  func(path string) error

	notes     []string // for the log, which isn't there yet
	confirmed chan struct{}

	writing sync.Mutex // from reading config.json to writing it

	mu      sync.Mutex
	lock    *os.File
	running *trial // what this agent runs, if it is on trial
}

func newTrials(file string, card *config, data []byte) *trials {
	return &trials{file: file, dir: filepath.Join(card.Store.Folder, fleetFolder), over: digest(data), replace: store.Replace, remove: os.Remove,
		confirmed: make(chan struct{})}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (t *trials) stateFile() string { return filepath.Join(t.dir, "config.json") }
func (t *trials) textFile(digest string) string {
	return filepath.Join(t.dir, "config-"+digest+".toml")
}

// load gives config.json; the zero value if nothing was sent.
func (t *trials) load() (s sentConfig, err error) {
	b, err := readBounded(t.stateFile(), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

func (t *trials) save(s sentConfig) error {
	return keep(t.replace, t.stateFile(), s)
}

// text reads a configuration that was sent, for a station whose card has another one.
func (t *trials) text(sum string, card *config) (*config, error) {
	if !only(sum, digits+"abcdef", 64) {
		return nil, errors.New("read configuration that was sent: its digest is damaged")
	}
	b, err := readBounded(t.textFile(sum), maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read configuration that was sent: %w", err)
	}
	if digest(b) != sum {
		return nil, fmt.Errorf("read configuration that was sent: %s is damaged", t.textFile(sum))
	}
	return parseSent(b, card)
}

// parseSent checks a configuration as config check does, and that it is for the same store.
func parseSent(text []byte, card *config) (*config, error) {
	c, err := parseConfig("configuration", text)
	if bad, ok := errors.AsType[*configError](err); ok {
		bad.all = true
		return nil, errors.New(cut(oneLine(strings.ReplaceAll(bad.Error(), "\nstation-agent: ", "; ")), 2000))
	}
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ field, now, then string }{
		{"environment", card.Environment, c.Environment}, {"station.uuid", card.Station.UUID, c.Station.UUID},
		{"store.folder", card.Store.Folder, c.Store.Folder}, {"mysql.address", card.MySQL.Address, c.MySQL.Address}, {"mysql.schema", card.MySQL.Schema, c.MySQL.Schema},
	} {
		if f.now != f.then {
			return nil, fmt.Errorf("%s can't be changed from afar: the store on the card belongs to what it is now: change it at the station", f.field)
		}
	}
	return c, nil
}

// counts gives the configuration that the agent runs or would run, for a command that only looks.
func (t *trials) counts(card *config) *config {
	s, err := t.load()
	if err != nil || s.Over != t.over {
		return card
	}
	sum := s.Accepted
	if s.Trial != nil && s.Trial.Begun {
		sum = s.Trial.Digest
	}
	if sum == "" {
		return card
	}
	if c, err := t.text(sum, card); err == nil {
		return c
	}
	return card
}

// choose gives the configuration to start with, and begins a trial that waits for it.
func (t *trials) choose(card *config) *config {
	s, err := t.load()
	if err != nil {
		t.note("what the fleet sent can't be read, the file counts: %v", err)
		return card
	}
	if s == (sentConfig{}) || t.hold() != nil { // another agent runs: the store says so
		return card
	}
	if s.Over != t.over {
		t.note("the file was changed, so what the fleet had sent does not count any more")
		t.forget()
		return card
	}
	if s.Trial != nil {
		c, why := t.begin(&s, card)
		if why == nil {
			return c
		}
		if err := t.back(why); err != nil {
			t.note("the configuration on trial is left, but that can't be noted: %v", err)
		}
	}
	if s.Accepted == "" {
		return card
	}
	c, err := t.text(s.Accepted, card)
	if err != nil {
		t.note("the configuration that the fleet sent can't be used, the file counts: %v", err)
		return card
	}
	t.note("the configuration that the fleet sent counts: %s", s.Accepted)
	return c
}

func (t *trials) note(format string, args ...any) {
	t.notes = append(t.notes, oneLine(fmt.Sprintf(format, args...)))
}

var errBroken = errors.New("the agent ended before it was confirmed")

// begin begins a trial. That it has begun is on disk before it does.
func (t *trials) begin(s *sentConfig, card *config) (*config, error) {
	if s.Trial.Begun {
		return nil, errBroken
	}
	c, err := t.text(s.Trial.Digest, card)
	if err != nil {
		return nil, err
	}
	s.Trial.Begun = true
	if err := t.save(*s); err != nil {
		return nil, fmt.Errorf("note that the trial begins: %w", err)
	}
	t.note("a configuration of the fleet is on trial for %v: %s", s.Trial.within(), s.Trial.Digest)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = s.Trial
	return c, nil
}

// hold keeps another agent from choosing, as long as this process lives.
func (t *trials) hold() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lock != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(t.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(err, f.Close())
	}
	t.lock = f
	return nil
}

// close lets go of the lock.
func (t *trials) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lock != nil {
		_ = t.lock.Close() // nothing was written to it
		t.lock = nil
	}
}

// onTrial is the trial that this agent runs, nil if it runs what counts.
func (t *trials) onTrial() *trial {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// put takes in a configuration: the next start is its trial. The text is that of the command.
func (t *trials) put(text []byte, within time.Duration, nonce string) (sum string, err error) {
	t.writing.Lock()
	defer t.writing.Unlock()
	card, data, err := loadFile(t.file)
	if err != nil {
		return "", fmt.Errorf("read the file that it takes the place of: %w", err)
	}
	if _, err := parseSent(text, card); err != nil {
		return "", err
	}
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return "", err
	}
	if err := t.hold(); err != nil {
		return "", fmt.Errorf("lock %s: %w", t.dir, err)
	}
	s, err := t.load()
	switch {
	case err != nil, s.Over != digest(data):
		s = sentConfig{Over: digest(data)}
	case s.Trial != nil:
		return "", fmt.Errorf("a configuration is on trial: confirm-config %s first, or wait until it is over", s.Trial.Digest)
	}
	sum = digest(text)
	s.Trial = &trial{Digest: sum, WithinS: within.Seconds(), Nonce: nonce}
	if err := t.replace(t.textFile(sum), text); err != nil {
		return "", err
	}
	return sum, t.save(s)
}

// confirm makes the configuration on trial the one that counts.
func (t *trials) confirm(sum string) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.mu.Lock()
	running := t.running
	t.mu.Unlock()
	switch s, err := t.load(); {
	case err != nil:
		return err
	case running == nil || s.Trial == nil || s.Over != t.over:
		return errors.New("no configuration is on trial")
	case s.Trial.Digest != sum:
		return fmt.Errorf("another configuration is on trial: %s", s.Trial.Digest)
	default:
		if err := t.save(sentConfig{Over: s.Over, Accepted: sum}); err != nil {
			return err
		}
		t.tidy(sum)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != nil {
		t.running = nil
		close(t.confirmed)
	}
	return nil
}

// back ends a trial that was not confirmed: what counted before counts again from the next start on, which tells it.
func (t *trials) back(why error) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	s, err := t.load()
	if err != nil || s.Trial == nil {
		return err
	}
	nonce := s.Trial.Nonce
	s.Trial = nil
	if err := t.save(s); err != nil {
		return err
	}
	t.tidy(s.Accepted)
	text := cut("the former configuration counts again: "+oneLine(why.Error()), 2000)
	t.note("%s", text)
	return addLate(t.dir, t.replace, message.Result{Nonce: nonce, Command: cmds.SetConfig, Status: message.Failed, Text: text})
}

// forget lets the file on the card count.
func (t *trials) forget() {
	if err := t.remove(t.stateFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.note("remove what the fleet sent: %v", err) // it does not count either way
	}
	t.tidy("")
}

// tidy removes the texts that nothing names. What stays takes room and no more.
func (t *trials) tidy(keep string) {
	files, _ := filepath.Glob(filepath.Join(t.dir, "config-*.toml*"))
	for _, f := range files {
		if keep == "" || f != t.textFile(keep) {
			_ = t.remove(f)
		}
	}
}

// watch ends a trial that nobody confirms in time: it goes back and has the agent start again.
func (t *trials) watch(ctx context.Context, within time.Duration, restart func(why string)) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-t.confirmed:
	case <-timer.C:
		_ = t.back(fmt.Errorf("nobody confirmed the other one within %v", within)) // if it can't be noted the next start goes back, as the trial has begun
		select {
		case <-t.confirmed: // just now
		default:
			restart("nobody confirmed the configuration on trial")
		}
	}
}
