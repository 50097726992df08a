package store

import (
	"errors"
	"fmt"
	"slices"

	"station-agent/store/record"
)

// ErrNotParked tells that no intent of that id waits for a person.
var ErrNotParked = errors.New("it is not parked")

// Retry opens a parked intent again, durably: as a new intent for the same row, of the same scan, which takes the parked
// one's place. Those that are settled together stay together: all parked ones of that scan are opened in the same entry. The
// error is ErrNotParked if somebody ended the intent meanwhile, and another if a newer intent wants something of a row.
func (j *Journal) Retry(id uint64) ([]record.Intent, error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	again, err := retried(j.state, id)
	if err == nil {
		var e record.Entry
		if e, err = j.append(record.Entry{At: j.now(), Intents: again}); err == nil {
			return e.Intents, nil
		}
	}
	return nil, fmt.Errorf("retry intent %d: %w", id, err)
}

// retried gives the intents that are to be opened again.
func retried(s record.State, id uint64) (again []record.Intent, err error) {
	n := slices.IndexFunc(s.Parked, func(p record.Parked) bool { return p.ID == id })
	if n < 0 {
		return nil, ErrNotParked
	}
	first := s.Parked[n].Intent
	for _, p := range s.Parked {
		if p.ID != id && !(first.Together && p.Together && p.Scan == first.Scan) {
			continue
		}
		if i, ok := newer(s, p.Intent); ok {
			return nil, fmt.Errorf("intent %d is newer and for the same row %s: dismiss this one", i.ID, i.Hash)
		}
		again = append(again, p.Intent)
	}
	return again, nil
}

// newer finds an intent for the same row, open or parked, that was made after i.
func newer(s record.State, i record.Intent) (record.Intent, bool) {
	after := func(o record.Intent) bool { return o.Hash == i.Hash && o.ID > i.ID }
	if n := slices.IndexFunc(s.Open, after); n >= 0 {
		return s.Open[n], true
	}
	if n := slices.IndexFunc(s.Parked, func(p record.Parked) bool { return after(p.Intent) }); n >= 0 {
		return s.Parked[n].Intent, true
	}
	return record.Intent{}, false
}
