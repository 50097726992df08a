package benchbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"station-agent/station"
	"station-agent/station/feedback"
	"station-agent/station/serial"
	"station-agent/station/stationtest"
	"station-agent/store/record"
)

// way scans labels at a pseudo-terminal: through the port, the codec, the bench and the player to a lamp that notes when it is lit.
// The journal is in memory, so what is left out is the flush of the card and the kernel's setting of a pin.
func (f figures) way() error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := stationtest.NewScanner(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	// A short flash, so that the next label finds the lamp dark.
	book, err := feedback.NewBook(feedback.Pattern{Signal: string(record.Opened), Green: "5", Lasts: 5 * time.Millisecond, Priority: 100})
	if err != nil {
		return err
	}
	lamp := lamp{make(chan time.Time, 1), make(chan struct{}, 1)}
	player := feedback.NewPlayer(feedback.Config{Book: book, Lamps: []feedback.Lamp{
		{Channel: feedback.Green, Open: func() (feedback.Output, error) { return lamp, nil }, Condition: well{}}}})
	booted := time.Now()
	bench := station.NewBench(station.Config{
		Rules: station.Rules{Package: regexp.MustCompile(`^PKG-\d+$`)}, Labels: well{},
		Stamp: func() record.Stamp { return record.Stamp{Boot: "bench", Mono: time.Since(booted)} },
	}, well{}, station.NewPicture(time.Hour), player)
	reader := station.Reader{Port: serial.Config{Name: "scanner", Device: s.Path()}}

	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	errs := make(chan error, 3)
	for _, run := range []func() error{
		func() error { return player.Run(ctx) },
		func() error { return bench.Run(ctx) },
		func() error { return reader.Run(ctx, bench.Reads(), well{}) },
	} {
		all.Go(func() { errs <- run() })
	}
	defer all.Wait()
	defer cancel()
	var took []time.Duration
	for n := range 500 {
		if _, err := fmt.Fprintf(s, "PKG-%d", n); err != nil {
			return err
		}
		time.Sleep(time.Millisecond) // it is read before its last byte comes
		select {
		case <-lamp.dark: // as it was at first
		default:
		}
		began := time.Now()
		if _, err := s.Write([]byte("\r")); err != nil {
			return err
		}
		select {
		case lit := <-lamp.lit:
			took = append(took, lit.Sub(began))
		case err := <-errs:
			return errors.Join(errors.New("a part ended"), err)
		case <-time.After(10 * time.Second):
			return fmt.Errorf("label %d lights nothing", n)
		}
		<-lamp.dark
	}
	slices.Sort(took)
	f.Note("bench.byte_to_pattern_ms", ms(took[len(took)/2]), "ms")
	f.Note("bench.byte_to_pattern_p99_ms", ms(took[len(took)*99/100]), "ms")
	return nil
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// lamp tells when it is lit and when it is dark again.
type lamp struct {
	lit  chan time.Time
	dark chan struct{}
}

func (l lamp) Set(hertz int) error {
	if hertz != 0 {
		offer(l.lit, time.Now())
	} else if len(l.lit) == 0 {
		offer(l.dark, struct{}{})
	}
	return nil
}

func (lamp) Close() error { return nil }

func offer[T any](to chan T, v T) {
	select {
	case to <- v:
	default:
	}
}

// well is a Condition that nobody looks at, Labels that were never used, and a Journal in memory that is forgotten.
type well struct{}

func (well) Lost(error)                                  {}
func (well) Back()                                       {}
func (well) Use(string) (record.Use, bool)               { return record.Use{}, false }
func (well) Standing(string) (waiting, parked int)       { return 0, 0 }
func (well) Retry(uint64) ([]record.Intent, error)       { return nil, nil }
func (well) Append(e record.Entry) (record.Entry, error) { return e, nil }
