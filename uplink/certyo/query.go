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

// maxQueryAnswer is larger than that of the others: a row may have had many versions.
const maxQueryAnswer = 2 << 20

// fullPage is the fewest summaries that may be a page of more, if the answer doesn't tell how many there are.
const fullPage = 10

// Found is what Certyo has under the id of a record.
type Found struct {
	Known   record.Known
	Receipt *record.Receipt // of the record, if it is known; what the summary didn't say is empty
	Answer  json.RawMessage // as it came
}

// Lookup asks whether Certyo has r, and for its receipt. It is Query for those who don't keep answers.
func (c *Client) Lookup(ctx context.Context, r record.Record) (record.Known, *record.Receipt, error) {
	f, err := c.Query(ctx, r)
	return f.Known, f.Receipt, err
}

// Query looks for r among the records under its database, collection and id. See Error for the classes of errors.
//
// Neither the answer nor its paging are published. A summary is r's if it has its idempotency key, or its version. That Certyo
// doesn't have r is only believed if the answer is whole and about this id: no other id in it, each summary with a key or a
// version, and no sign or chance of a further page. A 404 may be about anything.
func (c *Client) Query(ctx context.Context, r record.Record) (Found, error) {
	query := url.Values{"tenantId": {c.cfg.Tenant}, "database": {r.Database}, "collection": {r.Collection}, "recordId": {r.ID}}
	a, err := c.do(ctx, request{
		op: fmt.Sprintf("look for %s/%s version %s at %s", r.Collection, r.ID, r.Version, c.server()), path: "/api/v1/records?" + query.Encode(),
		timeout: c.cfg.VerifyTimeout, limit: maxQueryAnswer,
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return Found{Answer: asJSON([]byte(e.Error()))}, nil
	}
	if err != nil {
		return Found{}, err
	}
	f := readFound(a, &r)
	f.Answer = asJSON(a.body)
	return f, nil
}

// page is the answer to a query under every plausible name.
type page struct {
	envelope
	Total, TotalCount, TotalRecords                         loose
	HasMore, HasNextPage, Truncated                         loose
	Next, NextPage, NextCursor, NextLink, ContinuationToken loose
	Cursor                                                  loose
}

func readFound(a answer, r *record.Record) (f Found) {
	var p page
	whole := a.status == http.StatusOK && json.Valid(a.body)
	list := true
	switch text := strings.TrimSpace(string(a.body)); {
	case !whole:
		return f
	case strings.HasPrefix(text, "["):
		_ = json.Unmarshal(a.body, &p.Results) // a field of another type is left out
	default:
		_ = json.Unmarshal(a.body, &p)
		list = p.Results != nil || p.Records != nil || p.Items != nil || p.Data != nil
	}
	results := p.list()
	whole = list && p.last(len(results))
	for i := range results {
		s := &results[i]
		switch {
		case string(s.ID) != r.ID: // what was asked for was not heeded
			whole = false
		case s.Key != "" && string(s.Key) == r.Key, s.Version != "" && string(s.Version) == r.Version:
			receipt := s.receipt()
			return Found{Known: record.KnownYes, Receipt: &receipt}
		case s.Version == "": // another key may be written in another way
			whole = false
		}
	}
	if whole {
		f.Known = record.KnownNo
	}
	return f
}

// last tells whether n summaries are all there are.
func (p *page) last(n int) bool {
	for _, l := range []loose{p.HasMore, p.HasNextPage, p.Truncated, p.Next, p.NextPage, p.NextCursor, p.NextLink, p.ContinuationToken, p.Cursor} {
		if l.says() {
			return false
		}
	}
	told := false
	for _, l := range []loose{p.Total, p.TotalCount, p.TotalRecords} {
		total, ok := l.number()
		if ok && total > n {
			return false
		}
		told = told || ok
	}
	return told || n < fullPage
}
