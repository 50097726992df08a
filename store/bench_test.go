package store

import (
	"path/filepath"
	"testing"

	"station-agent/store/record"
)

func BenchmarkAppend(b *testing.B) {
	j, _, err := openJournal(journalConfig(filepath.Join(b.TempDir(), journalFolder)), testID, false, openFile)
	ok(b, err)
	defer j.Close()
	for b.Loop() {
		e := mustAppend(b, j, scanEntry("0123456789abcdef0123456789abcdef"))
		ok(b, j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}))
	}
}

// BenchmarkBareFlush is what no append can beat: 4 KiB and one fdatasync in a file of zeros.
func BenchmarkBareFlush(b *testing.B) {
	f, err := zeroFile(openFile, filepath.Join(b.TempDir(), "bare"), segmentSize, segmentSize)
	ok(b, err)
	defer f.Close()
	block := make([]byte, 4096)
	for n := int64(0); b.Loop(); n++ {
		_, err := f.WriteAt(block, n*4096%segmentSize)
		ok(b, err)
		ok(b, f.Datasync())
	}
}

func BenchmarkPutSettle(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(map[int]string{1: "1", 100: "100", 1000: "1000"}[n], func(b *testing.B) {
			s := openTest(b, b.TempDir())
			defer s.Close()
			g := group(0, n)
			for b.Loop() {
				ok(b, s.DB.Put(g))
				q := head(b, s.DB)
				deliveries := make([]record.Delivery, len(q))
				for i := range q {
					deliveries[i] = record.Delivery{Seq: q[i].Seq, Receipt: &record.Receipt{}}
				}
				ok(b, s.DB.Settle(deliveries))
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/record")
		})
	}
}
