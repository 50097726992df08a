package certyo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"station-agent/store/record"
)

// Post sends 1 to MaxRecords records, no two of one key, in one request: one by itself, unless Config.BulkOnly says otherwise, more
// in bulk. The answers are aligned with records (Seq is left 0): with a Receipt, the record was accepted; with a Refusal, it was
// refused for good; with neither, the answer left it open for the reason in Open and it is to be posted again. An error is about
// the request as a whole; nothing is known of any record then. See Error for the classes.
func (c *Client) Post(ctx context.Context, records []record.Record) ([]record.Delivery, error) {
	op := fmt.Sprintf("post %d records to %s", len(records), c.server())
	if len(records) == 0 || len(records) > MaxRecords {
		return nil, fmt.Errorf("%s: a request holds 1 to %d", op, MaxRecords)
	}
	r := request{op, "/api/v1/records/bulk", nil, c.cfg.PostTimeout, maxBulkAnswer}
	read := readBulk
	single := len(records) == 1 && !c.cfg.BulkOnly
	if single {
		r.op, r.path, r.timeout = "post 1 record to "+c.server(), "/api/v1/records", min(c.cfg.PostTimeout, singleTimeout)
		read = readSingle
	}
	bytes, err := c.ingest(records, single)
	if err != nil {
		return nil, record.Never(fmt.Errorf("%s: %w", op, err))
	}
	r.body = newBody(bytes, &c.spare)
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	return read(r.op, a, records)
}

// ingest builds the body. It is put together by hand: encoding/json would rewrite the payloads, and take its time.
func (c *Client) ingest(records []record.Record, single bool) ([]byte, error) {
	tenant, err := json.Marshal(c.cfg.Tenant)
	if err != nil {
		return nil, err
	}
	client, err := json.Marshal(c.cfg.Client)
	if err != nil {
		return nil, err
	}
	b := c.spare.take(c.size(records, len(tenant)+len(client)))
	if !single {
		b = append(append(append(b, `{"tenantId":`...), tenant...), `,"records":[`...)
	}
	for i := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"tenantId":`...), tenant...)
		if c.cfg.Client != "" {
			b = append(append(b, `,"clientId":`...), client...)
		}
		b = appendRecord(b, &records[i])
	}
	if single {
		return b, nil
	}
	return append(b, "]}"...), nil
}

const singleTimeout = 30 * time.Second // as in Certyo's samples

const envelopeBytes = 256 // of a record's names, times and marks

// size is about what the body takes, rather more.
func (c *Client) size(records []record.Record, common int) int {
	size := 64 + common
	for i := range records {
		r := &records[i]
		size += common + envelopeBytes + len(r.Payload) + len(r.Key) + len(r.ID) + len(r.Database) + len(r.Collection)
	}
	return size
}

// appendRecord appends what stands in an ingested record behind tenant and client (Certyo ingestion guide), and its end.
func appendRecord(b []byte, r *record.Record) []byte {
	b = appendField(b, "database", r.Database)
	b = appendField(b, "collection", r.Collection)
	b = appendField(b, "recordId", r.ID)
	b = appendField(b, "recordVersion", r.Version)
	b = appendField(b, "operationType", string(r.Op))
	if !r.At.IsZero() { // RFC 3339, UTC; left out if the source didn't tell
		b = append(b, `,"sourceTimestamp":"`...)
		b = append(r.At.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	}
	b = appendField(b, "idempotencyKey", r.Key)
	b = append(b, `,"recordPayload":`...)
	return append(append(b, r.Payload...), '}')
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(value) // a string can't fail
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), value...), '"')
}
