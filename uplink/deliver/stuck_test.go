package deliver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"station-agent/store/record"
)

// A record that is left open also by itself holds its own row, and no others, though no answer accepted others beside it.
func TestARecordThatSpoilsItsRequestHoldsOnlyItsRow(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			said := ""
			if slices.ContainsFunc(records, func(r record.Record) bool { return r.ID == "bad" }) {
				said = "?"
			}
			return each(func(record.Record) string { return said })(records)
		}
		b.Put(items("bad", "a", "b", "bad", "c")...)
		b.after(10*time.Minute, "2/0/3/0")
		b.Put(items("d")...)
		b.after(2*time.Minute, "2/0/4/0")
	})
}

// A service that leaves everything open isn't asked more often for it.
func TestAServiceThatLeavesAllOpenIsWaitedFor(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		open := true
		b.post = each(func(record.Record) string { return map[bool]string{true: "?"}[open] })
		b.Put(items("a", "b", "c", "d", "e", "f", "g")...)
		b.after(3*time.Hour, "7/0/0/0")
		if n := b.requests(); n > 3*60*4*4 {
			t.Fatalf("%d requests", n)
		}
		b.still(func() { open = false })
		b.after(3*time.Minute, "0/0/7/0")
		if says := b.delivery.says(); says != "" {
			t.Fatal(says)
		}
	})
}

// What a person dropped isn't missed, and no alarm is left of it.
func TestAnAlarmEndsWithWhatIsDropped(t *testing.T) {
	for _, say := range []string{"?", "no"} {
		run(t, Config{}, func(b *bench) {
			b.post = each(func(r record.Record) string { return map[bool]string{true: say}[r.ID == "bad"] })
			ids := []string{"bad", "a"}
			if say == "no" {
				ids = ids[:1] // held
			}
			b.Put(items(ids...)...)
			b.after(time.Minute, fmt.Sprintf("1/0/%d/0", len(ids)-1))
			if b.delivery.says() == "" {
				t.Fatal("no alarm")
			}
			b.drop("bad")
			b.after(2*time.Minute, fmt.Sprintf("0/0/%d/0", len(ids)-1))
			if says := b.delivery.says(); says != "" {
				t.Fatal(says)
			}
		})
	}
}

// An answer that tells of a few of many records leaves the others open: that costs no memory for each of them.
func TestStuckRowsAreBounded(t *testing.T) {
	run(t, Config{Budget: Budget{PerMinute: 600}}, func(b *bench) {
		b.post = func(records []record.Record) ([]record.Delivery, error) {
			n := 0
			return each(func(record.Record) string { n++; return map[bool]string{true: "?"}[n > len(records)/20+1] })(records)
		}
		var ids []string
		for n := range 8000 {
			ids = append(ids, fmt.Sprint(n))
		}
		b.Put(items(ids...)...)
		most, n := 0, 0
		for range 20 {
			time.Sleep(time.Second)
			if _, err := fmt.Sscanf(b.delivery.says(), errStuck.Error()+": the oldest ones of %d rows", &n); err == nil {
				most = max(most, n)
			}
		}
		if most > stuckEnd || most == 0 {
			t.Errorf("%d rows are set aside", most)
		}
	})
}
