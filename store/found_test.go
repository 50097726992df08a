package store

import (
	"os"
	"testing"

	"station-agent/store/record"
)

// A hole in the records of the stream without a name is told to it too, if its source doesn't give again what was taken: its
// position says that it is polled.
func TestAHoleIsToldToAPollingStream(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	row := func(n int) record.ShadowRow {
		r := rec(n)
		return record.ShadowRow{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload}
	}
	for n := range 30 {
		ok(t, s.DB.Put(record.Group{Position: polled("x"), Records: []record.Record{rec(n)}, Shadow: []record.ShadowRow{row(n)}}))
	}
	ok(t, s.DB.flushRows()) // as after some minutes
	f := s.DB.log.last()
	places, err := s.DB.log.places(f)
	ok(t, err)
	v, err := s.DB.log.get(f, places[15], whole)
	ok(t, err)
	lost := v.records[0].ID
	path := f.path
	ok(t, s.Close())
	b, err := os.ReadFile(path)
	ok(t, err)
	for i := 0; i+commitHead < len(b); i++ { // wherever it was written
		if string(b[i:i+8]) == commitMagic && readFrame(b[i:]).number == places[15].Number {
			clear(b[i : i+64])
		}
	}
	ok(t, os.WriteFile(path, b, 0o600))

	s = openTest(t, dir)
	found := false
	ok(t, s.DB.Waiting(func(q record.Queued) error { found = found || q.ID == lost; return nil }))
	shadow, err := s.DB.Shadow("buylo_products", []string{lost})
	ok(t, err)
	p, err := s.DB.Position()
	ok(t, err)
	why, err := s.DB.Missed()
	ok(t, err)
	if _, known := shadow[lost]; found || !known {
		t.Fatalf("the damage did nothing: in the outbox %t, in the Shadow %t; losses %+v", found, known, s.Losses())
	}
	if why == "" {
		t.Errorf("the record of %s is lost, the Shadow has its row, position %+v, and nothing is missed; said %+v", lost, p, s.Losses())
	}
}
