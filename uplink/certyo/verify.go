package certyo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"station-agent/store/record"
)

// Full and the others are the forms of a request to verify. Three are published, each with other fields; Full has all of
// theirs. The version names the state among several under one id, the payload makes the answer one about this very row: the
// less is sent, the less an answer proves.
const (
	Full        = "full"    // tenantId, database, collection, recordId, recordVersion, payload
	WithPayload = "payload" // without recordVersion (guide on verification)
	WithIDs     = "ids"     // without recordVersion and payload (MySQL guide)
	WithVersion = "version" // tenantId, recordId, recordVersion alone (enterprise integration skill)
)

// VerifyForms lists them in the order in which they are tried.
func VerifyForms() []string { return []string{Full, WithPayload, WithIDs, WithVersion} }

// form says which fields of a question stand in it, besides tenant and id.
type form struct{ where, version, payload bool }

// formsFrom lists the forms, the wanted one first.
func formsFrom(wanted string) (list []form) {
	forms := map[string]form{Full: {true, true, true}, WithPayload: {true, false, true}, WithIDs: {true, false, false}, WithVersion: {false, true, false}}
	for _, name := range VerifyForms() {
		if name == wanted {
			list = append([]form{forms[name]}, list...)
		} else {
			list = append(list, forms[name])
		}
	}
	return list
}

// question goes before payload in a request to verify.
type question struct {
	Tenant     string `json:"tenantId"`
	Database   string `json:"database,omitempty"`
	Collection string `json:"collection,omitempty"`
	ID         string `json:"recordId"`
	Version    string `json:"recordVersion,omitempty"`
}

// Verify asks whether u is anchored, with the very bytes that were posted. The answer is returned as it came, as a JSON
// string if it was no JSON. A record that Certyo doesn't know (yet) is record.Missing. See Error for the classes of errors.
//
// A form that is refused with 400 or 422 gives way to the next one. The first that brings an answer is kept: from then on a
// refusal is about the record. If something else ends the search, a rate limit, say, it goes on from there the next time.
func (c *Client) Verify(ctx context.Context, u record.Unproven) (record.Anchoring, json.RawMessage, error) {
	if n := c.known.Load(); n > 0 {
		return c.verify(ctx, u, c.forms[n-1])
	}
	var first error
	from := int(c.begin.Swap(0))
	for n := range c.forms {
		i := (from + n) % len(c.forms)
		state, answer, err := c.verify(ctx, u, c.forms[i])
		e, refused := errors.AsType[*Error](err)
		if refused = refused && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity); !refused {
			if err == nil && state != record.Missing { // a 404 may be about anything
				c.known.CompareAndSwap(0, int32(i+1))
			} else if first != nil {
				c.begin.Store(int32(i))
			}
			return state, answer, err
		}
		if first == nil {
			first = err
		}
	}
	return "", nil, first
}

func (c *Client) verify(ctx context.Context, u record.Unproven, f form) (record.Anchoring, json.RawMessage, error) {
	r := &u.Record
	op := fmt.Sprintf("verify %s/%s version %s at %s", r.Collection, r.ID, r.Version, c.server())
	q := question{Tenant: c.cfg.Tenant, ID: r.ID}
	if f.where {
		q.Database, q.Collection = r.Database, r.Collection
	}
	if f.version {
		q.Version = r.Version
	}
	text, err := json.Marshal(q)
	if err != nil {
		return "", nil, record.Never(fmt.Errorf("%s: %w", op, err))
	}
	if f.payload {
		text = append(append(append(text[:len(text)-1], `,"payload":`...), r.Payload...), '}')
	}
	a, err := c.do(ctx, request{op, "/api/v1/verify/record", newBody(text, nil), c.cfg.VerifyTimeout, maxVerifyAnswer})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return record.Missing, asJSON([]byte(e.Error())), nil
	}
	if err != nil {
		return "", nil, err
	}
	p := readProof(a.body)
	state := p.judge()
	switch {
	case p.other(u):
		state = record.Overtaken
	case state == record.Anchored && !f.version && !f.payload && !p.ours(u):
		state = record.Unclear
	}
	return state, asJSON(a.body), nil
}

// VerifySnapshot asks whether the snapshot that a receipt names is anchored, and with it every record that is in it. The answer
// is not published and is read as that of Verify. It says nothing about the content of any one record.
func (c *Client) VerifySnapshot(ctx context.Context, id string) (record.Anchoring, json.RawMessage, error) {
	a, err := c.do(ctx, request{
		op: fmt.Sprintf("verify snapshot %s at %s", clip(printable(id), 128), c.server()), path: "/api/v1/verify/snapshot/" + url.PathEscape(id),
		timeout: c.cfg.VerifyTimeout, limit: maxVerifyAnswer,
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return record.Missing, asJSON([]byte(e.Error())), nil
	}
	if err != nil {
		return "", nil, err
	}
	return readProof(a.body).judge(), asJSON(a.body), nil
}

// proof is what counts in the answer to verify. The page that shows it is cut within "computedPayloa...", so that name is
// matched by its beginning and by being a hash.
type proof struct {
	verified, onChain, reason, stored, computed loose
	id, version                                 loose // of the record that it is about, if it says so
}

func readProof(body []byte) (p proof) {
	var fields map[string]loose
	if json.Unmarshal(body, &fields) != nil {
		return proof{}
	}
	for name, value := range fields {
		switch name = strings.ToLower(name); {
		case name == "verified":
			p.verified = value
		case name == "anchoredonchain":
			p.onChain = value
		case name == "reasoncategory":
			p.reason = value
		case name == "recordid":
			p.id = value
		case name == "recordversion":
			p.version = value
		case name == "snapshothash":
			p.stored = value
		case strings.HasPrefix(name, "computedpayloa") && strings.HasSuffix(name, "hash"):
			p.computed = value
		}
	}
	return p
}

// other tells that the proof is about another record than u, or about another version of it: a service may look the latest
// one up whatever it is asked. If the payload was weighed, that shows by its hash; else the stored one must be the receipt's.
func (p proof) other(u record.Unproven) bool {
	stored, ours := normal(p.stored), normal(loose(u.Receipt.Hash))
	return p.id != "" && string(p.id) != u.Record.ID || p.version != "" && string(p.version) != u.Record.Version ||
		p.computed == "" && stored != "" && ours != "" && stored != ours
}

// ours tells that the proof names u's version, or the hash that the receipt has: where neither version nor payload were asked
// about, "verified" alone may be about any state of the row.
func (p proof) ours(u record.Unproven) bool {
	return p.version != "" || p.stored != "" && normal(p.stored) == normal(loose(u.Receipt.Hash))
}

// judge decides what a successful answer means, in this order:
//
//	verified and on chain; or nothing said of the chain but "verified_anchored";
//	    and not two hashes that differ                                             anchored
//	not verified, and no stored hash or not on chain                               pending
//	not verified, and both hashes there and different                              mismatch
//	anything else                                                                  unclear
func (p proof) judge() record.Anchoring {
	no := p.verified == "false"
	stored, computed := normal(p.stored), normal(p.computed)
	differ := stored != "" && computed != "" && stored != computed
	switch {
	case differ && !no:
		return record.Unclear
	case p.verified == "true" && p.onChain == "true",
		!no && p.onChain == "" && p.reason == "verified_anchored":
		return record.Anchored
	case no && (stored == "" || p.onChain == "false"):
		return record.Pending
	case no && differ:
		return record.Mismatch
	}
	return record.Unclear
}

// normal makes two ways to write one hash equal; the pages differ in the prefix.
func normal(hash loose) string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(string(hash))), "sha256:")
}

// asJSON keeps an answer so that it can be stored as JSON whatever it was.
func asJSON(body []byte) json.RawMessage {
	if json.Valid(body) {
		return body
	}
	text, err := json.Marshal(printable(clip(string(body), maxText)))
	if err != nil {
		return nil
	}
	return text
}
