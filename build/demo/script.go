package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station-agent/build/bed"
	"station-agent/uplink/uplinktest"
)

// script is the scripted day of a packer. Every step returns the first thing that is not as it should be.
type script struct {
	*bed.Bed
	show *show
	ctx  context.Context
}

// play runs all scenes and gives the final count.
func (s *script) play() (bed.Report, error) {
	for _, scene := range []struct {
		title string
		play  func() error
	}{
		{"the agent starts, items arrive at the bench", s.open},
		{"a parcel: three items, one scanned twice, one that nobody knows, one that is quicker than its row", s.firstParcel},
		{"a second parcel: by EAN, an item of another package, a mistake taken back", s.secondParcel},
		{"an item of another package after all, one taken out, and the first parcel opened again", s.changes},
		{"the network goes down: the packer works on", s.offline},
		{"the network comes back: everything catches up", s.online},
		{"somebody pulls the plug in the middle of a parcel: is it still the one at hand?", s.plug},
		{"the parcels leave the bench", s.leave},
	} {
		s.show.title(scene.title)
		if err := scene.play(); err != nil {
			return bed.Report{}, fmt.Errorf("%s: %w", scene.title, err)
		}
		s.pause(300 * time.Millisecond)
	}
	s.show.title("waiting until every change is proven to be anchored")
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	r, err := s.WaitClean(ctx)
	if err == nil {
		s.show.line("count", "%d green scans, %d settled in the rows; %d row changes, %d records, %d anchored", r.Scans, r.Assigned, r.Changes, r.Records, r.Anchored)
	}
	return r, err
}

func (s *script) pause(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

// scans lets the packer scan codes and wants the verdicts that stand beside them.
func (s *script) scans(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		l, err := s.Scan(s.ctx, pairs[i])
		if err != nil {
			return err
		}
		s.show.lamp(pairs[i], l)
		if l.Verdict != pairs[i+1] {
			return fmt.Errorf("scan %q was answered %q, not %q: %s", pairs[i], l.Verdict, pairs[i+1], l.Text)
		}
		s.pause(350 * time.Millisecond)
	}
	return nil
}

// lookedFor scans a code that isn't known yet and tells what becomes of it. Meanwhile something happens.
func (s *script) lookedFor(code, verdict string, meanwhile func() error) error {
	l, err := s.Scan(s.ctx, code)
	if err != nil {
		return err
	}
	s.show.lamp(code, l)
	if !l.Looking() {
		return fmt.Errorf("scan %q was answered %q, not \"waiting\": %s", code, l.Verdict, l.Text)
	}
	if err := meanwhile(); err != nil {
		return err
	}
	if l, err = s.Final(s.ctx, l); err != nil {
		return err
	}
	s.show.answer(code, l)
	if l.Verdict != verdict {
		return fmt.Errorf("%q became %q, not %q: %s", code, l.Verdict, verdict, l.Text)
	}
	s.pause(350 * time.Millisecond)
	return nil
}

func (s *script) open() error {
	if err := s.Agent.Start(); err != nil {
		return err
	}
	if err := s.Ready(s.ctx, "reader scanner", "mysql", "capture", "broker"); err != nil {
		return err
	}
	s.show.line("agent", "has its scanner, MySQL, the binary log and the broker")
	foreign := bed.Hash(10)
	if err := errors.Join(s.Bridge.Insert(s.ctx, foreign, "Item 10 – číslo", "8590000000010"),
		s.Bridge.Pack(s.ctx, foreign, "PKG-2026-7777"), s.Bridge.Arrive(s.ctx, foreign, bed.Station)); err != nil {
		return err
	}
	for first, n := range map[int]int{1: 2, 4: 6} { // the third comes later
		if _, err := s.Stock(s.ctx, first, n); err != nil {
			return err
		}
	}
	s.show.line("bridge", "9 items arrive at the bench; one of them belongs to package PKG-2026-7777 already")
	return s.Seen(s.ctx)
}

func (s *script) firstParcel() error {
	err := s.scans("PKG-2026-0001", "accepted", bed.Hash(1), "accepted", bed.Hash(2), "accepted", bed.Hash(2), "duplicate")
	if err != nil {
		return err
	}
	if err := s.lookedFor(bed.Hash(999), "unknown", func() error { return nil }); err != nil {
		return err
	}
	if err := s.Bridge.Insert(s.ctx, bed.Hash(3), "Item 3 – číslo", "8590000000003"); err != nil {
		return err
	}
	err = s.lookedFor(bed.Hash(3), "accepted", func() error {
		s.pause(700 * time.Millisecond)
		s.show.line("bridge", "item %s… arrives at the bench", bed.Hash(3)[:8])
		return s.Bridge.Arrive(s.ctx, bed.Hash(3), bed.Station)
	})
	if err != nil {
		return err
	}
	return s.scans(bed.CloseCode, "accepted")
}

func (s *script) secondParcel() error {
	err := s.scans("PKG-2026-0002", "accepted", "8590000000004", "accepted", bed.Hash(1), "conflict", bed.Hash(5), "accepted")
	if err != nil {
		return err
	}
	if err := s.row(bed.Hash(5), "PKG-2026-0002"); err != nil {
		return err
	}
	if err := s.scans(bed.UndoCode, "accepted"); err != nil {
		return err
	}
	return s.row(bed.Hash(5), "")
}

// changes goes on with the second parcel.
func (s *script) changes() error {
	err := s.scans(bed.Hash(10), "conflict", bed.OverrideCode, "accepted", bed.RemoveCode, "accepted", "8590000000004", "accepted")
	if err != nil {
		return err
	}
	if err := s.row(bed.Hash(10), "PKG-2026-0002"); err != nil {
		return err
	}
	if err := s.row(bed.Hash(4), ""); err != nil {
		return err
	}
	if err := s.scans(bed.CloseCode, "accepted", "PKG-2026-0001", "accepted", bed.Hash(4), "accepted", bed.CloseCode, "accepted"); err != nil {
		return err
	}
	return s.row(bed.Hash(4), "PKG-2026-0001")
}

// row waits until the row shows the package ("" for NULL).
func (s *script) row(hash, pkg string) error {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	for {
		p, err := s.Bridge.Package(ctx, hash)
		if err != nil {
			return fmt.Errorf("wait for row %s to show %q: %w", hash, pkg, err)
		}
		if p == nil && pkg == "" {
			s.show.line("mysql", "row %s… shows no package", hash[:8])
			return nil
		}
		if p != nil && *p == pkg {
			s.show.line("mysql", "row %s… shows %s", hash[:8], pkg)
			return nil
		}
		s.pause(20 * time.Millisecond)
	}
}

func (s *script) world() []*uplinktest.Proxy {
	return []*uplinktest.Proxy{s.MySQL, s.Certyo, s.Broker}
}

func (s *script) offline() error {
	for _, p := range s.world() {
		p.Cut()
	}
	s.show.line("world", "MySQL, Certyo and the broker can't be reached")
	s.pause(3500 * time.Millisecond) // so long the rows that were read last count as fresh
	return s.scans("PKG-2026-0003", "accepted offline", bed.Hash(5), "accepted offline", bed.Hash(6), "accepted offline",
		bed.CloseCode, "accepted offline")
}

func (s *script) online() error {
	if err := s.Bridge.Rename(s.ctx, bed.Hash(6), "renamed while the station was cut off"); err != nil {
		return err
	}
	mark := s.Agent.Mark()
	for _, p := range s.world() {
		p.Restore()
	}
	s.show.line("world", "the network is back")
	if err := s.row(bed.Hash(5), "PKG-2026-0003"); err != nil {
		return err
	}
	if err := s.row(bed.Hash(6), "PKG-2026-0003"); err != nil {
		return err
	}
	for _, what := range []string{"mysql", "capture", "broker"} {
		if _, err := s.Agent.Wait(s.ctx, mark, func(l bed.Line) bool { return l.Msg == "recovered" && l.What == what }); err != nil {
			return err
		}
	}
	s.pause(time.Second)
	return nil
}

func (s *script) plug() error {
	if err := s.scans("PKG-2026-0004", "accepted", bed.Hash(7), "accepted"); err != nil {
		return err
	}
	pid := s.Agent.PID()
	s.Agent.Kill()
	s.show.line("world", "SIGKILL: agent %d is gone", pid)
	if err := s.Bridge.Rename(s.ctx, bed.Hash(8), "changed while the agent was dead"); err != nil {
		return err
	}
	s.pause(700 * time.Millisecond)
	if err := s.Agent.Start(); err != nil {
		return err
	}
	if err := s.Ready(s.ctx, "reader scanner", "mysql"); err != nil {
		return err
	}
	s.show.line("world", "the agent starts again; its package is still open, but somebody may have changed the box meanwhile")
	return s.scans(bed.Hash(8), "question", "PKG-2026-0004", "accepted", bed.Hash(7), "duplicate", bed.Hash(8), "accepted", bed.CloseCode, "accepted")
}

func (s *script) leave() error {
	for n := 1; n <= 8; n++ {
		if err := s.Bridge.Leave(s.ctx, bed.Hash(n)); err != nil {
			return err
		}
	}
	s.show.line("bridge", "8 packed items leave the bench")
	return nil
}
