package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"station-agent/store/record"
)

// TestReviewMake makes a store for a review by hand in $REVIEW_CONFIG's folder.
func TestReviewMake(t *testing.T) {
	file := os.Getenv("REVIEW_CONFIG")
	if file == "" {
		t.Skip()
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, file: file, cfg: c}
	p.fill(50)
	st := p.open()
	var last uint64
	for n := range 400 {
		e, err := st.Journal.Append(record.Entry{Scan: &record.Scan{Verdict: record.Accepted, Tag: record.Tag{Code: fmt.Sprint("code", n)}}, Intents: []record.Intent{{Hash: fmt.Sprint("h", n), Package: record.Package("PKG-1")}}})
		if err != nil {
			t.Fatal(err)
		}
		last = e.Intents[0].ID
	}
	st.Journal.Settle(record.Outcome{Intent: last, Result: record.OtherValue, Text: "in another package"})
	for b := range 30 {
		g := record.Group{Position: record.Position{GTID: fmt.Sprint("0-1-", b+100)}}
		for i := range 100 {
			g.Records = append(g.Records, record.Record{Database: "external", Collection: "buylo_products", ID: fmt.Sprint("x", b, "-", i), Version: "1",
				Op: record.Update, At: time.Now(), Key: fmt.Sprint("k", b, "-", i), Payload: []byte(fmt.Sprintf(`{"name": "thing %d %d"}`, b, i))})
		}
		if err := st.DB.Put(g); err != nil {
			t.Fatal(err)
		}
	}
	st.Close()
}

func TestReviewShowLate(t *testing.T) {
	if os.Getenv("REVIEW_SHOW") == "" {
		t.Skip()
	}
	p := newPlace(t)
	st := p.open()
	for b := range 200 {
		g := record.Group{Position: record.Position{GTID: fmt.Sprint("0-1-", b+100)}}
		for i := range 1000 {
			g.Records = append(g.Records, record.Record{Database: "external", Collection: "buylo_products", ID: fmt.Sprintf("%032x", b*1000+i), Version: "1",
				Op: record.Update, At: time.Now(), Key: fmt.Sprint("k", b, "-", i), Payload: []byte(fmt.Sprintf(`{"hash":"%032x","name":"thing %d","ean":"%013d","external_package_id":"PKG-%d","buylo_active_packing_station_uuid":"7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11","updated_at":"2025-03-01 12:00:00","status":"packed","quantity":%d}`, b*1000+i, i, i*77, b, i))})
		}
		if err := st.DB.Put(g); err != nil {
			t.Fatal(err)
		}
	}
	st.Close()
	began := time.Now()
	p.want(0, nil, "outbox", "show", "1")
	first := time.Since(began)
	began = time.Now()
	p.want(0, nil, "outbox", "show", "199999")
	t.Log("first", first, "last of 200000", time.Since(began))
}
