package uplinktest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"station-agent/store/record"
)

func (c *Certyo) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/records", c.handle(func() *int { return &c.sw.failPosts }, c.single))
	mux.HandleFunc("POST /api/v1/records/bulk", c.handle(func() *int { return &c.sw.failPosts }, c.bulk))
	mux.HandleFunc("POST /api/v1/verify/record", c.handle(func() *int { return &c.sw.failVerifies }, c.verify))
	mux.HandleFunc("GET /api/v1/verify/snapshot/{id}", c.handle(func() *int { return &c.sw.failVerifies }, c.verifySnapshot))
	mux.HandleFunc("GET /api/v1/records", c.handle(func() *int { return new(int) }, c.query))
	return mux
}

// handle does what all calls have in common: it holds the lock, plays the faults, and demands the key and JSON.
func (c *Certyo) handle(fail func() *int, serve func(http.ResponseWriter, *http.Request, []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			panic(http.ErrAbortHandler) // the client went away
		}
		c.mu.Lock()
		slow := c.sw.Slow
		c.mu.Unlock()
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-time.After(slow):
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counts.Requests++
		seen := &seen{ResponseWriter: w}
		at := len(c.calls)
		c.calls = append(c.calls, Call{At: c.now(), Station: station(r.UserAgent()), Method: r.Method, Path: r.URL.Path, Bytes: len(body)})
		defer func() { c.calls[at].Status = seen.status }()
		c.manners(r, body)
		if c.fault(seen, r, fail()) {
			return
		}
		if status, why := c.admit(r, body); status != 0 {
			c.problem(seen, r, status, why)
			return
		}
		if !c.limited(seen, r) {
			serve(seen, r, body)
		}
	}
}

// seen keeps the status of an answer.
type seen struct {
	http.ResponseWriter
	status int
}

func (s *seen) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// station is what stands in the brackets of a User-Agent.
func station(agent string) string {
	if _, in, ok := strings.Cut(agent, "("); ok {
		in, _, _ = strings.Cut(in, ")")
		return in
	}
	return agent
}

// came notes in the call that is being answered what its body held.
func (c *Certyo) came(records []Received) {
	call := &c.calls[len(c.calls)-1]
	if call.Records = len(records); len(records) > 0 {
		call.Client = records[0].Client
	}
}

// manners notes what no answer would show.
func (c *Certyo) manners(r *http.Request, body []byte) {
	if r.Method == http.MethodPost && !strings.HasPrefix(r.UserAgent(), "station-agent/") { // people may look with GET
		c.violation("the client is called %q", r.UserAgent())
	}
	for _, key := range c.sw.Keys {
		if bytes.Contains(body, []byte(key)) || strings.Contains(r.URL.String(), key) {
			c.violation("the API key is outside its header")
		}
	}
}

func (c *Certyo) admit(r *http.Request, body []byte) (status int, why string) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch key := r.Header.Values("X-API-Key"); {
	case len(key) != 1 || key[0] == "":
		c.violation("one API key was due, %d came", len(key))
		return http.StatusUnauthorized, "the API key is missing"
	case !slices.Contains(c.sw.Keys, key[0]):
		return http.StatusUnauthorized, "the API key is invalid or inactive"
	case r.Method == http.MethodGet:
		return 0, ""
	case err != nil || media != "application/json":
		c.violation("content type %q", r.Header.Get("Content-Type"))
		return http.StatusUnsupportedMediaType, "application/json is due"
	case len(body) > maxBody:
		c.violation("a body of more than %d bytes", maxBody)
		return http.StatusRequestEntityTooLarge, "the body is too large"
	case c.sw.MaxBytes > 0 && len(body) > c.sw.MaxBytes:
		return http.StatusRequestEntityTooLarge, "the body is too large"
	}
	return 0, ""
}

// single answers one record, whose answer is published.
func (c *Certyo) single(w http.ResponseWriter, r *http.Request, body []byte) {
	c.counts.Posts++
	received, refusals := c.judge([]json.RawMessage{body})
	c.came(received)
	switch one := received[0]; {
	case one.Tenant != "" && one.Tenant != c.cfg.Tenant:
		c.problem(w, r, http.StatusForbidden, "the key is for another tenant")
	case refusals[0] != "":
		c.counts.Refused++
		c.problem(w, r, http.StatusBadRequest, refusals[0])
	default:
		first, replayed := c.take(one, "single")
		c.lose()
		write(w, http.StatusAccepted, c.receipt(first.Received, replayed))
	}
}

// lose breaks the connection if the answer is to be lost.
func (c *Certyo) lose() {
	if c.sw.loseAnswers > 0 {
		c.sw.loseAnswers--
		panic(http.ErrAbortHandler)
	}
}

func (c *Certyo) bulk(w http.ResponseWriter, r *http.Request, body []byte) {
	c.counts.Posts++
	tenant, elements, err := readBulk(body)
	if err == nil && (len(elements) == 0 || len(elements) > maxRecords) {
		err = fmt.Errorf("%d records: 1 to %d are due", len(elements), maxRecords)
	}
	if err != nil {
		c.violation("bulk: %v", err)
		c.problem(w, r, http.StatusBadRequest, err.Error())
		return
	}
	if tenant != c.cfg.Tenant {
		c.problem(w, r, http.StatusForbidden, "the key is for another tenant")
		return
	}
	received, refusals := c.judge(elements)
	c.came(received)
	bad := slices.ContainsFunc(refusals, func(s string) bool { return s != "" })
	if bad && c.sw.WholeBatch {
		c.problem(w, r, http.StatusBadRequest, "a record is bad: "+strings.Join(slices.Compact(slices.Sorted(slices.Values(refusals))), "; "))
		return
	}
	answer := c.ingest(received, refusals)
	c.lose()
	status := http.StatusAccepted
	if bad && c.sw.MultiStatus {
		status = http.StatusMultiStatus
	}
	write(w, status, answer)
}

// judge reads each record on its own.
func (c *Certyo) judge(elements []json.RawMessage) (received []Received, refusals []string) {
	c.counts.Records += len(elements)
	received, refusals = make([]Received, len(elements)), make([]string, len(elements))
	seen := map[string]bool{}
	for i, raw := range elements {
		r, err := c.read(raw)
		switch {
		case err == nil && seen[r.Key]:
			err = fmt.Errorf("idempotencyKey %s is twice in this request", r.Key)
			fallthrough
		case err != nil:
			c.violation("record %d: %v", i, err)
			refusals[i] = err.Error()
		case c.sw.Reject != nil:
			refusals[i] = c.sw.Reject(r)
		}
		seen[r.Key] = true
		received[i] = r
	}
	return received, refusals
}

func (c *Certyo) ingest(received []Received, refusals []string) any {
	results, refused := make([]map[string]any, len(received)), make([]bool, len(received))
	for i, r := range received {
		replayed := false
		if refused[i] = refusals[i] != ""; refused[i] {
			c.counts.Refused++
		} else {
			var first *entry
			first, replayed = c.take(r, "bulk")
			r.At, r.Hash, r.Snapshot = first.At, first.Hash, first.Snapshot
		}
		results[i] = c.result(r, refusals[i], replayed)
	}
	return c.shape(results, refused)
}

func readBulk(body []byte) (tenant string, records []json.RawMessage, err error) {
	o, err := readObject(body, "tenantId", "records")
	if err != nil {
		return "", nil, err
	}
	if tenant, err = o.text("tenantId", true); err != nil {
		return "", nil, err
	}
	if err = json.Unmarshal(o["records"], &records); err != nil {
		return "", nil, fmt.Errorf("records: %w", err)
	}
	return tenant, records, nil
}

// read takes one record apart. The contract makes half of its fields optional; a station always knows them.
func (c *Certyo) read(raw json.RawMessage) (r Received, err error) {
	o, err := readObject(raw, "tenantId", "clientId", "database", "collection", "recordId", "recordVersion", "operationType",
		"sourceTimestamp", "idempotencyKey", "recordPayload")
	if err != nil {
		return r, err
	}
	var op, at string
	for _, f := range []struct {
		name string
		to   *string
		must bool
	}{
		{"idempotencyKey", &r.Key, true}, {"recordId", &r.ID, true}, {"tenantId", &r.Tenant, true}, {"clientId", &r.Client, c.cfg.Client != ""},
		{"database", &r.Database, true}, {"collection", &r.Collection, true}, {"recordVersion", &r.Version, true},
		{"operationType", &op, true}, {"sourceTimestamp", &at, true},
	} {
		if *f.to, err = o.text(f.name, f.must); err != nil {
			return r, err
		}
	}
	if r.Record.At, err = time.Parse(time.RFC3339, at); err != nil {
		return r, fmt.Errorf("sourceTimestamp %q is no ISO 8601 time with a zone", at)
	}
	r.Op = record.Op(op)
	r.Payload = bytes.Clone(o["recordPayload"])
	r.Hash = digest(r.Payload)
	switch {
	case !slices.Contains([]record.Op{record.Insert, record.Update, record.Delete, record.Upsert}, r.Op):
		return r, fmt.Errorf("operationType %q is unknown", op)
	case r.Tenant != c.cfg.Tenant:
		return r, fmt.Errorf("tenantId %q differs from the request's", r.Tenant)
	case c.cfg.Client != "" && r.Client != c.cfg.Client:
		return r, fmt.Errorf("clientId %q is not the key's", r.Client)
	case len(r.Payload) == 0 || r.Payload[0] != '{':
		return r, fmt.Errorf("recordPayload is no object")
	}
	return r, nil
}

// object is a JSON object by its exact field names.
type object map[string]json.RawMessage

// readObject takes an object apart by exact names and refuses any other.
func readObject(raw []byte, names ...string) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, fmt.Errorf("no JSON object: %v", err)
	}
	for name := range o {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("unknown field %q", name)
		}
	}
	return o, nil
}

func (o object) text(name string, must bool) (string, error) {
	raw, there := o[name]
	if !there && !must {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil || *s == "" {
		return "", fmt.Errorf("%s must be a string that isn't empty", name)
	}
	return *s, nil
}

func digest(payload json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, payload) != nil {
		return ""
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// write sends v as JSON, or nothing at all for nil.
func write(w http.ResponseWriter, status int, v any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	if v != nil {
		_ = json.NewEncoder(w).Encode(v) // a client that went away has no use for it
	}
}
