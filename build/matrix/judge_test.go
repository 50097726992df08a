package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/capturetest"
	"station-agent/uplink/capture/sourcetest"
)

// judge holds the records against what was committed.
func judge(t *testing.T, way string, w *work, records []record.Record, gaps int) {
	t.Helper()
	for i := range records { // a column that went makes no record: what was told with it stays told
		records[i].Payload = bytes.Replace(records[i].Payload, []byte(`"extra":7,`), nil, 1)
	}
	var ended capturetest.Store
	if err := ended.Put(record.Group{Records: records}); err != nil {
		t.Fatal(err)
	}
	sourcetest.Agrees(t, w.db.Root(), goods, &ended) // the end of each row, the keys and the versions
	told, named := make(map[string][]change), 0
	for _, r := range records {
		switch {
		case r.Collection == capture.Gaps:
			if !strings.Contains(string(r.Payload), "observed missing") {
				named++
			}
		case r.Collection != goods.Collection():
			t.Errorf("a record of %s: %s", r.Collection, r.Payload)
		case way == byPoll:
			told[r.ID] = append(told[r.ID], change{r.Op, noteOf(t, r)})
		case !strings.HasPrefix(r.Key, "s:"): // seen to happen
			told[r.ID] = append(told[r.ID], change{r.Op, noteOf(t, r)})
		}
	}
	if way == byPoll {
		for id, list := range told {
			states(t, id, list, w.states[id])
		}
		return
	}
	if named != gaps {
		t.Errorf("%d gaps were named, want %d", named, gaps)
	}
	for id := range w.told {
		if !slices.Equal(told[id], w.told[id]) {
			t.Errorf("%s: told %v\ncommitted %v", id, told[id], w.told[id])
		}
		delete(told, id)
	}
	for id, list := range told {
		t.Errorf("%s: told %v, and nothing of it was committed", id, list)
	}
}

// states holds that what a poll tells of a row are states that it had, in their order.
func states(t *testing.T, id string, told []change, had []string) {
	t.Helper()
	at := 0
	for _, c := range told {
		note := c.note
		if c.op == record.Delete {
			note = ""
		}
		i := slices.Index(had[at:], note)
		if i < 0 {
			t.Errorf("%s: told %v, and it had %v", id, told, had)
			return
		}
		at += i // the same state may be told once more, if something else of the row changed
	}
}

func noteOf(t *testing.T, r record.Record) string {
	t.Helper()
	var row struct{ Note string }
	if err := json.Unmarshal(r.Payload, &row); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", r.Payload, err))
	}
	return row.Note
}
