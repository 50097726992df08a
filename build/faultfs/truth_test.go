package faultfs

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// What a test writes can be told from its number, so that what is read can be compared to the byte.

const table = "buylo_products"

func here() store.Identity {
	return store.Identity{Environment: "test", Station: "bench-1", Database: "127.0.0.1:3306/external"}
}

func birth() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }

// ticking is a clock that goes on by a millisecond whenever it is looked at.
func ticking() func() record.Stamp {
	var n atomic.Int64
	return func() record.Stamp {
		passed := time.Duration(n.Add(1)) * time.Millisecond
		return record.Stamp{Boot: "b", Mono: passed, Wall: birth().Add(passed), Trusted: true}
	}
}

// config makes small files, so that a short script comes through many of them.
func config(dir string) store.Config {
	return store.Config{Dir: dir, Identity: here(), Now: ticking(), Probe: probe, Reserve: 128 << 10, FirstLook: time.Minute,
		SegmentBytes: 256 << 10, FileBytes: 64 << 10}
}

func digest(what string, n int) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %d", what, n)))
}

// rec is the n-th record. Much of it can't be compressed, and JSON would escape or compact it if it could.
func rec(n int) record.Record {
	return record.Record{
		Database: "external", Collection: table, ID: digest("id", n)[:32], Version: fmt.Sprint(n), Op: record.Update,
		At: birth().Add(time.Duration(n) * time.Second), Key: fmt.Sprintf("key-%d", n),
		Payload: json.RawMessage(fmt.Sprintf(`{"n": %d, "html": "<&>", "a":"%s","b":"%s"}`, n, digest("a", n), digest("b", n))),
	}
}

// group is the records from to to, the rows that they came from, and the position behind them.
func group(from, to int) record.Group {
	g := record.Group{Position: record.Position{Flavor: "mariadb", File: "binlog.1", Pos: uint64(to)}}
	for n := from; n < to; n++ {
		r := rec(n)
		g.Records = append(g.Records, r)
		g.Shadow = append(g.Shadow, record.ShadowRow{Collection: table, ID: shadowID(n), Version: r.Version, Payload: r.Payload})
	}
	return g
}

func shadowID(n int) string { return fmt.Sprint(n % 50) }

// scan is the n-th scan and its intent. Every third is big, so that segments fill.
func scan(n int) record.Entry {
	s := &record.Scan{
		Tag:     record.Tag{Reader: "scanner", Symbology: "QR", Code: fmt.Sprintf("scan-%d", n), Raw: []byte(digest("raw", n))},
		Verdict: record.Accepted, Package: "P", Hash: fmt.Sprintf("row-%d", n), Text: digest("text", n),
	}
	if n%3 == 2 {
		s.Text = noise(n, 80<<10)
	}
	return record.Entry{Scan: s, Intents: []record.Intent{{Hash: s.Hash, Package: record.Package("P"), Replaces: []record.Value{nil}}}}
}

// noise is text from so many bytes that no compression makes smaller.
func noise(n, bytes int) string {
	b := make([]byte, bytes)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// number reads it out of a code, hash or key; -1 if there is none.
func number(name string) int {
	n := -1
	if _, digits, ok := strings.Cut(name, "-"); ok {
		fmt.Sscan(digits, &n)
	}
	return n
}

func pictureRows() (rows []record.Row) {
	for n := range 100 {
		rows = append(rows, record.Row{Hash: digest("row", n), EAN: fmt.Sprint(n), Name: "thing"})
	}
	return rows
}

const tagged = 200 // items in the map of tags

// tags is the n-th map of tags: every item has the tag of that number.
func tags(n int) iter.Seq2[store.MapLine, error] {
	return func(yield func(store.MapLine, error) bool) {
		for item := range tagged {
			if !yield(store.MapLine{EPC: fmt.Sprintf("tag-%d", n), Hash: digest("row", item)[:32]}, nil) {
				return
			}
		}
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
