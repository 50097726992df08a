package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"time"
	"unicode/utf8"

	"station-agent/store/record"
)

const (
	format  = "station-agent evidence"
	version = 1
)

// Header says who made a file, when, and of what.
type Header struct {
	Type        string    `json:"type"`
	Format      string    `json:"format"`
	Version     int       `json:"version"`
	Made        time.Time `json:"made"`
	Program     string    `json:"program"`
	Environment string    `json:"environment"`
	Station     string    `json:"station"`
	Name        string    `json:"station_name"`
	Database    string    `json:"database"` // address and schema
	Store       string    `json:"store"`    // its id
	Tenant      string    `json:"tenant"`   // at Certyo
	Subject     Subject   `json:"subject"`
	Notes       []string  `json:"notes,omitempty"`     // what this store can't tell
	Elsewhere   []string  `json:"elsewhere,omitempty"` // items of the contents whose rows this station doesn't follow any more
}

// Subject is what a file is about: a package, an item, or all that is kept.
type Subject struct {
	Package string    `json:"package,omitempty"`
	Item    string    `json:"item,omitempty"`
	At      time.Time `json:"at,omitzero"`    // as of this time by the database's clock; zero: as of the last record
	Since   time.Time `json:"since,omitzero"` // of all: what happened from then
	Until   time.Time `json:"until,omitzero"` // and before then
}

// All tells whether the file is about everything.
func (s Subject) All() bool { return s.Package == "" && s.Item == "" }

// ends tells whether there may be later records, which the file leaves out.
func (s Subject) ends() bool { return !s.At.IsZero() || !s.Until.IsZero() }

// Covers tells whether a record is within the times of s.
func (s Subject) Covers(at time.Time) bool {
	return (s.At.IsZero() || !at.After(s.At)) && (s.Since.IsZero() || !at.Before(s.Since)) && (s.Until.IsZero() || at.Before(s.Until))
}

// Scan is one scan as evidence shows it.
type Scan struct {
	Type    string         `json:"type"`
	Seq     uint64         `json:"seq"`
	At      record.Stamp   `json:"at"`
	Reader  string         `json:"reader"`
	Code    string         `json:"code"`
	Verdict record.Verdict `json:"verdict"`
	Step    record.Step    `json:"step,omitempty"`
	Package string         `json:"package,omitempty"`
	Hash    string         `json:"hash,omitempty"`
	Badge   *record.Badge  `json:"badge,omitempty"`
	Text    string         `json:"text"`
	Wishes  []Wish         `json:"wishes,omitempty"`
}

// Wish is what a scan wanted of one row.
type Wish struct {
	Hash     string         `json:"hash"`
	Package  record.Value   `json:"package"` // nil: none
	Replaces []record.Value `json:"replaces"`
}

// NewScan is the scan of a journal entry.
func NewScan(e *record.Entry) *Scan {
	s := e.Scan
	n := &Scan{Type: "scan", Seq: e.Seq, At: e.At, Reader: s.Reader, Code: s.Code, Verdict: s.Verdict, Step: s.Step, Package: s.Package,
		Hash: s.Hash, Badge: s.Badge, Text: s.Text}
	n.At.Wall = n.At.Wall.UTC()
	for _, i := range e.Intents {
		n.Wishes = append(n.Wishes, Wish{i.Hash, i.Package, i.Replaces})
	}
	return n
}

// Intent is a wish that the table doesn't show (yet).
type Intent struct {
	Type    string        `json:"type"`
	ID      uint64        `json:"id"`
	Scan    uint64        `json:"scan"`
	Hash    string        `json:"hash"`
	Package record.Value  `json:"package"`
	Result  record.Result `json:"result,omitempty"` // "" while it waits, else why a person is needed
	Text    string        `json:"text,omitempty"`
}

// Record is one record as evidence shows it.
type Record struct {
	Type       string         `json:"type"`
	Seq        uint64         `json:"seq"` // in the station's outbox
	Database   string         `json:"database"`
	Collection string         `json:"collection"`
	ID         string         `json:"id"`
	Version    string         `json:"version"`
	Op         record.Op      `json:"op"`
	Changed    time.Time      `json:"changed"`
	Key        string         `json:"key"`
	Payload    Text           `json:"payload"`
	Sum        string         `json:"payload_sha256"`
	Scan       uint64         `json:"scan,omitempty"`
	State      record.Fate    `json:"state"`
	Stored     record.Moment  `json:"stored"`
	Receipt    *Receipt       `json:"receipt,omitempty"`
	Accepted   *record.Moment `json:"accepted,omitempty"`
	Answer     *Text          `json:"answer,omitempty"`
	Answered   *record.Moment `json:"answered,omitempty"`
	Refusal    string         `json:"refusal,omitempty"`
	Refused    *record.Moment `json:"refused,omitempty"`
}

// Receipt is Certyo's answer for one record.
type Receipt struct {
	Hash       string    `json:"hash,omitempty"` // as Certyo wrote it; "" if it didn't say
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	Replayed   bool      `json:"replayed,omitempty"` // Certyo knew the key already
	Snapshot   string    `json:"snapshot,omitempty"`
	Doubled    bool      `json:"possibly_doubled,omitempty"` // it may be at Certyo twice: it was sent again after more than a day
}

// NewRecord is an account as a line.
func NewRecord(a *record.Account) *Record {
	r := &a.Record
	n := &Record{Type: "record", Seq: a.Seq, Database: r.Database, Collection: r.Collection, ID: r.ID, Version: r.Version, Op: r.Op,
		Changed: r.At.UTC(), Key: r.Key, Payload: Text(r.Payload), Sum: sum(r.Payload), Scan: a.Scan, State: a.Fate, Stored: a.Stored}
	if a.Receipt != nil {
		accepted := a.Accepted
		n.Receipt = &Receipt{a.Receipt.Hash, a.Receipt.AcceptedAt.UTC(), a.Receipt.Replayed, a.Receipt.Snapshot, a.Receipt.Doubled}
		n.Accepted = &accepted
	}
	if a.Answer != nil {
		answer, answered := Text(a.Answer), a.Answered
		n.Answer, n.Answered = &answer, &answered
	}
	if a.Fate == record.DeadLetter {
		refused := a.Refused
		n.Refusal, n.Refused = a.Refusal, &refused
	}
	return n
}

// Record is what was sent to Certyo.
func (r *Record) Record() record.Record {
	return record.Record{Database: r.Database, Collection: r.Collection, ID: r.ID, Version: r.Version, Op: r.Op, At: r.Changed, Key: r.Key,
		Payload: json.RawMessage(r.Payload)}
}

// Unproven is what Certyo is asked about.
func (r *Record) Unproven() record.Unproven {
	u := record.Unproven{Seq: r.Seq, Record: r.Record()}
	if c := r.Receipt; c != nil {
		u.Receipt = record.Receipt{Hash: c.Hash, AcceptedAt: c.AcceptedAt, Replayed: c.Replayed, Snapshot: c.Snapshot, Doubled: c.Doubled}
	}
	return u
}

// Text is bytes in a JSON string, exactly: {"base64": ...} if they are no UTF-8.
type Text []byte

// MarshalJSON keeps every byte.
func (t Text) MarshalJSON() ([]byte, error) {
	var v any = map[string][]byte{"base64": t}
	if utf8.Valid(t) {
		v = string(t)
	}
	b, err := encode(v)
	return bytes.TrimSpace(b), err
}

// UnmarshalJSON is its reverse.
func (t *Text) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] == '"' {
		err := json.Unmarshal(b, &s)
		*t = Text(s)
		return err
	}
	var o struct{ Base64 []byte }
	err := json.Unmarshal(b, &o)
	*t = o.Base64
	return err
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Contents is what follows from the records of a file.
type Contents struct {
	Type  string    `json:"type"`
	At    time.Time `json:"at"`
	Items []Held    `json:"items"` // in the package; or the item itself, if the file is of one. By item
}

// Held is where one item is, by its last record.
type Held struct {
	Item    string       `json:"item"`
	Package record.Value `json:"package"`
	Record  uint64       `json:"record"`         // that shows it
	Since   uint64       `json:"since"`          // the first one since which it is there
	State   record.Fate  `json:"state"`          // of Record
	Proven  uint64       `json:"proven"`         // the last one since then that is anchored, 0 if none is
	Gone    bool         `json:"gone,omitempty"` // its row was deleted
}

// End ends a file.
type End struct {
	Type    string `json:"type"`
	Scans   int    `json:"scans"`
	Records int    `json:"records"`
	Sum     string `json:"sha256"` // of all lines before this one
}

// Writer writes the lines of one file.
type Writer struct {
	out io.Writer
	sum hash.Hash
	end End
}

// NewWriter writes to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out, sum: sha256.New()} }

// Header writes the first line.
func (w *Writer) Header(h Header) error {
	h.Type, h.Format, h.Version, h.Made = "header", format, version, h.Made.UTC()
	return w.put(h)
}

// Scan writes a scan.
func (w *Writer) Scan(e *record.Entry) error {
	w.end.Scans++
	return w.put(NewScan(e))
}

// Intent writes what the table doesn't show (yet).
func (w *Writer) Intent(i record.Intent, o record.Outcome) error {
	return w.put(Intent{"intent", i.ID, i.Scan, i.Hash, i.Package, o.Result, o.Text})
}

// Record writes a record.
func (w *Writer) Record(a *record.Account) error {
	w.end.Records++
	return w.put(NewRecord(a))
}

// Contents writes what follows from the records.
func (w *Writer) Contents(c Contents) error {
	c.Type, c.At = "contents", c.At.UTC()
	if c.Items == nil {
		c.Items = []Held{}
	}
	return w.put(c)
}

// End writes the last line.
func (w *Writer) End() error {
	w.end.Type, w.end.Sum = "end", hex.EncodeToString(w.sum.Sum(nil))
	return w.put(w.end)
}

func (w *Writer) put(line any) error {
	b, err := encode(line)
	if err != nil {
		return err
	}
	w.sum.Write(b)
	_, err = w.out.Write(b)
	return err
}
