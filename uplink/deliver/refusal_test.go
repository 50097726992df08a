package deliver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func TestRefusedAlikeParksNothing(t *testing.T) {
	for name, post := range map[string]func([]record.Record) ([]record.Delivery, error){
		"request refused": whole(func(record.Record) bool { return true }),
		"results say so":  each(func(record.Record) string { return "unknown tenant" }),
	} {
		for _, n := range []int{1, 2, 7} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				run(t, Config{}, func(b *bench) {
					b.still(func() { b.post = post })
					b.Put(items(strings.Fields("a b c d e f g")[:n]...)...)
					b.after(3*time.Hour, fmt.Sprintf("%d/0/0/0", n))
					if !strings.Contains(b.delivery.says(), "check tenant") {
						t.Fatal(b.delivery.says())
					}
					if most := 3*60*4 + 18*2*n; b.requests() > most {
						t.Fatalf("%d requests in three hours, a guest makes at most %d", b.requests(), most)
					}
					b.still(func() { b.post = each(accept) })
					b.after(time.Minute, fmt.Sprintf("0/0/%d/0", n))
				})
			})
		}
	}
}

// A whole refused batch heals also when its first record is bad for good.
func TestRefusedAlikeHealsBehindABadRecord(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = whole(func(record.Record) bool { return true })
		b.Put(items("bad", "b", "c")...)
		b.after(time.Minute, "3/0/0/0")
		b.still(func() { b.post = whole(func(r record.Record) bool { return r.ID == "bad" }) })
		b.after(splitAgain+time.Minute, "0/1/2/0")
	})
}

func TestALoneRefusalNeedsCompany(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.post = whole(func(r record.Record) bool { return r.ID == "bad" })
		b.Put(items("bad")...)
		b.after(time.Hour, "1/0/0/0")
		b.Put(items("good")...)
		b.after(time.Minute, "0/1/1/0")
	})
}

// A tenant that breaks while records come one by one parks none of them.
func TestATenantBrokenLaterParksNothing(t *testing.T) {
	run(t, Config{Linger: time.Second}, func(b *bench) {
		broken := false
		b.post = whole(func(record.Record) bool { return broken })
		b.Put(items("a", "b")...)
		b.after(time.Minute, "0/0/2/0")
		b.still(func() { broken = true })
		for n, id := range []string{"c", "d", "e"} {
			b.Put(items(id)...)
			b.after(time.Hour, fmt.Sprintf("%d/0/2/0", n+1))
		}
		b.still(func() { broken = false })
		b.after(splitAgain, "0/0/5/0")
	})
}

// What can't share a request with the record behind it (too large, the same key) isn't held for ever: the requests behind
// it are its company.
func TestARefusedRecordThatStandsAloneFindsCompany(t *testing.T) {
	huge := func(records []record.Record) { records[0].Payload = make([]byte, 150) }
	for name, set := range map[string]func(records []record.Record){
		"too large":        huge,
		"two of one key":   func(records []record.Record) { records[1].Key = records[0].Key },
		"large and double": func(records []record.Record) { huge(records); records[1].Key = records[0].Key },
		"two too large":    func(records []record.Record) { huge(records); huge(records[1:]) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{MaxBytes: 100}, func(b *bench) {
				b.post = whole(func(r record.Record) bool { return r.ID == "bad" })
				records := items("bad", "bad", "good", "good")
				set(records)
				b.Put(records...)
				b.after(time.Minute, "0/2/2/0")
			})
		})
	}
}

// Behind a mixed answer a row that is refused again and again doesn't stand in its own way.
func TestABadRecordFindsCompanyThoughEachRequestHasOneRecord(t *testing.T) {
	run(t, Config{Batch: 1}, func(b *bench) {
		b.post = whole(func(r record.Record) bool { return r.ID == "bad" })
		b.Put(items("bad", "good", "good", "bad", "good")...)
		b.after(time.Minute, "0/2/3/0")
	})
}

func TestChangesOfARowAreRefusedApart(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		open := true
		b.post = each(func(r record.Record) string {
			switch {
			case r.ID == "bad":
				return "no"
			case r.ID == "a" && open:
				return "?"
			}
			return ""
		})
		b.Put(items("a", "b")...)
		b.after(0, "1/0/1/0")
		b.still(func() { open = false })
		b.after(time.Minute, "0/0/2/0")
		b.Put(items("bad", "bad", "bad")...)
		b.after(time.Minute, "3/0/2/0")
		b.Put(items("c")...)
		b.after(splitAgain+time.Minute, "0/3/3/0")
	})
}

// A tenant that is mended while a batch is taken apart parks nothing of what was refused before.
func TestATenantMendedMidwayParksNothing(t *testing.T) {
	for refusals := range 14 {
		run(t, Config{}, func(b *bench) {
			n := 0
			b.post = whole(func(record.Record) bool { n++; return n <= refusals })
			b.Put(items("a", "b", "c", "d", "e", "f", "g")...)
			b.after(time.Hour, "0/0/7/0")
		})
	}
	run(t, Config{MaxBytes: 100}, func(b *bench) { // and while a held record looks for company
		broken := true
		b.post = whole(func(r record.Record) bool {
			defer func() { broken = broken && r.ID != "a" }()
			return broken
		})
		records := items("a", "b")
		records[0].Payload = make([]byte, 150)
		b.Put(records...)
		b.after(time.Hour, "0/0/2/0")
	})
}
