package benchcapture

import (
	"fmt"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/certyo"
)

// TestSinkNoticesLostAndDoubled posts records as the agent does, and holds that the sink can count: without that the bench
// would measure how fast changes get lost.
func TestSinkNoticesLostAndDoubled(t *testing.T) {
	const n = 20
	change := func(number, key int) record.Record {
		return record.Record{
			Database: "external", Collection: "buylo_products", ID: fmt.Sprint("row", number), Version: "1", Op: record.Update,
			At: time.Unix(1_779_170_400, 0), Key: fmt.Sprintf("b:0-1-%d/1779170400000000/0", key),
			Payload: fmt.Appendf(nil, `{"buylo_name":"\"idempotencyKey\":\"x\"","external_package_id":"%s%d","hash":"row"}`, packages, number),
		}
	}
	for _, c := range []struct {
		name          string
		spoil         func(list []record.Record) []record.Record
		lost, doubled int
	}{
		{"all", func(list []record.Record) []record.Record { return list }, 0, 0},
		{"one is lost", func(list []record.Record) []record.Record { return append(list[:7], list[8:]...) }, 1, 0},
		{"one comes again", func(list []record.Record) []record.Record { return append(list, list[3]) }, 0, 1},
		{"one comes again instead of another", func(list []record.Record) []record.Record { list[5] = list[4]; return list }, 1, 1},
		{"two changes have one key", func(list []record.Record) []record.Record { list[9] = change(10, 9); return list }, 0, 1},
		{"one change has two keys", func(list []record.Record) []record.Record { return append(list, change(4, 99)) }, 0, 1},
	} {
		for _, receipts := range []bool{false, true} {
			s, err := newSink()
			must(t, err)
			t.Cleanup(s.close)
			s.reset(receipts, n)
			var list []record.Record
			for i := range n {
				list = append(list, change(i+1, i+1))
			}
			list = c.spoil(list)
			client := certyo.New(certyo.Config{URL: s.url(), Tenant: "tovarna", Key: func() (string, error) { return "certyo_sk_test", nil }})
			answers, err := client.Post(t.Context(), list)
			must(t, err)
			for i, a := range answers {
				if c.doubled > 0 {
					break // the client has one answer for two records then
				}
				if a.Receipt == nil || receipts != (a.Receipt.Hash != "") {
					t.Errorf("%s: record %d has the receipt %+v", c.name, i, a.Receipt)
				}
			}
			lost, doubled := s.missing(n)
			if err := s.check(n); lost != c.lost || doubled != c.doubled || (err == nil) != (lost+doubled == 0) {
				t.Errorf("%s: %d lost, %d doubled: %v", c.name, lost, doubled, err)
			}
		}
	}
}
