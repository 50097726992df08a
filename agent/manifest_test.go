package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/manifest"
)

// TestManifestsAreNeverCaptured: no table may have their collection.
func TestManifestsAreNeverCaptured(t *testing.T) {
	s := capture.Spec{Schema: "shop", Name: "orders", Key: []string{"id"}, As: manifest.Collection}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "never captured") {
		t.Error(err)
	}
}

// TestManifestsAreOffUntilSwitchedOn, and switched off they forget how far the journal was read.
func TestManifestsAreOffUntilSwitchedOn(t *testing.T) {
	p := newPlace(t)
	mark := func() record.Position {
		t.Helper()
		st := p.open()
		defer st.Close()
		stream, err := st.DB.Stream(manifestStream)
		if err != nil {
			t.Fatal(err)
		}
		at, err := stream.Position()
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	run := func(enabled bool) {
		t.Helper()
		p.cfg.Manifest.Enabled = enabled
		clk, err := newClock()
		if err != nil {
			t.Fatal(err)
		}
		st := p.open()
		defer st.Close()
		parts := &parts{cfg: p.cfg, store: st, clock: clk, board: newBoard(slog.New(slog.DiscardHandler))}
		if err := parts.addManifests(); err != nil {
			t.Fatal(err)
		}
		if len(parts.running) != map[bool]int{true: 1}[enabled] {
			t.Fatalf("%d parts", len(parts.running))
		}
		for _, r := range parts.running {
			if err := r.(*manifest.Maker).Step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.cfg.Manifest.Enabled || p.cfg.Manifest.Wait.value() != 10*time.Minute {
		t.Errorf("%+v", p.cfg.Manifest)
	}
	run(true)
	if mark().Zero() {
		t.Error("it doesn't say where it began")
	}
	run(false)
	if !mark().Zero() {
		t.Error("switched off, it goes on where it was")
	}
}
