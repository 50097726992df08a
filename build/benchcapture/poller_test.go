package benchcapture

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

const (
	pollEvery     = time.Second // the guide has 15 s
	pollLimit     = 500
	bulkThreshold = 10
)

// poller does what timestamp_poller.py of Certyo's MySQL guide does, for our table: it asks for the rows whose updated_at lies
// behind the last one it saw, and posts them as they are then. Conditions, limits and the order of its steps are the guide's;
// only it asks each second.
type poller struct {
	address string
	last    string
	sink    *pollSink
}

func newPoller(address string) *poller {
	return &poller{address, "1970-01-01 00:00:00", newPollSink()}
}

// polled is a row as the guide maps it.
type polled struct{ id, name, updated string }

func (p *poller) run(ctx context.Context) error {
	defer p.sink.server.Close()
	for ctx.Err() == nil {
		rows, err := p.poll(ctx)
		if err == nil && len(rows) > 0 {
			if err = p.ingest(ctx, rows); err == nil {
				for _, r := range rows {
					p.last = max(p.last, r.updated)
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("poll as the guide does: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// poll reads what changed, over a connection of its own.
func (p *poller) poll(ctx context.Context) (rows []polled, err error) {
	c := driver.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", p.address, servers.AgentUser, servers.AgentPassword, "external"
	connector, err := driver.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	list, err := db.QueryContext(ctx, fmt.Sprintf("SELECT hash, buylo_name, updated_at FROM buylo_products WHERE updated_at > ? "+
		"ORDER BY updated_at LIMIT %d", pollLimit), p.last)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	for list.Next() {
		var r polled
		if err := list.Scan(&r.id, &r.name, &r.updated); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, list.Err()
}

func (p *poller) ingest(ctx context.Context, rows []polled) error {
	records := make([]map[string]any, len(rows))
	for i, r := range rows {
		records[i] = map[string]any{
			"tenantId": bed.Tenant, "database": "external", "collection": "products", "recordId": r.id, "operationType": "upsert",
			"recordPayload": map[string]string{"id": r.id, "name": r.name}, "sourceTimestamp": r.updated,
			"idempotencyKey": "poll-" + r.id + "-" + r.updated,
		}
	}
	if len(records) > bulkThreshold {
		return p.post(ctx, "/api/v1/records/bulk", map[string]any{"tenantId": bed.Tenant, "records": records})
	}
	for _, r := range records {
		if err := p.post(ctx, "/api/v1/records", r); err != nil {
			return err
		}
	}
	return nil
}

func (p *poller) post(ctx context.Context, path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.sink.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// pollSink notes the names that came.
type pollSink struct {
	server *httptest.Server
	mu     sync.Mutex
	names  map[string]bool
}

func newPollSink() *pollSink {
	s := &pollSink{names: map[string]bool{}}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the poller went away
		}
		s.take(body)
		w.WriteHeader(http.StatusAccepted)
	}))
	return s
}

func (s *pollSink) take(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const before = `"name":"`
	for found := true; found; {
		if _, body, found = bytes.Cut(body, []byte(before)); found {
			name, _, _ := bytes.Cut(body, []byte(`"`))
			s.names[string(name)] = true
		}
	}
}

// came counts which of the changes 0 to n-1 did.
func (s *pollSink) came(n int) (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.names {
		if i, ok := changeOf(name); ok && i < n {
			count++
		}
	}
	return count
}
