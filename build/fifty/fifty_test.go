// Package fifty lets the deliveries and verifications of fifty stations come back at once, after eight hours in which nothing went
// out, to one service with one limit for all of them: make fifty.
//
// Stores, couriers and clients are the real ones, Certyo is the stand-in with its rate limit, and all of it lives in simulated time
// (testing/synctest). Two things may have been away: the service, so that every station is amid its back-off when it returns, or the
// stations, which all start in the same moment, as after a power cut. The stations either know their part of the limit
// (requests_per_minute) or have the default, which is many times too much; 429 comes with Retry-After or without.
//
// It must show, and fails if it doesn't, that
//
//	all drain       every outbox is empty in the end, each record was taken once, and what was accepted gets proven
//	no stampede     in no ten seconds behind the outage much more is asked than the service takes, and few requests are refused
//	fairness        when half of all is delivered, Jain's index of what the stations had of it is at least 0.9
//
// The index is over delivered / fair share, where the fair share is what a station had got of a service that deals out equal
// parts to all that still have records waiting (max-min fairness): a station with few records is done early then, and that is
// no privilege. With a thousand records a request, a station has one to five of them, and the index says only who came first: it is
// held where requests have a hundred.
//
// FIFTY=full plays all trials to the last proof, after eight hours; else it is the first trials, after one hour, until some
// minutes after the last record is delivered.
package fifty

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/uplink/deliver"
)

const (
	stations = 50
	fewest   = 500 // records of the station with the least
	most     = 5000
	rate     = 5 // requests a second that the service takes of all stations together
	burst    = 10
)

// trial is one way in which it may happen.
type trial struct {
	name       string
	service    bool // was away; else the stations were
	told       bool // the stations know their part of the limit
	retryAfter bool
	batch      int // records in a request; 0: the default, a thousand
	short      bool
}

var trials = []trial{
	{name: "service back, limit known", service: true, told: true, retryAfter: true, batch: 100, short: true},
	{name: "service back, limit not known", service: true, retryAfter: true, batch: 100, short: true},
	{name: "stations back, limit not known, no Retry-After", batch: 100, short: true},
	{name: "stations back, limit known, large requests", told: true, retryAfter: true},
	{name: "service back, limit not known, large requests, no Retry-After", service: true},
	{name: "stations back, limit not known, large requests", retryAfter: true},
}

// extent is how long a trial is.
type extent struct {
	away  time.Duration
	after time.Duration // from the last record delivered; 0: until all is proven
}

func newExtent() (x extent, full bool) {
	if os.Getenv("FIFTY") == "full" {
		return extent{8 * time.Hour, 0}, true
	}
	return extent{time.Hour, rushAfter}, false
}

// budget is what is configured at each station.
func (k trial) budget() deliver.Budget {
	if k.told {
		return deliver.Budget{PerMinute: rate * 60 / stations}
	}
	return deliver.Budget{}
}

// TestFiftyStationsComeBack plays the trials.
func TestFiftyStationsComeBack(t *testing.T) {
	x, full := newExtent()
	for _, k := range trials {
		if !full && !k.short {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				h := play(t, dir, k, x)
				fmt.Println(h.report(k.name))
				for _, fault := range h.lost() {
					t.Error(fault)
				}
				for _, fault := range h.faults(k.batch > 0) {
					t.Error(fault)
				}
			})
		})
	}
}
