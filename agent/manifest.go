package main

import (
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/manifest"
)

// manifestConfig says whether packages are recorded as a whole.
type manifestConfig struct {
	Enabled bool     `toml:"enabled"`
	Wait    duration `toml:"wait"`
}

const (
	manifestStream = "manifests" // of the store: how far the journal was read for them
	manifestEvery  = 2 * time.Second
)

func (c *config) checkManifest(r report) {
	r.between("manifest.wait", c.Manifest.Wait, 10*time.Second, 24*time.Hour)
}

// streams names those streams of the store that aren't capture's.
func (c *config) streams() []string {
	if c.Manifest.Enabled {
		return []string{manifestStream}
	}
	return nil
}

// addManifests adds what records packages as a whole, from the journal.
func (p *parts) addManifests() error {
	c := p.cfg
	if !c.Manifest.Enabled { // what happens meanwhile is nobody's: once it is on again, it begins anew
		return unlessFull(p.store.DB.Forget(manifestStream))
	}
	stream, err := p.store.DB.Stream(manifestStream)
	if err != nil {
		return err
	}
	p.add(manifest.New(manifest.Config{
		Database: c.Certyo.Database, Station: c.Station.UUID, Store: p.store.ID(), Wait: c.Manifest.Wait.value(),
		Keep: time.Duration(c.Store.EvidenceDays) * 24 * time.Hour, Every: manifestEvery, Now: p.clock.now,
	}, p.store.Journal, stream, p.board.condition("manifests")))
	return nil
}

// unlessFull leaves out that there is no room: it is tried again at the next start.
func unlessFull(err error) error {
	if record.ClassOf(err) == record.StopHere {
		return err
	}
	return nil
}

// compile-time: the store is all that manifests need.
var (
	_ manifest.Journal = (*store.Journal)(nil)
	_ manifest.Outbox  = (*store.Stream)(nil)
)
