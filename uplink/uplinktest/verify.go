package uplinktest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// verify looks a record up by id and version and compares the payload with what was received.
func (c *Certyo) verify(w http.ResponseWriter, r *http.Request, body []byte) {
	asked, payload, err := c.readQuestion(body)
	if err != nil {
		c.violation("verify: %v", err)
		c.problem(w, r, http.StatusBadRequest, err.Error())
		return
	}
	if asked.Tenant != c.cfg.Tenant {
		c.problem(w, r, http.StatusForbidden, "the key is for another tenant")
		return
	}
	c.counts.Verifies++
	c.settle()
	e := c.find(asked)
	switch {
	case e == nil:
		c.problem(w, r, http.StatusNotFound, "no such record")
	case e.anchor.IsZero() || e.anchor.After(c.now()):
		c.answerPending(w, r)
	case digest(payload) != e.Hash || c.sw.Mismatch != nil && c.sw.Mismatch(e.Received):
		computed := digest(payload)
		if computed == e.Hash {
			computed = digest(json.RawMessage(`{"another":"payload"}`))
		}
		c.answerProof(w, e.Hash, computed, "payload_mismatch")
	default:
		if e.ProvenAt.IsZero() {
			e.ProvenAt = c.now()
		}
		c.answerProof(w, e.Hash, e.Hash, "verified_anchored")
	}
}

func (c *Certyo) readQuestion(body []byte) (asked Received, payload json.RawMessage, err error) {
	o, err := readObject(body, "tenantId", "database", "collection", "recordId", "recordVersion", "payload")
	if err != nil {
		return asked, nil, err
	}
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"tenantId", &asked.Tenant}, {"database", &asked.Database}, {"collection", &asked.Collection},
		{"recordId", &asked.ID}, {"recordVersion", &asked.Version},
	} {
		if *f.to, err = o.text(f.name, true); err != nil {
			return asked, nil, err
		}
	}
	if payload = o["payload"]; len(payload) == 0 || payload[0] != '{' {
		return asked, nil, errors.New("payload is no object")
	}
	return asked, payload, nil
}

// find gives the latest record with the id and version that were asked for.
func (c *Certyo) find(asked Received) *entry {
	for _, e := range slices.Backward(c.byRow[asked.row()]) {
		if e.Version == asked.Version {
			return e
		}
	}
	return nil
}

func (c *Certyo) answerPending(w http.ResponseWriter, r *http.Request) {
	if c.sw.PendingAs == http.StatusNotFound {
		c.problem(w, r, http.StatusNotFound, "not anchored yet")
		return
	}
	write(w, http.StatusOK, map[string]any{
		"verified": false, "verificationStatus": "pending", "reasonCategory": "not_anchored", "anchoredOnChain": false, "snapshotHash": nil,
	})
}

func (c *Certyo) answerProof(w http.ResponseWriter, stored, computed, reason string) {
	status := "fail"
	if stored == computed {
		status = "pass"
	}
	write(w, http.StatusOK, map[string]any{
		"verified": stored == computed, "verificationStatus": status, "reasonCategory": reason, "anchoredOnChain": true,
		"snapshotHash": c.hash(stored), "computedPayloadHash": c.hash(computed),
	})
}

// query answers GET /api/v1/records, whose real answer is not published.
func (c *Certyo) query(w http.ResponseWriter, r *http.Request, _ []byte) {
	q := r.URL.Query()
	if q.Get("tenantId") != c.cfg.Tenant {
		c.problem(w, r, http.StatusForbidden, "the key is for another tenant")
		return
	}
	list := []map[string]any{}
	for _, e := range c.entries {
		if want(q.Get("database"), e.Database) && want(q.Get("collection"), e.Collection) && want(q.Get("recordId"), e.ID) {
			list = append(list, map[string]any{"recordId": e.ID, "recordVersion": e.Version, "recordHash": c.hash(e.Hash),
				"idempotencyKey": e.Key, "acceptedAt": e.At})
		}
	}
	write(w, http.StatusOK, map[string]any{"records": list})
}

func want(asked, is string) bool { return asked == "" || asked == is }
