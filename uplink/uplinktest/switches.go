package uplinktest

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Form is the shape of a bulk answer.
type Form int

// The forms. Their order in the zero value is the plausible one first.
const (
	Results  Form = iota // {"results": [...]} with idempotencyKey and recordId
	ByID                 // {"results": [...]} with recordId alone
	ByPlace              // {"results": [...]} that name nothing
	AsItems              // {"items": [...]}
	AsRecord             // {"records": [...]}
	Bare                 // [...]
	Failures             // {"results": [...]} of refused records only
	Summary              // {"accepted": n, "rejected": n}
	Nothing              // no body
)

// Forms lists them all.
func Forms() []Form {
	return []Form{Results, ByID, ByPlace, AsItems, AsRecord, Bare, Failures, Summary, Nothing}
}

// Words is how a result says yes or no.
type Words int

// The ways.
const (
	Status Words = iota // "status": 202 or 422, "error": "..."
	Word                // "status": "accepted" or "rejected", "message": "..."
	Flag                // "accepted": true or false, "errors": ["..."]
	Sparse              // the receipt's fields, or "error": {...}
)

// Spoil is what is wrong with the results of a bulk answer to more than one record.
type Spoil int

// The ways.
const (
	Whole    Spoil = iota // nothing
	Missing               // the last one is missing
	Doubled               // the first one is there twice
	Stranger              // there is one more, for a record that nobody sent
)

// Question is the form of a request to verify that is taken; any other is answered 400. All but AllFields are published.
type Question int

// The forms.
const (
	AllFields   Question = iota // tenant, database, collection, id, version, payload
	PayloadForm                 // without version
	IDsForm                     // without version and payload
	VersionForm                 // tenant, id and version alone
)

// Proof is the form of the answer to verify.
type Proof int

// The forms.
const (
	FullProof Proof = iota // all that is published
	NoChain                // without anchoredOnChain
	NoHashes               // without the two hashes
	Naming                 // all, and the record's id and version
)

// Query is the form of the answer to a query.
type Query int

// The forms.
const (
	QueryRecords Query = iota // {"records": [...]} with id, version, key, hash
	QueryBare                 // [...]
	QueryPaged                // {"items": [...], "totalCount": n, "nextCursor": S}: pages of two, the oldest first
	QuerySparse               // {"data": [...]} with id, hash and time alone
	QueryNone404              // as QueryRecords; 404 instead of an empty list
	QueryAll                  // as QueryRecords, but of all of the tenant's first ten, whatever was asked for
)

// Switches are the unknowns and faults that can be set while the stand-in runs. The zero value is the plausible service
// on a good day.
type Switches struct {
	Keys        []string              // API keys that are valid
	Form        Form                  // of the bulk answer
	Words       Words                 // of the results in it
	Spoil       Spoil                 // what is wrong with them
	MultiStatus bool                  // 207 instead of 202 when part of a bulk is refused
	WholeBatch  bool                  // 400 for the whole bulk when one record is bad; nothing is taken then
	Shuffle     bool                  // results in reverse order; not with ByPlace
	HashPrefix  bool                  // "sha256:" before hashes
	Snapshots   bool                  // receipts name the snapshot
	KeysByPath  bool                  // an idempotency key of a bulk is another than the same of a single record
	PlainErrors bool                  // text/plain instead of application/problem+json
	EchoKey     bool                  // errors repeat the API key, as a careless service might
	Redirect    string                // if set, each request is answered 307 to there
	Slow        time.Duration         // before each answer
	Reject      func(Received) string // why a record is refused, "" if it isn't
	MaxBytes    int                   // of a body, more is answered 413; 0: 30 MB

	Rate       float64 // requests a second of all stations of the client, verifications and queries, too; 0: no limit
	Burst      int     // requests at once after a rest
	RetryAfter bool    // 429 tells when to come again

	Question     Question            // the form of a verification that is taken
	Proof        Proof               // the form of its answer
	VerifyLatest bool                // it is about the latest version of the row, whatever was asked for
	PendingAs    int                 // status of verify while not anchored: 404, or else 200 with verified false
	Mismatch     func(Received) bool // verify says that the payload differs
	Query        Query               // the form of the answer to a query

	FlushRecords int           // records in a snapshot
	FlushAfter   time.Duration // age of a snapshot that isn't full
	AnchorAfter  time.Duration // from the flush to the chain
	NeverAnchor  bool          // nothing is flushed any more

	failPosts, failVerifies, loseAnswers, dropped int
	failStatus                                    int
	failRetryAfter                                string
}

// Switch changes the switches.
func (c *Certyo) Switch(change func(*Switches)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.sw)
}

// FailPosts answers the next n requests with records with status and, unless it is "", a Retry-After. They are not read.
func (c *Certyo) FailPosts(n, status int, retryAfter string) {
	c.Switch(func(s *Switches) { s.failPosts, s.failStatus, s.failRetryAfter = n, status, retryAfter })
}

// FailVerifies does the same to the next n verifications.
func (c *Certyo) FailVerifies(n, status int, retryAfter string) {
	c.Switch(func(s *Switches) { s.failVerifies, s.failStatus, s.failRetryAfter = n, status, retryAfter })
}

// LoseAnswers takes the records of the next n requests with some and breaks the connection instead of answering.
func (c *Certyo) LoseAnswers(n int) { c.Switch(func(s *Switches) { s.loseAnswers = n }) }

// DropRequests reads the next n requests of any kind, does nothing of what they ask, and breaks the connection.
func (c *Certyo) DropRequests(n int) { c.Switch(func(s *Switches) { s.dropped = n }) }

// fault answers r if a switch says so, before anything of it is read.
func (c *Certyo) fault(w http.ResponseWriter, r *http.Request, fail *int) bool {
	switch {
	case c.sw.dropped > 0:
		c.sw.dropped--
		panic(http.ErrAbortHandler)
	case c.sw.Redirect != "":
		http.Redirect(w, r, c.sw.Redirect, http.StatusTemporaryRedirect)
		return true
	case *fail > 0:
		*fail--
		if c.sw.failRetryAfter != "" {
			w.Header().Set("Retry-After", c.sw.failRetryAfter)
		}
		c.problem(w, r, c.sw.failStatus, "asked to fail")
		return true
	}
	return false
}

// limited refuses what is beyond the rate.
func (c *Certyo) limited(w http.ResponseWriter, r *http.Request) bool {
	if c.sw.Rate <= 0 {
		return false
	}
	now, burst := c.now(), max(float64(c.sw.Burst), 1)
	c.tokens = min(burst, c.tokens+now.Sub(c.filled).Seconds()*c.sw.Rate) // at first the time since the year 1: full
	c.filled = now
	if c.tokens >= 1 {
		c.tokens--
		return false
	}
	c.counts.Limited++
	if c.sw.RetryAfter {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil((1-c.tokens)/c.sw.Rate))))
	}
	c.problem(w, r, http.StatusTooManyRequests, "the client's rate limit is exceeded")
	return true
}

// problem answers with an error.
func (c *Certyo) problem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	w.Header().Set("X-Correlation-Id", "corr-"+strconv.Itoa(c.counts.Requests))
	if c.sw.EchoKey {
		detail += " (key " + r.Header.Get("X-API-Key") + ")"
	}
	if c.sw.PlainErrors {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, detail)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	write(w, status, map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

// result is one element of a bulk answer.
func (c *Certyo) result(r Received, refusal string, replayed bool) map[string]any {
	m := map[string]any{"tenantId": r.Tenant}
	if c.sw.Form != ByPlace {
		m["recordId"] = r.ID
		if c.sw.Form != ByID {
			m["idempotencyKey"] = r.Key
		}
	}
	if refusal == "" {
		m["recordHash"], m["acceptedAt"] = c.hash(r.Hash), r.At.Format("2006-01-02T15:04:05.000Z")
		m["idempotencyReplayed"] = replayed
		if c.sw.Snapshots {
			m["snapshotId"] = r.Snapshot
		}
	}
	c.say(m, refusal)
	return m
}

// receipt is the published answer to a single record.
func (c *Certyo) receipt(r Received, replayed bool) map[string]any {
	m := map[string]any{"recordId": r.ID, "recordHash": c.hash(r.Hash), "tenantId": r.Tenant, "acceptedAt": r.At.Format(time.RFC3339), "idempotencyReplayed": replayed}
	if c.sw.Snapshots {
		m["snapshotId"] = r.Snapshot
	}
	return m
}

// spoil does to results what is switched on.
func (c *Certyo) spoil(results []map[string]any) []map[string]any {
	if len(results) < 2 {
		return results
	}
	switch c.sw.Spoil {
	case Missing:
		return results[:len(results)-1]
	case Doubled:
		return append(results, results[0])
	case Stranger:
		other := maps.Clone(results[0])
		other["recordId"], other["idempotencyKey"] = "nobody's", "nobody's"
		return append(results, other)
	}
	return results
}

func (c *Certyo) say(m map[string]any, refusal string) {
	yes := refusal == ""
	switch c.sw.Words {
	case Status:
		if m["status"] = http.StatusAccepted; !yes {
			m["status"], m["error"] = http.StatusUnprocessableEntity, refusal
		}
	case Word:
		if m["status"] = "accepted"; !yes {
			m["status"], m["message"] = "rejected", refusal
		}
	case Flag:
		m["accepted"], m["errors"] = yes, []string{}
		if !yes {
			m["errors"] = []string{refusal}
		}
	case Sparse:
		if !yes {
			m["error"] = map[string]any{"code": "validation", "message": refusal}
		}
	}
}

// shape puts the results into the form that is switched on; nil is no body.
func (c *Certyo) shape(results []map[string]any, refused []bool) any {
	failures, accepted := []map[string]any{}, 0
	for i, r := range results {
		if refused[i] {
			failures = append(failures, r)
		} else {
			accepted++
		}
	}
	results = c.spoil(results)
	if c.sw.Shuffle {
		slices.Reverse(results)
	}
	switch c.sw.Form {
	case AsItems:
		return map[string]any{"items": results}
	case AsRecord:
		return map[string]any{"records": results}
	case Bare:
		return results
	case Failures:
		return map[string]any{"results": failures}
	case Summary:
		return map[string]any{"accepted": accepted, "rejected": len(failures)}
	case Nothing:
		return nil
	}
	return map[string]any{"results": results}
}

func (c *Certyo) hash(hex string) string {
	if c.sw.HashPrefix {
		return "sha256:" + hex
	}
	return hex
}
