package record

import (
	"encoding/json"
	"strings"
	"time"
)

// Op is what happened to a row, in Certyo's words.
type Op string

// The operations. Upsert is for a state that was read and not seen to happen (snapshot, reconciliation).
const (
	Insert Op = "insert"
	Update Op = "update"
	Delete Op = "delete"
	Upsert Op = "upsert"
)

// Position is where a Source stands: the next transaction is the first one behind it. It is opaque to all but its source.
type Position struct {
	Flavor string    `json:"flavor,omitempty"` // "mysql" or "mariadb"
	Server string    `json:"server,omitempty"` // identity of the server that File belongs to
	GTID   string    `json:"gtid,omitempty"`   // executed set (MySQL) or last GTID by domain (MariaDB); "" if read by file
	File   string    `json:"file,omitempty"`
	Pos    uint64    `json:"pos,omitempty"`
	Begun  int64     `json:"begun,omitempty"` // when the server began File, in seconds since 1970; 0 if not known
	At     time.Time `json:"at,omitzero"`     // commit time of the last transaction before it, by the server's clock

	Way    string `json:"way,omitempty"`    // "queue" or "polling"; "" for the binary log
	Taken  string `json:"taken,omitempty"`  // queue: entries that are in the store and perhaps not marked yet
	Sweep  string `json:"sweep,omitempty"`  // how far whole tables were read beside the changes
	Tables string `json:"tables,omitempty"` // whose changes lie before it; "" for Buylo's table alone
}

// Zero tells whether p names no place yet.
func (p Position) Zero() bool { return p.GTID == "" && p.File == "" && p.Way == "" }

// Record is one Change in the form Certyo takes.
type Record struct {
	Database   string          `json:"database"`
	Collection string          `json:"collection"`
	ID         string          `json:"id"`      // primary key as text
	Version    string          `json:"version"` // decimal, increases per row
	Op         Op              `json:"op"`
	At         time.Time       `json:"at"`      // commit time by the server's clock, UTC
	Key        string          `json:"key"`     // idempotency key: the same change, the same key, always
	Payload    json.RawMessage `json:"payload"` // canonical JSON, kept to the byte
}

// Found tells whether r is a state of a row that was found, in a snapshot or when rows were compared, and not a change that was
// seen: it can wait until those were sent, and is of no use once a newer change of its row goes.
func (r *Record) Found() bool { return strings.HasPrefix(r.Key, FoundPrefix) }

// FoundPrefix begins the keys of states that were found.
const FoundPrefix = "s:"

// Queued is a Record in the outbox.
type Queued struct {
	Seq uint64 `json:"seq"`
	Record
	Again bool      `json:"again,omitempty"`     // it may have been posted before
	First time.Time `json:"first_post,omitzero"` // then: no post of it was before this moment; zero if that isn't known
}

// Receipt is Certyo's answer for one accepted Record.
type Receipt struct {
	Hash       string    `json:"hash,omitempty"` // opaque; "" if the answer didn't say
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	Replayed   bool      `json:"replayed,omitempty"` // the key was known already
	Snapshot   string    `json:"snapshot,omitempty"`
	Doubled    bool      `json:"possibly_doubled,omitempty"` // it was posted before, longer ago than Certyo knows keys, and nothing tells whether that arrived
}

// Delivery is what became of one queued Record: accepted with a Receipt, or refused for good with Certyo's words, or neither.
type Delivery struct {
	Seq     uint64
	Receipt *Receipt
	Refusal string
	Open    string // with neither of the two: why the answer doesn't tell, for a person
}

// Unproven is a Record in the ledger: Certyo took it, its anchoring is not proven yet.
type Unproven struct {
	Seq     uint64    `json:"seq"`
	Record  Record    `json:"record"`
	Receipt Receipt   `json:"receipt"`
	Since   time.Time `json:"since"` // when it was accepted, by our clock
	State   Anchoring `json:"state"` // as last seen, Pending before
	Looks   int       `json:"looks"` // how often it was verified
	Due     time.Time `json:"due"`   // when to look next
}

// Anchoring is how an accepted Record stands: what a verification said, and what followed from it.
type Anchoring string

// The states of anchoring. All but those that end it keep a Record in the ledger.
const (
	Pending   Anchoring = "pending"
	Anchored  Anchoring = "anchored"   // ends it: proven
	Mismatch  Anchoring = "mismatch"   // Certyo's hash differs from the payload's: alarm, never sent again by itself
	Overtaken Anchoring = "superseded" // the same, but a later change of the row was sent: the answer may be about that one
	Missing   Anchoring = "missing"    // Certyo accepted the record and doesn't know it, long after: alarm, never sent again by itself
	Unclear   Anchoring = "unclear"    // the answer fits nothing we know; it is kept for a person
	Retired   Anchoring = "retired"    // ends it: superseded for so long that it is not asked for any more
	GivenUp   Anchoring = "unverified" // ends it: accepted, and given up unproven as there were too many
)

// Ends tells whether a Record in this state leaves the ledger.
func (a Anchoring) Ends() bool { return a == Anchored || a == Retired || a == GivenUp }

// Tally counts the Records of the ledger by how they stand.
type Tally struct {
	Pending    int `json:"pending"`
	Superseded int `json:"superseded"`
	Mismatch   int `json:"mismatch"`
	Missing    int `json:"missing"`
	Unclear    int `json:"unclear"`
}

// All is how many there are.
func (t Tally) All() int { return t.Pending + t.Superseded + t.Mismatch + t.Missing + t.Unclear }

// Look is one verification of one Unproven record.
type Look struct {
	Seq    uint64
	State  Anchoring
	Due    time.Time       // when to look again, unless State ends it
	Answer json.RawMessage // as it came
}

// Standing is how an accepted Record stood after something became of it.
type Standing struct {
	Seq     uint64    `json:"seq"`
	Record  Record    `json:"record"`
	Receipt Receipt   `json:"receipt"`
	State   Anchoring `json:"state"` // Pending when it was accepted
	Since   time.Time `json:"since"` // when it was accepted, by our clock
	At      time.Time `json:"at"`    // when it came to stand so, by our clock
}

// ShadowRow is what capture knows of one row: whether this station speaks for it, and the state it last saw.
type ShadowRow struct {
	Collection string          `json:"collection"`
	ID         string          `json:"id"`
	Version    string          `json:"version"`
	Payload    json.RawMessage `json:"payload,omitempty"`
	Left       time.Time       `json:"left,omitzero"` // when it left the station; zero while it is here
	Gone       bool            `json:"-"`             // forget the row: deleted, or another station speaks for it
}

// Group is what one commit of the store takes in: whole transactions of the source, in order.
type Group struct {
	Position Position
	Records  []Record
	Shadow   []ShadowRow
}
