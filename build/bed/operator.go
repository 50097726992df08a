package bed

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// patience is how long an operator waits for a lamp before scanning again. The agent promises 100 ms; this is a machine
// with other work to do.
const patience = 30 * time.Second

// breath is how long an operator takes at least to hold the same code before the scanner again: more than the cool-down of
// the bed's configuration, within which it would be one scan.
const breath = 3 * time.Millisecond

// Scan holds a code before the scanner and waits for the verdict.
func (b *Bed) Scan(ctx context.Context, code string) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if code == b.scanned {
		time.Sleep(breath)
	}
	b.scanned = code
	mark := b.Agent.Mark()
	if err := b.Scanner.Scan(code); err != nil {
		return Line{}, err
	}
	line, err := b.Agent.Wait(ctx, mark, func(l Line) bool { return l.Msg == "verdict" && l.Code == code })
	if err != nil {
		return Line{}, fmt.Errorf("scan %q: %w", code, err)
	}
	return line, nil
}

// Answer holds a code before the scanner and waits until it is known what becomes of it: an item that isn't known yet is
// answered "waiting", and again when it is known, or after three seconds.
func (b *Bed) Answer(ctx context.Context, code string) (Line, error) {
	line, err := b.Scan(ctx, code)
	if err != nil || !line.Looking() {
		return line, err
	}
	return b.Final(ctx, line)
}

// Looking tells whether the line is a verdict that another one follows.
func (l Line) Looking() bool { return l.Verdict == "waiting" && l.Step == "" }

// Final waits for the verdict that follows a "waiting".
func (b *Bed) Final(ctx context.Context, waiting Line) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	line, err := b.Agent.Wait(ctx, waiting.Place+1, func(l Line) bool {
		return l.Msg == "verdict" && l.Code == waiting.Code && !l.Looking()
	})
	if err != nil {
		return line, fmt.Errorf("wait for what becomes of %q: %w", waiting.Code, err)
	}
	return line, nil
}

// Ready waits until the agent that was started last has said of each thing that it is there.
func (b *Bed) Ready(ctx context.Context, things ...string) error {
	for _, what := range things {
		_, err := b.Agent.Wait(ctx, b.Agent.Began(), func(l Line) bool { return l.What == what && (l.Msg == "up" || l.Msg == "recovered") })
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// Seen waits until the agent knows of as many items on its station as there are.
func (b *Bed) Seen(ctx context.Context) error {
	for {
		here, err := b.Bridge.Here(ctx, Station)
		if err != nil {
			return err
		}
		status, err := b.Agent.Status(ctx)
		if err == nil && status["online"] == true && status["items_here"] == float64(here) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the agent to know %d items: %w", here, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stock inserts n items from the number first on and lets them arrive at the station; it gives their hashes.
func (b *Bed) Stock(ctx context.Context, first, n int) ([]string, error) {
	var hashes []string
	for i := first; i < first+n; i++ {
		h := Hash(i)
		if err := b.Bridge.Insert(ctx, h, fmt.Sprintf("Item %d – číslo", i), fmt.Sprintf("859%010d", i)); err != nil {
			return nil, err
		}
		if err := b.Bridge.Arrive(ctx, h, Station); err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}
