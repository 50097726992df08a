package certyo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"station-agent/store/record"
)

// outgoing is what goes before recordPayload in an ingested record (Certyo ingestion guide).
type outgoing struct {
	Tenant     string    `json:"tenantId"`
	Client     string    `json:"clientId,omitempty"`
	Database   string    `json:"database"`
	Collection string    `json:"collection"`
	ID         string    `json:"recordId"`
	Version    string    `json:"recordVersion"`
	Op         record.Op `json:"operationType"`
	At         string    `json:"sourceTimestamp,omitempty"` // RFC 3339, UTC; left out if the source didn't tell
	Key        string    `json:"idempotencyKey"`
}

// Post sends 1 to MaxRecords records in one bulk request. The answers are aligned with records (Seq is left 0): with a
// Receipt, the record was accepted; with a Refusal, it was refused for good; with neither, the answer left it open and it
// is to be posted again. An error is about the request as a whole; nothing is known of any record then. See Error for the
// classes.
func (c *Client) Post(ctx context.Context, records []record.Record) ([]record.Delivery, error) {
	op := fmt.Sprintf("post %d records to %s", len(records), c.server())
	if len(records) == 0 || len(records) > MaxRecords {
		return nil, fmt.Errorf("%s: a request holds 1 to %d", op, MaxRecords)
	}
	body, err := c.bulk(records)
	if err != nil {
		return nil, record.Never(fmt.Errorf("%s: %w", op, err))
	}
	a, err := c.do(ctx, request{op, "/api/v1/records/bulk", body, c.cfg.PostTimeout, maxBulkAnswer})
	if err != nil {
		return nil, err
	}
	return readBulk(op, a, records)
}

// bulk builds the body. It is put together by hand, since encoding/json would rewrite the payloads.
func (c *Client) bulk(records []record.Record) ([]byte, error) {
	var b bytes.Buffer
	size := 64
	for _, r := range records {
		size += len(r.Payload) + 512
	}
	b.Grow(size)
	tenant, err := json.Marshal(c.cfg.Tenant)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, `{"tenantId":%s,"records":[`, tenant)
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		head, err := json.Marshal(c.outgoing(r))
		if err != nil {
			return nil, err
		}
		seal(&b, head, "recordPayload", r.Payload)
	}
	b.WriteString("]}")
	return b.Bytes(), nil
}

func (c *Client) outgoing(r record.Record) outgoing {
	o := outgoing{
		Tenant: c.cfg.Tenant, Client: c.cfg.Client, Database: r.Database, Collection: r.Collection,
		ID: r.ID, Version: r.Version, Op: r.Op, Key: r.Key,
	}
	if !r.At.IsZero() {
		o.At = r.At.UTC().Format(time.RFC3339Nano)
	}
	return o
}

// seal writes the object head with one more field, whose value is raw to the byte.
func seal(b *bytes.Buffer, head []byte, name string, raw json.RawMessage) {
	b.Write(head[:len(head)-1])
	fmt.Fprintf(b, `,%q:`, name)
	b.Write(raw)
	b.WriteByte('}')
}
