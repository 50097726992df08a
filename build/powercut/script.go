package powercut

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// Act is what a step does.
type Act string

// The acts. After Open the store runs until Close.
const (
	Open    Act = "open"
	Close   Act = "close"
	Rest    Act = "rest"    // long enough for all that the store writes lazily, and for its housekeeping
	Scan    Act = "scan"    // append a scan with one intent
	Settle  Act = "settle"  // the intent of a scan is done
	Park    Act = "park"    // the intent of a scan needs a person
	Dismiss Act = "dismiss" // the person says: forget it
	Put     Act = "put"     // a group of records, with rows for the shadow and the position
	Accept  Act = "accept"  // records get a receipt
	Refuse  Act = "refuse"  // records are refused for good
	Retry   Act = "retry"   // the person says: once more
	Drop    Act = "drop"    // the person says: never
	Look    Act = "look"    // a verification says: not yet
	Anchor  Act = "anchor"  // a verification says: anchored
	Picture Act = "picture" // save the rows of the bench
	Map     Act = "map"     // import the map of tags
	Days    Act = "days"    // the clock goes on by so much that evidence may be dropped
)

// Step is one act on the scans or records From to To, the last not among them. Both are numbered from 0.
type Step struct {
	Act
	From, To int
}

// String names the step for a person.
func (s Step) String() string { return fmt.Sprintf("%s %d to %d", s.Act, s.From, s.To) }

const (
	groupSize = 16
	shadowed  = 24 // rows of the shadow; each group writes four of them anew
)

// Script is the work of a station in small: rounds of a scan, a group of records and what becomes of earlier ones. With no
// rounds the store is only opened and closed.
func Script(rounds int) []Step {
	if rounds == 0 {
		return []Step{{Act: Open}, {Act: Close}}
	}
	steps := []Step{{Act: Open}}
	for n := range rounds {
		steps = append(steps, bench(n)...)
		steps = append(steps, uplink(n)...)
		switch n {
		case rounds / 4:
			steps = append(steps, Step{Act: Close}, Step{Act: Open})
		case rounds / 2:
			steps = append(steps, Step{Act: Days}, Step{Act: Rest})
		case rounds * 3 / 4:
			steps = append(steps, Step{Act: Close}, Step{Act: Open})
		}
	}
	return append(steps, Step{Act: Close}, Step{Act: Open}, Step{Act: Scan, From: rounds, To: rounds + 1}, Step{Act: Close})
}

// bench is what happens to scans in a round: every other one is settled three rounds later, one in four parked, and half
// of those dismissed.
func bench(n int) []Step {
	steps := []Step{{Scan, n, n + 1}}
	if o := n - 3; o >= 0 && o%2 == 0 {
		steps = append(steps, Step{Settle, o, o + 1})
	}
	if o := n - 4; o >= 0 && o%4 == 1 {
		steps = append(steps, Step{Park, o, o + 1})
	}
	if o := n - 6; o >= 0 && o%8 == 1 {
		steps = append(steps, Step{Dismiss, o, o + 1})
	}
	if n%6 == 5 {
		steps = append(steps, Step{Picture, n, n + 1})
	}
	if n%5 == 3 {
		steps = append(steps, Step{Map, n, n + 1})
	}
	return steps
}

// uplink is what happens to records in a round. Of each group some are accepted at once and some a round later, one is
// refused and accepted when it was tried again, and one is refused and dropped.
func uplink(n int) []Step {
	now, before := n*groupSize, (n-1)*groupSize
	steps := []Step{{Put, now, now + groupSize}, {Accept, now, now + 9}}
	if n == 0 {
		return steps
	}
	return append(steps,
		Step{Refuse, before + 9, before + 11},
		Step{Look, before, before + 9},
		Step{Retry, before + 9, before + 10},
		Step{Drop, before + 10, before + 11},
		Step{Anchor, before, before + 6},
		Step{Accept, before + 9, before + 10},
		Step{Accept, before + 11, before + groupSize},
		Step{Anchor, before + 6, before + 9},
	)
}

// begin is when the work begins, by the clock of the station and of everybody else.
func begin() time.Time { return time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC) }

// never is later than anything.
func never() time.Time { return begin().AddDate(100, 0, 0) }

// Config is that of a store in dir with small files, so that they are rotated and dropped within a few rounds. Beside it
// evidence is exported. Days is how many the clock has gone on since the work began.
func Config(dir string, days *int) store.Config {
	return store.Config{
		Dir:      filepath.Join(dir, "store"),
		Identity: store.Identity{Environment: "test", Station: "power cut", Database: "127.0.0.1:3306/external"},
		Now: func() record.Stamp {
			return record.Stamp{Boot: "boot", Mono: time.Second, Wall: begin().AddDate(0, 0, *days), Trusted: true}
		},
		Reserve:      256 << 10,
		EvidenceDays: 30,
		ExportDir:    filepath.Join(dir, "export"),
		SegmentBytes: 64 << 10,
		FileBytes:    64 << 10,
	}
}

// scan is large every other time, so that segments fill.
func scan(n int) record.Entry {
	e := packed(n)
	e.Scan.Text = noise(n, 1000+n%2*40_000)
	return e
}

// packed is scan n without its text.
func packed(n int) record.Entry {
	name := strconv.Itoa(n)
	return record.Entry{
		Scan:    &record.Scan{Tag: record.Tag{Reader: "hand", Code: name}, Verdict: record.Accepted},
		Session: &record.Session{Package: "P-" + name, Items: []record.Packed{{Hash: "item-" + name}}},
		Intents: []record.Intent{{Hash: "item-" + name, Package: record.Package("P-" + name), Replaces: []record.Value{nil}}},
	}
}

// outcome ends the intent of scan n. The journal gives intents their numbers, from 1.
func outcome(a Act, n int) record.Outcome {
	o := record.Outcome{Intent: uint64(n + 1), Result: record.Settled}
	switch a {
	case Park:
		o.Result, o.Found, o.Text = record.OtherValue, record.Package("other"), "the row holds another package"
	case Dismiss:
		o.Result = record.Dismissed
	}
	return o
}

func group(from, to int) record.Group {
	g := record.Group{Position: record.Position{Flavor: "mysql", Server: "s", File: "binlog.000001", Pos: uint64(to), At: begin()}}
	for n := from; n < to; n++ {
		g.Records = append(g.Records, change(n))
		if n%4 == 0 {
			g.Shadow = append(g.Shadow, shadow(n))
		}
	}
	return g
}

// change is record n. It is a change of one of few rows, so that their order counts.
func change(n int) record.Record {
	return record.Record{
		Database: "external", Collection: "buylo_products", ID: strconv.Itoa(n % shadowed), Version: strconv.Itoa(n),
		Op: record.Update, At: begin(), Key: "key-" + strconv.Itoa(n), Payload: payload(n),
	}
}

func shadow(n int) record.ShadowRow {
	return record.ShadowRow{Collection: "buylo_products", ID: strconv.Itoa(n % shadowed), Version: strconv.Itoa(n), Payload: payload(n)}
}

func receipt(n int) record.Receipt {
	return record.Receipt{Hash: "hash-" + strconv.Itoa(n), AcceptedAt: begin()}
}

func answer(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"proof": %d}`, n)) }

func picture(n int) []record.Row {
	return []record.Row{{Hash: strconv.Itoa(n), Name: noise(n, 3000)}}
}

const tagged = 300 // items in the map of tags

// tags is the map of tags n: every item has one, which names n.
func tags(n int) iter.Seq2[store.MapLine, error] {
	return func(yield func(store.MapLine, error) bool) {
		for item := range tagged {
			if !yield(store.MapLine{EPC: "tag-" + strconv.Itoa(n), Hash: tagHash(item)}, nil) {
				return
			}
		}
	}
}

func tagHash(item int) string { return fmt.Sprintf("%032x", item) }

func payload(n int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"n": %d, "noise": "%s"}`, n, noise(n, 500)))
}

// noise is text that no compression makes much smaller, the same for the same n.
func noise(n, bytes int) string {
	b := make([]byte, bytes*3/4)
	r := rand.New(rand.NewPCG(uint64(n), uint64(bytes)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}
