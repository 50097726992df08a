package uplinktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// verify looks a record up and compares the payload, if one is asked about, with what was received.
func (c *Certyo) verify(w http.ResponseWriter, r *http.Request, body []byte) {
	asked, payload, err := c.readQuestion(body)
	if err != nil {
		if _, wrong := readObject(body, questionFields...); wrong != nil { // else it is a form of which this service takes another
			c.violation("verify: %v", wrong)
		}
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
		c.answerPending(w, r, e)
	case payload != nil && digest(payload) != e.Hash || c.sw.Mismatch != nil && c.sw.Mismatch(e.Received):
		computed := digest(payload)
		if payload == nil || computed == e.Hash {
			computed = digest(json.RawMessage(`{"another":"payload"}`))
		}
		c.answerProof(w, e, computed, "payload_mismatch")
	case payload == nil:
		c.answerProof(w, e, "", "verified_anchored")
	default:
		if e.ProvenAt.IsZero() {
			e.ProvenAt = c.now()
		}
		c.answerProof(w, e, e.Hash, "verified_anchored")
	}
}

// verifySnapshot answers for all records of a snapshot; the real answer is not published.
func (c *Certyo) verifySnapshot(w http.ResponseWriter, r *http.Request, _ []byte) {
	c.counts.Verifies++
	c.settle()
	i := slices.IndexFunc(c.entries, func(e *entry) bool { return e.Snapshot == r.PathValue("id") })
	switch {
	case i < 0:
		c.problem(w, r, http.StatusNotFound, "no such snapshot")
	case c.entries[i].anchor.IsZero() || c.entries[i].anchor.After(c.now()):
		c.answerPending(w, r, c.entries[i])
	default:
		write(w, http.StatusOK, map[string]any{"verified": true, "verificationStatus": "pass", "reasonCategory": "verified_anchored", "anchoredOnChain": true})
	}
}

var questionFields = []string{"tenantId", "database", "collection", "recordId", "recordVersion", "payload"} // of all forms together

// readQuestion takes the form that is switched on, and no other.
func (c *Certyo) readQuestion(body []byte) (asked Received, payload json.RawMessage, err error) {
	where := []string{"database", "collection"}
	fields := map[Question][]string{
		AllFields: append(where, "recordVersion", "payload"), PayloadForm: append(where, "payload"), IDsForm: where, VersionForm: {"recordVersion"},
	}[c.sw.Question]
	fields = append(fields, "tenantId", "recordId")
	o, err := readObject(body, fields...)
	if err != nil {
		return asked, nil, err
	}
	to := map[string]*string{
		"tenantId": &asked.Tenant, "database": &asked.Database, "collection": &asked.Collection, "recordId": &asked.ID, "recordVersion": &asked.Version,
	}
	for _, name := range fields {
		if name == "payload" {
			if payload = o[name]; len(payload) == 0 || payload[0] != '{' {
				return asked, nil, errors.New("payload is no object")
			}
		} else if *to[name], err = o.text(name, true); err != nil {
			return asked, nil, err
		}
	}
	return asked, payload, nil
}

// find gives the latest record with the id and, unless VerifyLatest, the version that were asked for.
func (c *Certyo) find(asked Received) *entry {
	list := c.byRow[asked.row()]
	if c.sw.Question == VersionForm {
		list = c.entries
	}
	for _, e := range slices.Backward(list) {
		if e.ID == asked.ID && (asked.Version == "" || c.sw.VerifyLatest || e.Version == asked.Version) {
			return e
		}
	}
	return nil
}

func (c *Certyo) answerPending(w http.ResponseWriter, r *http.Request, e *entry) {
	if c.sw.PendingAs == http.StatusNotFound {
		c.problem(w, r, http.StatusNotFound, "not anchored yet")
		return
	}
	c.prove(w, e, map[string]any{
		"verified": false, "verificationStatus": "pending", "reasonCategory": "not_anchored", "anchoredOnChain": false, "snapshotHash": nil,
	})
}

// answerProof answers about e; computed is the hash of the payload that was asked about, "" if none was.
func (c *Certyo) answerProof(w http.ResponseWriter, e *entry, computed, reason string) {
	status, good := "fail", reason == "verified_anchored"
	if good {
		status = "pass"
	}
	m := map[string]any{
		"verified": good, "verificationStatus": status, "reasonCategory": reason, "anchoredOnChain": true, "snapshotHash": c.hash(e.Hash),
	}
	if computed != "" {
		m["computedPayloadHash"] = c.hash(computed)
	}
	c.prove(w, e, m)
}

// prove gives the proof the form that is switched on.
func (c *Certyo) prove(w http.ResponseWriter, e *entry, m map[string]any) {
	switch c.sw.Proof {
	case NoChain:
		delete(m, "anchoredOnChain")
	case NoHashes:
		delete(m, "snapshotHash")
		delete(m, "computedPayloadHash")
	case Naming:
		m["recordId"], m["recordVersion"] = e.ID, e.Version
	}
	write(w, http.StatusOK, m)
}

const pageSize = 2

// query answers GET /api/v1/records, whose real answer is not published.
func (c *Certyo) query(w http.ResponseWriter, r *http.Request, _ []byte) {
	q := r.URL.Query()
	if q.Get("tenantId") != c.cfg.Tenant {
		c.problem(w, r, http.StatusForbidden, "the key is for another tenant")
		return
	}
	list := []map[string]any{}
	for _, e := range c.entries {
		asked := want(q.Get("database"), e.Database) && want(q.Get("collection"), e.Collection) && want(q.Get("recordId"), e.ID)
		if asked && c.sw.Query != QueryAll || c.sw.Query == QueryAll && len(list) < 10 {
			list = append(list, c.summary(e))
		}
	}
	total := len(list)
	switch c.sw.Query {
	case QueryBare:
		write(w, http.StatusOK, list)
	case QueryPaged:
		from, _ := strconv.Atoi(q.Get("cursor"))
		list = list[min(from, total):min(from+pageSize, total)]
		m := map[string]any{"items": list, "totalCount": total, "nextCursor": nil}
		if end := from + pageSize; end < total {
			m["nextCursor"] = fmt.Sprint(end)
		}
		write(w, http.StatusOK, m)
	case QuerySparse:
		write(w, http.StatusOK, map[string]any{"data": list})
	case QueryNone404:
		if total == 0 {
			c.problem(w, r, http.StatusNotFound, "no such record")
			return
		}
		fallthrough
	default:
		write(w, http.StatusOK, map[string]any{"records": list})
	}
}

func (c *Certyo) summary(e *entry) map[string]any {
	m := map[string]any{"recordId": e.ID, "recordHash": c.hash(e.Hash), "acceptedAt": e.At}
	if c.sw.Query != QuerySparse {
		m["recordVersion"], m["idempotencyKey"] = e.Version, e.Key
	}
	return m
}

func want(asked, is string) bool { return asked == "" || asked == is }
