package station

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"station-agent/station/codec"
	"station-agent/store/record"
)

// Decoder makes of a reader's bytes what a Reader would.
type Decoder struct {
	codec codec.Codec
	kind  Kind
}

// NewDecoder gives the decoder of a reader. The error says that its protocol is unknown.
func NewDecoder(r TapedReader) (Decoder, error) {
	p, err := codec.Find(cmp.Or(r.Codec, "line"))
	if err != nil {
		return Decoder{}, fmt.Errorf("reader %s: protocol %w", r.Name, err)
	}
	return Decoder{p.New(codec.Config{Reader: r.Name, Prefix: r.Prefix}), r.Kind}, nil
}

// Feed takes in bytes and gives the tags that they complete.
func (d Decoder) Feed(p []byte) []record.Tag { return d.tags(d.codec.Feed(p)) }

// Idle says that no byte came for the idle gap.
func (d Decoder) Idle() []record.Tag { return d.tags(d.codec.Idle()) }

// Gone says that the reader was unplugged.
func (d Decoder) Gone() []record.Tag { return d.tags(d.codec.Gone()) }

// Bad counts the frames that were damaged.
func (d Decoder) Bad() uint64 { return d.codec.Bad() }

func (d Decoder) tags(read []codec.Tag) (tags []record.Tag) {
	for _, t := range read {
		tags = append(tags, d.kind.tag(t))
	}
	return tags
}

// Answer is one thing that the bench told when the recording was made, and tells now.
type Answer struct {
	At     time.Duration
	Then   *record.Scan // nil: nothing
	Now    *record.Scan // nil: nothing
	Differ string       // how they differ, "" if they don't
}

// Replay runs a recording again: the bytes through the codecs, what they give through the session, with the rows, the labels
// and the time as they were. say gets each answer. It reads no clock and touches nothing.
//
// A recording without a start is what a reader said and nothing else: say gets a scan for each tag, without a verdict.
func Replay(in io.Reader, say func(Answer)) error {
	p := &player{say: say, tags: map[string]map[uint64]record.Tag{}}
	var events []Event
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			break
		} else if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read recording: %w", err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read recording: line %d: %w: it is no recording, or cut off", n, err)
		}
		events = append(events, e)
	}
	if len(events) == 0 || events[0].Start == nil {
		return errors.New("read recording: its first line is no start: it is no recording")
	}
	if err := p.listen(events); err != nil {
		return err
	}
	if events[0].Start.Rules.Package == nil { // of one reader alone
		return nil
	}
	p.begin(events[0])
	for _, e := range events[1:] {
		p.play(e)
	}
	p.finish()
	return nil
}

// player is a bench whose world is a recording.
type player struct {
	say   func(Answer)
	tags  map[string]map[uint64]record.Tag // what the codecs give now, by reader and number
	bench *Bench

	at      time.Duration
	now     record.Stamp
	asked   *Asked
	told    *Told
	pending *Decision // what the session says to asked
	missing string    // a label that was not asked for then
}

// listen gives the bytes to the codecs. Until the codec of a reader gave a good tag as it was given then, the tags of then
// count: the recording begins in the middle of what the codec had seen.
func (p *player) listen(events []Event) error {
	start := events[0].Start
	codecs := map[string]Decoder{}
	for _, r := range start.Readers {
		c, err := NewDecoder(r)
		if err != nil {
			return fmt.Errorf("read recording: %w: use the version that made it", err)
		}
		codecs[r.Name], p.tags[r.Name] = c, map[uint64]record.Tag{}
	}
	then := map[string]map[uint64]*record.Tag{}
	for _, e := range events {
		if e.Asked != nil && e.Asked.Tag != nil {
			name := e.Asked.Tag.Reader
			if then[name] == nil {
				then[name] = map[uint64]*record.Tag{}
			}
			then[name][e.Asked.Number] = e.Asked.Tag
		}
	}
	inStep := map[string]bool{}
	for _, e := range events[1:] {
		h := e.Heard
		if h == nil {
			continue
		}
		decoder, known := codecs[h.Reader]
		if !known {
			continue
		}
		got := said(decoder, h)
		if len(h.Bytes) == 0 && !h.Idle && !h.Gone { // it was typed
			got = h.Read
		}
		if start.Rules.Package == nil {
			p.compare(e, got)
			continue
		}
		if inStep[h.Reader] && len(got) != h.Tags {
			p.say(Answer{At: e.At, Differ: fmt.Sprintf("reader %s: its bytes gave %d tags then and %d now", h.Reader, h.Tags, len(got))})
		}
		for n, tag := range got {
			number := h.First + uint64(n)
			if inStep[h.Reader] {
				p.tags[h.Reader][number] = tag
			} else if was := then[h.Reader][number]; was != nil && was.Bad == "" && was.Code == tag.Code {
				inStep[h.Reader] = true
			}
		}
	}
	return nil
}

// said is what a codec makes of what a reader said.
func said(c Decoder, h *Heard) []record.Tag {
	got := c.Feed(h.Bytes)
	if h.Idle {
		got = append(got, c.Idle()...)
	}
	if h.Gone {
		got = append(got, c.Gone()...)
	}
	return got
}

// compare tells the tags of one reader that was listened to.
func (p *player) compare(e Event, got []record.Tag) {
	for n := range max(len(got), len(e.Heard.Read)) {
		a := Answer{At: e.At}
		if n < len(e.Heard.Read) {
			a.Then = &record.Scan{Tag: e.Heard.Read[n]}
		}
		if n < len(got) {
			a.Now = &record.Scan{Tag: got[n]}
		}
		a.Differ = differences(a.Then, a.Now)
		p.say(a)
	}
}

func (p *player) begin(e Event) {
	s := e.Start
	s.Rules.Pseudonym = func(badge string) string { return strings.TrimPrefix(badge, hiddenBadge) }
	p.now = record.Stamp{Mono: e.At}
	p.bench = NewBench(Config{Rules: s.Rules, Stamp: func() record.Stamp { return p.now }, Labels: p}, p, untaped(s.Rows), p)
	p.bench.state = s.State.state()
	p.bench.picture.since = func(at time.Time) time.Duration { return moment(p.now.Mono).Sub(at) }
}

func (p *player) play(e Event) {
	p.at = e.At
	switch b := p.bench; {
	case e.Rows != nil:
		b.picture.Replace(b.picture.reading(e.Rows))
	case e.Asked != nil:
		p.finish()
		p.ask(e.Asked)
	case e.Told != nil:
		p.told = e.Told
		p.finish()
	case e.Ended != nil:
		b.picture.Ended(e.Ended.Hash, e.Ended.Outcome, moment(e.Ended.Known))
	case e.Again != nil:
		for _, i := range e.Again {
			b.picture.Intended(i)
		}
	}
}

// ask puts the question to the session of now.
func (p *player) ask(a *Asked) {
	p.asked, p.now, p.missing = a, a.Now, ""
	w := World{Now: a.Now, Rows: p.bench.picture, Labels: p, Online: a.Online, Age: a.Age, Field: func() []string { return a.Field }}
	var d Decision
	if a.Tag == nil {
		d, _ = Tick(p.bench.state, p.bench.rules, w)
		if d.Scan == nil && !a.Nothing { // it is not time yet: nothing changes
			d.Next = p.bench.state
		}
	} else {
		d = Decide(p.bench.state, p.bench.rules, p.tag(a), w)
	}
	p.pending = &d
	if a.Nothing {
		p.finish()
	}
}

// tag is what the codec gives now for the tag that came then.
func (p *player) tag(a *Asked) record.Tag {
	now, heard := p.tags[a.Tag.Reader][a.Number]
	if !heard { // of an antenna, or from before the recording
		return *a.Tag
	}
	return now
}

// finish adopts what the session said, and compares.
func (p *player) finish() {
	d := p.pending
	if d == nil {
		return
	}
	p.pending = nil
	a := Answer{At: p.at, Now: d.Scan}
	if p.told != nil {
		a.Then = &p.told.Scan
	}
	_ = p.bench.adopt(*d, time.Time{}) // what could not be saved then can't be now
	p.told = nil
	if a.Then == nil && a.Now == nil {
		return
	}
	if a.Differ = differences(a.Then, a.Now); p.missing != "" {
		a.Differ = strings.TrimPrefix(a.Differ+"; what the store knew of label "+p.missing+" was not asked then and is not known", "; ")
	}
	p.say(a)
}

// differences names the fields that differ.
func differences(then, now *record.Scan) string {
	switch {
	case then == nil && now == nil:
		return ""
	case then == nil:
		return "it said nothing then"
	case now == nil:
		return "it says nothing now"
	}
	var list []string
	for _, f := range []struct {
		name      string
		then, now any
	}{
		{"reader", then.Reader, now.Reader}, {"code", then.Code, now.Code}, {"symbology", then.Symbology, now.Symbology}, {"bad", then.Bad, now.Bad},
		{"verdict", then.Verdict, now.Verdict}, {"step", then.Step, now.Step}, {"package", then.Package, now.Package}, {"item", then.Hash, now.Hash},
		{"count", then.Count, now.Count}, {"not empty", then.NotEmpty, now.NotEmpty}, {"left", then.Left, now.Left},
		{"judges", then.Judges, now.Judges}, {"badge", then.Badge, now.Badge}, {"text", then.Text, now.Text},
	} {
		if !reflect.DeepEqual(f.then, f.now) {
			list = append(list, f.name)
		}
	}
	return strings.Join(list, ", ")
}

// Append implements Journal: with the numbers that were given then.
func (p *player) Append(e record.Entry) (record.Entry, error) {
	if p.told == nil {
		return e, nil
	}
	if p.told.Err != "" {
		return e, errors.New(p.told.Err)
	}
	e.Seq = p.told.Seq
	for n := range e.Intents {
		e.Intents[n].Scan = e.Seq
		if n < len(p.told.IDs) {
			e.Intents[n].ID = p.told.IDs[n]
		}
	}
	return e, nil
}

// Retry implements Journal.
func (p *player) Retry(uint64) ([]record.Intent, error) { return nil, nil }

// Use implements Labels.
func (p *player) Use(label string) (record.Use, bool) {
	u, asked := p.asked.Uses[label]
	if !asked {
		p.missing = label
	}
	if u == nil {
		return record.Use{}, false
	}
	return *u, true
}

// Standing implements Labels.
func (p *player) Standing(label string) (waiting, parked int) {
	w, asked := p.asked.Waits[label]
	if !asked {
		p.missing = label
	}
	return w[0], w[1]
}

// Show, Resume and CallBack implement Panel: there is none.
func (p *player) Show(record.Scan, time.Duration) {}
func (p *player) Resume(record.Session)           {}
func (p *player) CallBack(record.Parked)          {}
