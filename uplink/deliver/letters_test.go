package deliver

import (
	"slices"
	"testing"
	"time"

	"station-agent/store/record"
)

// A later change of a refused row goes on, as each carries the full row; the refused one waits for a person.
func TestALaterChangeOfARefusedRowGoesOn(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = each(func(r record.Record) string { return map[bool]string{true: "no"}[r.Key == "a-1"] })
		list := items("a", "b", "c", "a", "a")
		b.Put(list[:2]...)
		b.after(time.Minute, "0/1/1/0")
		b.Put(list[2:]...)
		b.after(time.Minute, "0/1/4/0")
		if keys := b.keys(); !slices.Equal(keys, []string{"b-1", "c-1", "a-2", "a-3"}) || b.parked[0].Refusal != "no" {
			t.Fatalf("accepted %v, parked %+v", keys, b.parked)
		}
	})
}
