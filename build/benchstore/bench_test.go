// Package benchstore measures what the store costs the card, the operator and the start: make bench-store.
//
// Every figure is a line "bench: name value unit"; those with a limit stand in a table at the end, and the run fails if one
// is missed. A name with something behind it (scan.p50_ms_bbolt) is there to compare. What is measured runs in child
// processes (TestWorker), each on a fresh store:
//
//	*.flushes, *.card_bytes*  system calls counted by strace, each write rounded out to whole blocks of 4,096 bytes. The
//	                          child lives by a false clock (testing/synctest), so that hours of the store's own timers
//	                          pass in seconds and two runs count the same.
//	*.device_bytes*           what the block device says it wrote, for the whole machine: the least of three runs, to look at
//	*_vs_*, open.*            real time, medians of five rounds A B C A B C, beside a bare fdatasync of 4 KiB into a file of
//	                          zeros and a plain bbolt (its default options, a key a scan or record) in the same process.
//	                          A slow card is strace, which holds back the return of every flush of the process.
//
// The changes are those of Buylo's table as capture makes records of them, the scans what the bench makes of an operator
// who packs ten items a package.
//
// It never touches a store but its own, in BENCH_DIR or else the temporary folder. That must lie on the disk to be measured:
// a file system in memory has no flushes to speak of.
package benchstore

import "testing"

// TestCardBytes holds the limits that need no clock: flushes and bytes.
func TestCardBytes(t *testing.T) {
	s := newBook(t)
	s.Measure(s.scanBytes)
	s.Measure(func() error { return s.recordBytes(50) })
	s.Measure(func() error { return s.steady(10) })
	s.Conclude("scan.flushes", "scan.card_bytes", "outbox.card_bytes_per_record", "ledger.card_bytes_per_record",
		"store.card_bytes_per_s")
}

// BenchmarkStore measures everything.
func BenchmarkStore(b *testing.B) {
	s := newBook(b)
	s.Measure(s.scanBytes)
	s.Measure(func() error { return s.recordBytes(200) })
	s.Measure(func() error { return s.steady(10) })
	s.Measure(func() error { return s.deviceBytes(200) })
	s.Measure(s.scanTimes)
	s.Measure(s.backlog)
	s.Conclude()
}
