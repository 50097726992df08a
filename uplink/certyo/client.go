// Package certyo speaks Certyo's HTTP API: it posts records, asks whether a record is anchored, and looks for one.
//
//	POST /api/v1/records              {...}                                               1 record
//	  202                             {"recordId": S, "recordHash": S, "acceptedAt": T, "idempotencyReplayed": B, ...}
//	POST /api/v1/records/bulk         {"tenantId": T, "records": [{...}, ...]}            1 to 1000 records
//	  202 or 207                      per-record results in a form that is not published, or none
//	POST /api/v1/verify/record        {"tenantId": T, ...} in one of the published forms, see VerifyForms
//	  200                             {"verified": B, "anchoredOnChain": B, "reasonCategory": S, ...}
//	  404                             not known, or not anchored yet
//	GET  /api/v1/verify/snapshot/ID   the same for all records of a snapshot; its answer is not published
//	GET  /api/v1/records?tenantId=T&database=D&collection=C&recordId=R
//	  200                             summaries of records in a form that is not published
//	each request carries              X-API-Key, Content-Type: application/json, User-Agent
//
// It promises to be right whichever way the unpublished parts fall: a record counts as accepted only if the answer says so
// or says nothing about any record; it counts as refused only if the answer says that; all else is left open, with the
// reason, and is posted again under the same idempotency key, which is harmless for 24 hours. Payloads go out byte for byte
// as they came in. Statuses are classified here and nowhere else: see Error.
//
// It never follows a redirect, since Go would carry the key along to another host; it never puts a key anywhere but into
// that header, not even if the service repeats it in an answer; it never repeats a request by itself, but for a key that
// was refused while another one is there and a verification whose form was.
//
// Facts are from Certyo's public pages (guides on ingestion, verification and authentication, the reference, and the MySQL
// guide); where those are silent, the comment says what is assumed. Not published is whether an idempotency key is one and the
// same at both ways to post; if it is not, BulkOnly keeps a record from being taken twice by them.
package certyo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// MaxRecords is the most that one bulk request may hold (Certyo reference).
const MaxRecords = 1000

const (
	maxBulkAnswer   = 8 << 20 // 1000 results of 8 KiB
	maxVerifyAnswer = 256 << 10
	maxErrorAnswer  = 64 << 10
)

// Config says where Certyo is and as whom to speak.
type Config struct {
	URL      string                 // "https://www.certyos.com", without the path
	Tenant   string                 // tenantId
	Client   string                 // clientId, "" to leave it out
	Key      func() (string, error) // asked before each request, so that a replaced key works at once
	KeyPlace string                 // where a person puts the key, for error texts: "/etc/station-agent/certyo-key"

	Next      func() (string, error) // the key that will replace Key, or has; nil for none. It is tried when Key is refused
	NextPlace string                 // where a person puts that
	Switched  func(place string)     // told when the key of the other place is in use from now on; may be nil

	BulkOnly   bool   // post a single record in a bulk request, too
	VerifyForm string // the form of a verification that is tried first, see VerifyForms; default Full

	UserAgent     string                                // "station-agent/1.4.0 (7d6f0f0e-...)"
	TLS           *tls.Config                           // nil for the system's authorities
	Proxy         func(*http.Request) (*url.URL, error) // nil for that of the environment (HTTPS_PROXY, NO_PROXY)
	Transport     http.RoundTripper                     // in place of the network, TLS and Proxy; nil but in tests
	PostTimeout   time.Duration                         // for a whole request with records; default 60 s, 30 s for a single record, as in Certyo's samples
	VerifyTimeout time.Duration                         // for all others; default 30 s
}

// Client is a client of Certyo's API. It may be used by several goroutines.
type Client struct {
	cfg   Config
	http  *http.Client
	spare spare // for bulk bodies

	keys   []apiKey
	worked atomic.Int32 // index of the key that worked last

	forms []form
	known atomic.Int32 // 1 + index of the form that was answered; 0: none yet
	begin atomic.Int32 // index of the form that is tried first until then
}

// New makes a client. It opens nothing.
func New(cfg Config) *Client {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.PostTimeout == 0 {
		cfg.PostTimeout = 60 * time.Second
	}
	if cfg.VerifyTimeout == 0 {
		cfg.VerifyTimeout = 30 * time.Second
	}
	if cfg.KeyPlace == "" {
		cfg.KeyPlace = "the key file"
	}
	if cfg.NextPlace == "" {
		cfg.NextPlace = "the file of the next key"
	}
	if cfg.Proxy == nil {
		cfg.Proxy = http.ProxyFromEnvironment
	}
	c := &Client{cfg: cfg, keys: []apiKey{{cfg.Key, cfg.KeyPlace}}, forms: formsFrom(cfg.VerifyForm)}
	if cfg.Next != nil {
		c.keys = append(c.keys, apiKey{cfg.Next, cfg.NextPlace})
	}
	if cfg.Transport == nil {
		cfg.Transport = transport(cfg)
	}
	c.http = &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// transport keeps a few connections for posts and verifications. HTTP/1.1 alone: a stalled HTTP/2 connection would stall all.
func transport(c Config) *http.Transport {
	cfg := c.TLS
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t := &http.Transport{
		Proxy:                  c.Proxy,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        cfg.Clone(),
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           4,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// request is one call; op names it in errors. Without a body it asks (GET), else it posts.
type request struct {
	op      string
	path    string
	body    *body
	timeout time.Duration
	limit   int64 // of the answer's body
}

// answer is a complete one. The key is blotted out of the body, should the service have repeated it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends r and ends the caller's part of its body. The error is ctx's own if it ended, else an *Error, with class
// record.Never where no repetition helps.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	defer r.body.let()
	return c.withKey(ctx, r.op, func(ctx context.Context, k apiKey, key string) (answer, error) { return c.send(ctx, r, k, key) })
}

func (c *Client) send(ctx context.Context, r request, k apiKey, key string) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	a, err := c.exchange(limited, r, key)
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{}, fmt.Errorf("%s: %w", r.op, ctx.Err())
	case err != nil && limited.Err() != nil:
		err = fmt.Errorf("no complete answer within %s", r.timeout)
		fallthrough
	case err != nil:
		return answer{}, &Error{Op: r.op, Text: printable(blot(err.Error(), key)) + advice(err), cause: err}
	case a.status < 200 || a.status > 299:
		return answer{}, classify(c.refusal(r.op, a, k))
	}
	return a, nil
}

func (c *Client) exchange(ctx context.Context, r request, key string) (answer, error) {
	method := http.MethodPost
	if r.body == nil {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.URL+r.path, nil)
	if err != nil {
		return answer{}, bare(err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength, req.GetBody = int64(len(r.body.bytes)), r.body.open
		if req.Body, err = r.body.open(); err != nil {
			return answer{}, err
		}
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("X-API-Key", key)
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, bare(err)
	}
	defer resp.Body.Close()
	good := resp.StatusCode >= 200 && resp.StatusCode <= 299
	limit := r.limit
	if !good {
		limit = maxErrorAnswer
	}
	body, err := readAll(io.LimitReader(resp.Body, limit+1), resp.ContentLength)
	switch {
	case err != nil && good:
		return answer{}, fmt.Errorf("read answer: %w", err)
	case int64(len(body)) > limit && good:
		return answer{}, fmt.Errorf("answer is longer than %d bytes", limit)
	}
	if bytes.Contains(body, []byte(key)) { // replacing copies
		body = bytes.ReplaceAll(body, []byte(key), []byte(blotted))
	}
	a := answer{resp.StatusCode, resp.Header, body}
	for _, name := range []string{correlation, "Location"} {
		a.header.Set(name, blot(a.header.Get(name), key))
	}
	return a, nil
}

// readAll reads r to its end, which the other side says to be size bytes long, -1 if it doesn't say.
func readAll(r io.Reader, size int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), maxKept)) + bytes.MinRead)
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// bare takes the method and the address off an error of net/http; the text of Error names the server itself.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// server is the configured host, for error texts.
func (c *Client) server() string {
	if u, err := url.Parse(c.cfg.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return "certyo.url"
}
