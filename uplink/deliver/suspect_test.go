package deliver

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

type faulty struct{}

func (faulty) Error() string { return "status 500" }
func (faulty) Faulty() bool  { return true }

// fails answers 500 to each request that holds a record of a row.
func fails(id string) func([]record.Record) ([]record.Delivery, error) {
	return func(records []record.Record) ([]record.Delivery, error) {
		if slices.ContainsFunc(records, func(r record.Record) bool { return r.ID == id }) {
			return nil, faulty{}
		}
		return each(accept)(records)
	}
}

// A record on which the service fails holds its own row, and no others; when the service is mended it goes.
func TestARecordOnWhichTheServiceFailsHoldsOnlyItsRow(t *testing.T) {
	for name, ids := range map[string][]string{
		"first":   {"bad", "a", "b", "bad", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"},
		"further": {"a", "b", "c", "bad", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "bad", "n"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.still(func() { b.post = fails("bad") })
				b.Put(items(ids...)...)
				b.after(30*time.Minute, "2/0/14/0")
				if says := b.delivery.says(); !strings.Contains(says, "1 rows (c/bad): status 500") || !strings.Contains(says, "all other rows go on") {
					t.Fatal(says)
				}
				for range 20 { // the others go at once, whatever becomes of the suspect
					b.Put(items("o")...)
					time.Sleep(time.Minute)
					synctest.Wait()
				}
				if n := len(b.keys()); n != 34 {
					t.Fatalf("%d accepted, %s", n, b.state())
				}
				n := b.requests()
				b.after(time.Hour, b.state())
				if n = b.requests() - n; n > 12 {
					t.Fatalf("%d requests an hour for one record", n)
				}
				b.still(func() { b.post = each(accept) })
				b.after(suspectWait+suspectWait/10+time.Minute, "0/0/36/0")
				if says := b.delivery.says(); says != "" {
					t.Fatal(says)
				}
			})
		})
	}
}

// A service that is ill answers 500 to everything: all waits, few requests are made, and all goes when it is well again.
func TestAnIllServiceIsWaitedFor(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.still(func() { b.post = func([]record.Record) ([]record.Delivery, error) { return nil, faulty{} } })
		b.Put(items(strings.Fields("a b c a d e")...)...)
		b.after(8*time.Hour, "6/0/0/0")
		if n := b.requests(); n > 8*60*4 {
			t.Fatalf("%d requests", n)
		}
		b.still(func() { b.post = each(accept) })
		b.after(suspectWait+suspectWait/10+2*longestWait, "0/0/6/0")
		if says := b.delivery.says(); says != "" {
			t.Fatal(says)
		}
		if keys := b.keys(); slices.Index(keys, "a-1") > slices.Index(keys, "a-2") {
			t.Fatal(keys)
		}
	})
}

// A suspect that is refused, or that gets no answer at all, is none any more.
func TestASuspectThatGetsAnotherAnswerGoesWithTheOthers(t *testing.T) {
	for name, post := range map[string]func([]record.Record) ([]record.Delivery, error){
		"refused":   whole(func(r record.Record) bool { return r.ID == "bad" }),
		"no answer": func([]record.Record) ([]record.Delivery, error) { return nil, errors.New("connection refused") },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Config{}, func(b *bench) {
				b.still(func() { b.post = fails("bad") })
				b.Put(items("bad", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")...)
				b.after(30*time.Minute, "1/0/11/0")
				b.still(func() { b.post = post })
				b.Put(items("x")...)
				b.after(30*time.Minute, map[string]string{"refused": "1/0/12/0", "no answer": "2/0/11/0"}[name])
				b.Put(items("y")...)
				b.after(time.Minute, map[string]string{"refused": "0/1/13/0", "no answer": "3/0/11/0"}[name])
			})
		})
	}
}
