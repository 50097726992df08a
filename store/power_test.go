package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"station-agent/store/record"
)

// TestPowerCuts cuts the power before every single operation of a journal that rotates, and looks at both ends of what the
// card may then hold: all that was written, or only what was flushed. The control leaves out the flushes and must lose.
func TestPowerCuts(t *testing.T) {
	if lost := powerCuts(t, &disk{watch: true}); lost != "" {
		t.Fatal(lost)
	}
	if lost := powerCuts(t, &disk{watch: true, lazy: true}); lost == "" {
		t.Fatal("without flushes nothing was lost: the test sees nothing")
	}
}

func powerCuts(t *testing.T, d *disk) (lost string) {
	t.Helper()
	var acknowledged, settled int
	states := 0
	j := smallSegments(t, t.TempDir()+"/journal", d)
	d.hook = func(op, path string) error {
		for _, everything := range []bool{true, false} {
			states++
			if err := survives(t, d.power(t, everything), acknowledged, settled); err != nil && lost == "" {
				lost = fmt.Sprintf("power cut before %s of %s with %d entries, unflushed writes kept %v: %v", op, filepath.Base(path), acknowledged, everything, err)
			}
		}
		return nil
	}
	for n := range 22 {
		e := mustAppend(t, j, entryOf(n, 6<<10))
		acknowledged++
		if n%3 == 0 {
			if err := j.Settle(record.Outcome{Intent: e.Intents[0].ID, Result: record.Settled}); err != nil {
				t.Fatal(err)
			}
			settled++
		}
	}
	if firsts, _ := segments(d.dir); len(firsts) < 3 || states < 100 {
		t.Fatal("not enough happened:", len(firsts), "segments,", states, "states")
	}
	d.hook = nil
	return lost
}

// survives opens a crash state: everything acknowledged is there, and at most the entry that was being written besides.
func survives(t *testing.T, files map[string][]byte, acknowledged, settled int) error {
	t.Helper()
	dir := folder(t, files)
	defer os.RemoveAll(dir)
	j, losses, err := openJournal(journalConfig(dir), testID, true, (&disk{}).open)
	if err != nil || len(losses) > 0 {
		return errors.Join(err, fmt.Errorf("losses: %v", losses))
	}
	defer j.Close()
	got := codes(t, j.Replay)
	if len(got) < acknowledged || len(got) > acknowledged+1 {
		return fmt.Errorf("%d scans", len(got))
	}
	if open := len(j.Open()); open < acknowledged-settled-1 || open > len(got) {
		return fmt.Errorf("%d open intents", open)
	}
	_, err = j.Append(scanEntry("next"))
	return err
}
