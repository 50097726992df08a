package benchstore

import (
	"fmt"
	"os"
	"testing"

	"station-agent/build/sheet"
)

// limits are the figures that the store must reach, in the order of the table.
func limits() []sheet.Limit {
	return []sheet.Limit{
		{Name: "scan.flushes", Most: 1, Exact: true}, // a scan that isn't flushed is no scan
		{Name: "scan.card_bytes", Most: 4900},
		{Name: "scan.p50_vs_flush", Most: 1.15},
		{Name: "scan.p50_vs_flush_30ms", Most: 1.15},
		{Name: "scan.p99_catchup_vs_idle", Most: 2},
		{Name: "outbox.card_bytes_per_record", Most: 60},
		{Name: "ledger.card_bytes_per_record", Most: 60},
		{Name: "store.card_bytes_per_s", Most: 20_000},
		{Name: "open.cold_ms", Most: 100},
		{Name: "open.rss_mb", Most: 25},
		{Name: "drained.file_mb", Most: 4},
	}
}

// book is the sheet and the folder in which its children work.
type book struct {
	*sheet.Sheet
	dir string
}

func newBook(t testing.TB) *book {
	dir, err := os.MkdirTemp(os.Getenv("BENCH_DIR"), "benchstore-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if inMemory(dir) {
		fmt.Printf("bench: %s lies in memory: the times say nothing of a disk, set BENCH_DIR\n", dir)
	}
	return &book{sheet.New(t, limits()...), dir}
}

// folder makes an empty folder for one child.
func (b *book) folder() string {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		b.Fatal(err)
	}
	return dir
}
