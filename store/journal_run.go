package store

import (
	"context"
	"time"

	"station-agent/store/record"
)

const (
	lazyFlush  = 800 * time.Millisecond
	lookAround = 5 * time.Second
	gentle     = 128 << 10 // bytes of zeros that Run writes between two flushes
)

// Run flushes outcomes within a second, dates the entries of this boot once the clock is trusted, fills the next segment
// and the reserve with zeros before they are needed, and drops what is older than it has to be, until ctx ends. It
// returns an error only when the journal is broken.
func (j *Journal) Run(ctx context.Context) error {
	tick, hour := time.NewTicker(lookAround), time.NewTicker(time.Hour)
	defer tick.Stop()
	defer hour.Stop()
	j.expire()
	for {
		if err := j.tend(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return j.Flush()
		case <-hour.C:
			j.expire()
		case <-tick.C:
		case <-j.wake:
			pause(ctx, lazyFlush)
		}
	}
}

// tend does what scans must not wait for.
func (j *Journal) tend() error {
	if err := j.date(); err != nil {
		return err
	}
	if err := j.Flush(); err != nil {
		return err
	}
	j.prepare()
	j.reserve.fill(j.open)
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// date notes that the clock is trusted now, if entries of this boot were written before it was.
func (j *Journal) date() error {
	now := j.now()
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.broken != nil || !now.Trusted || j.state.Undated != now.Boot {
		return j.broken
	}
	entries := []record.Entry{{At: now, Clock: true}}
	if err := j.write(entries); noRoom(err) {
		return nil // it can wait
	} else if err != nil {
		return err
	}
	j.apply(entries)
	return nil
}

// Flush makes everything durable that was written before. Scans that arrive meanwhile are written and flushed beside it.
func (j *Journal) Flush() error {
	j.writing.Lock()
	if j.broken != nil || j.durable == j.written {
		defer j.writing.Unlock()
		return j.broken
	}
	f, upTo := j.file, j.written
	j.flushing.Lock() // before writing is let go: a rotation waits here and doesn't close f
	j.writing.Unlock()
	err := f.Datasync()
	j.failed = err
	j.flushing.Unlock()

	j.writing.Lock()
	defer j.writing.Unlock()
	switch {
	case j.broken != nil:
		return j.broken
	case err != nil:
		return j.fail(err)
	}
	j.durable = max(j.durable, upTo)
	return nil
}

// flush makes durable what was written last, with writing held. The kernel tells one of two who flush the same file at the
// same time that it failed: both must know. So it waits for a Flush that has begun before, at most as long as for its own.
func (j *Journal) flush() error {
	err := j.file.Datasync()
	j.flushing.Lock()
	defer j.flushing.Unlock()
	if err == nil {
		err = j.failed
	}
	if err != nil {
		return j.fail(err)
	}
	j.durable = j.written
	return nil
}
