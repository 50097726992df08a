package benchstore

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/goods"
	"station-agent/build/sheet"
	"station-agent/build/worker"
	"station-agent/store"
	"station-agent/store/record"
)

// backlogGroups of a thousand make a million records.
const backlogGroups = 1000

// backlogRows are the rows of the station that changed meanwhile, again and again.
const backlogRows = 5000

// fill takes in a backlog at 100 changes a second, which nobody fetches, until the plug is pulled.
func fill(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Dir: k.Dir})
		running(t, s)
		g := goods.New(backlogRows)
		for range k.N {
			group := g.Group(perGroup)
			group.Shadow = goods.Shadow(group.Records)
			must(t, s.DB.Put(group))
			time.Sleep(perGroup / changeRate * time.Second)
		}
		pullPlug()
	})
}

// pullPlug ends a child without closing anything.
func pullPlug() {
	worker.Done()
	os.Exit(0)
}

// openCold opens the store at k.Path as the agent does after a start, and tells the milliseconds and the memory. While a
// child checks a file two processes are in memory: what this one has then counts beside the child's own peak.
func openCold(t *testing.T, k task) {
	var both, checking float64
	began := time.Now()
	s := open(t, store.Config{Dir: k.Path, Probe: func(path string) error {
		own, start := worker.Memory("VmRSS"), time.Now()
		a, err := worker.Run(task{Work: "probe", Path: path})
		checking += milliseconds(time.Since(start))
		if err == nil {
			both = max(both, own+a["peak"][0])
		}
		return err
	}})
	worker.Tell("ms", milliseconds(time.Since(began)))
	worker.Tell("checking", checking)
	worker.Tell("peak", max(both, worker.Memory("VmHWM")))
	worker.Tell("own peak", worker.Memory("VmHWM"))
	if st := s.DB.Stats(); st.QueueRecords != k.N*perGroup {
		t.Errorf("%d records wait, %d were put", st.QueueRecords, k.N*perGroup)
	}
	pullPlug()
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// probe reads a file in a process of its own and tells what that took.
func probe(t *testing.T, k task) {
	must(t, store.Probe(k.Path))
	worker.Tell("peak", worker.Memory("VmHWM"))
}

// drain delivers and proves the backlog at k.Path, waits until the evidence is let go, and tells what is left.
func drain(t *testing.T, k task) {
	synctest.Test(t, func(t *testing.T) {
		now := stamps()
		s := open(t, store.Config{Dir: k.Path, Now: now, EvidenceDays: 1})
		end := running(t, s)
		for range k.N {
			head, err := s.DB.Head(nil, perGroup, maxHead)
			must(t, err)
			must(t, s.DB.Settle(accept(head, now().Wall, digest)))
			time.Sleep(pace)
		}
		proveAll(t, s, k.N, digest)
		for range 50 { // life goes on: changes of other stations move the position
			p, err := s.DB.Position()
			must(t, err)
			p.At = now().Wall
			must(t, s.DB.Put(record.Group{Position: p}))
			time.Sleep(time.Hour)
		}
		worker.Tell("evidence", float64(s.DB.Stats().EvidenceBytes))
		worker.Tell("bytes", recordFiles(t, k.Path))
		end()
	})
}

// recordFiles is the size of all files of records; the files beside them don't grow with a backlog.
func recordFiles(t *testing.T, dir string) (bytes float64) {
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".db" || filepath.Dir(path) == dir {
			return err
		}
		info, err := d.Info()
		bytes += float64(info.Size())
		return err
	}))
	return bytes
}

// chill drops the kernel's copy of every file in dir.
func chill(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// backlog notes what opening a store with a million records takes, and what is left of it when they have gone out.
func (s *book) backlog() error {
	k := task{Work: "fill", Dir: s.folder(), N: backlogGroups}
	if _, err := worker.Run(k); err != nil {
		return err
	}
	sum := worker.Answer{}
	for range rounds {
		if err := chill(k.Dir); err != nil {
			return err
		}
		a, err := worker.Run(task{Work: "open", Path: k.Dir, N: backlogGroups})
		if err != nil {
			return err
		}
		for name, list := range a {
			sum[name] = append(sum[name], list...)
		}
		sum["start"] = append(sum["start"], startTime())
	}
	s.Note("open.cold_ms", sheet.Median(sum["ms"]), "ms")
	s.Note("open.cold_ms_check", sheet.Median(sum["checking"]), "ms")
	s.Note("open.cold_ms_bare_child", sheet.Median(sum["start"]), "ms")
	s.Note("open.rss_mb", sheet.Median(sum["peak"])/1e6, "MB")
	s.Note("open.rss_mb_own", sheet.Median(sum["own_peak"])/1e6, "MB")
	a, err := worker.Run(task{Work: "drain", Path: k.Dir, N: backlogGroups})
	if err != nil {
		return err
	}
	s.Note("drained.file_mb", (a["bytes"][0]-a["evidence"][0])/1e6, "MB")
	s.Note("drained.evidence_mb", a["evidence"][0]/1e6, "MB")
	return nil
}

// startTime is how long a child takes that does nothing: the part of every open that no store can help.
func startTime() float64 {
	self, err := os.Executable()
	if err != nil {
		return 0
	}
	began := time.Now()
	_ = exec.Command(self, "-test.run=^$").Run()
	return milliseconds(time.Since(began))
}
