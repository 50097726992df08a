package worker

import (
	"runtime"
	"syscall"
	"time"
)

// Meter measures this process from one moment on.
type Meter struct {
	began   time.Time
	mallocs uint64
	cpu     time.Duration
}

// NewMeter begins now.
func NewMeter() Meter { return Meter{time.Now(), mallocs(), cpu()} }

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // can't fail: the name is valid
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Tell tells the parent what n of them took: s, and for each of them cpu_us and allocs; and this process's memory in bytes, peak
// for all its life, file and anon for now.
func (m Meter) Tell(n int) {
	Tell("s", time.Since(m.began).Seconds())
	Tell("cpu us", float64((cpu()-m.cpu).Nanoseconds())/1e3/float64(n))
	Tell("allocs", float64(mallocs()-m.mallocs)/float64(n))
	Tell("peak", Memory("VmHWM"))
	Tell("file", Memory("RssFile"))
	Tell("anon", Memory("RssAnon"))
}
