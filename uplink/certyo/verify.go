package certyo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"station-agent/store/record"
)

// question goes before payload in a request to verify. Three shapes of it are published: with the payload, without, and
// with the version alone. All of it is sent: the version names the state among several under one id, the payload makes the
// answer one about this very row.
type question struct {
	Tenant     string `json:"tenantId"`
	Database   string `json:"database"`
	Collection string `json:"collection"`
	ID         string `json:"recordId"`
	Version    string `json:"recordVersion"`
}

// Verify asks whether u is anchored, with the very bytes that were posted. The answer is returned as it came, as a JSON
// string if it was no JSON. A record that Certyo doesn't know (yet) is record.Missing. See Error for the classes of errors.
func (c *Client) Verify(ctx context.Context, u record.Unproven) (record.Anchoring, json.RawMessage, error) {
	r := u.Record
	op := fmt.Sprintf("verify %s/%s version %s at %s", r.Collection, r.ID, r.Version, c.server())
	head, err := json.Marshal(question{c.cfg.Tenant, r.Database, r.Collection, r.ID, r.Version})
	if err != nil {
		return "", nil, record.Never(fmt.Errorf("%s: %w", op, err))
	}
	var body bytes.Buffer
	seal(&body, head, "payload", r.Payload)
	a, err := c.do(ctx, request{op, "/api/v1/verify/record", body.Bytes(), c.cfg.VerifyTimeout, maxVerifyAnswer})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return record.Missing, asJSON([]byte(e.Error())), nil
	}
	if err != nil {
		return "", nil, err
	}
	return judge(a.body), asJSON(a.body), nil
}

// proof is what counts in the answer to verify. The page that shows it is cut within "computedPayloa...", so that name is
// matched by its beginning and by being a hash.
type proof struct {
	verified, onChain, reason, stored, computed loose
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
		case name == "snapshothash":
			p.stored = value
		case strings.HasPrefix(name, "computedpayloa") && strings.HasSuffix(name, "hash"):
			p.computed = value
		}
	}
	return p
}

// judge decides what a successful answer means, in this order:
//
//	verified and on chain; or nothing said of the chain but "verified_anchored"    anchored
//	not verified, and no stored hash or not on chain                               pending
//	not verified, and both hashes there and different                              mismatch
//	anything else                                                                  unclear
func judge(body []byte) record.Anchoring {
	p := readProof(body)
	no := p.verified == "false"
	stored, computed := normal(p.stored), normal(p.computed)
	switch {
	case p.verified == "true" && p.onChain == "true",
		!no && p.onChain == "" && p.reason == "verified_anchored":
		return record.Anchored
	case no && (stored == "" || p.onChain == "false"):
		return record.Pending
	case no && computed != "" && stored != computed:
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

// seal writes the object head with one more field, whose value is raw to the byte.
func seal(b *bytes.Buffer, head []byte, name string, raw json.RawMessage) {
	b.Write(head[:len(head)-1])
	fmt.Fprintf(b, `,%q:`, name)
	b.Write(raw)
	b.WriteByte('}')
}
