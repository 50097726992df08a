package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/uplink/capture"
)

func sharedTable(t *testing.T) *capture.Table {
	t.Helper()
	spec := &capture.Spec{Schema: "s", Name: "t", Key: []string{"k"}, Station: "at"}
	table, err := capture.NewTable(spec, []capture.Column{{Name: "k", Kind: capture.Text}, {Name: "at", Kind: capture.Text}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// read plays one read of the watcher; lines are hashes.
func (s *shared) read(err error, lines ...string) (asked int) {
	_, asked = s.Columns()
	for i, line := range lines {
		if asked > 0 {
			_ = s.Line([]sql.RawBytes{sql.RawBytes(fmt.Sprintf("2026-11-27 10:00:0%d.5", i)), sql.RawBytes(line), sql.RawBytes("here")})
		}
	}
	s.Ended(err)
	return asked
}

func TestPollingReadsAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, table := &shared{}, sharedTable(t)
		if n := s.read(nil, "a"); n != 0 {
			t.Errorf("%d columns though nobody waits", n)
		}
		got := make(chan string)
		look := func() {
			go func() {
				now, found, err := s.wait(t.Context(), table)
				text := now.Format(time.TimeOnly)
				for _, f := range found {
					text += " " + f.ID
				}
				got <- fmt.Sprint(text, " ", err)
			}()
			synctest.Wait()
		}
		look()
		if n := s.read(nil, "a", "b", "a"); n != 3 {
			t.Errorf("%d columns", n)
		}
		if text := <-got; text != "10:00:00 a b <nil>" { // a has two tags
			t.Error(text)
		}
		time.Sleep(2 * time.Second)
		look()
		s.read(nil) // no row tells the time
		if text := <-got; text != "10:00:02 <nil>" {
			t.Error(text)
		}
		look()
		s.read(errors.New("no map"))
		s.read(nil, "c")
		if text := <-got; text != "10:00:00 c <nil>" {
			t.Error(text)
		}
		look()
		s.read(errors.New("unknown column"), "x")
		s.read(errors.New("unknown column"), "x")
		if text := <-got; text == "10:00:00 x <nil>" {
			t.Error(text)
		}
		if n := s.read(nil, "a"); n != 0 {
			t.Errorf("the bench has still to ask for %d columns that can't be read", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _, err := s.wait(ctx, table)
			got <- fmt.Sprint(err)
		}()
		synctest.Wait()
		cancel()
		if text := <-got; text != context.Canceled.Error() {
			t.Error(text)
		}
		s.read(nil, "a") // nobody waits
	})
}
