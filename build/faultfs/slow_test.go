package faultfs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"station-agent/store"
)

// TestASlowCardKeepsEverything is only about order: nothing here is timed.
func TestASlowCardKeepsEverything(t *testing.T) {
	c := mount(t)
	c.Delay(5 * time.Millisecond)
	done, found := lifeAndLook(t, c)
	check(t, done, found)
}

// slow runs in a child: a scan while a group of records stands in its flush.
func slow(o orders) any {
	s, err := store.Open(config(o.Dir))
	if err != nil {
		return err.Error()
	}
	said := func(what string, err error) bool {
		fmt.Println(what, err)
		return err == nil && o.wait() == nil
	}
	put := make(chan error, 1)
	if !said("ready", s.DB.Put(group(0, 5))) {
		return ""
	}
	go func() { put <- s.DB.Put(group(5, 10)) }()
	if said("putting", nil) {
		_, err = s.Journal.Append(scan(0))
		if said("scanned", err) {
			fmt.Println("put", <-put)
		}
	}
	fmt.Println("closed", s.Close())
	return ""
}

// TestAScanWaitsForOneFlushAndNoNeighbour holds the flush of a Put for as long as it likes.
func TestAScanWaitsForOneFlushAndNoNeighbour(t *testing.T) {
	c := mount(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, err := command(ctx, "slow", orders{Dir: c.store})
	ok(t, err)
	commands, goOn := io.Pipe()
	cmd.Stdin = io.MultiReader(cmd.Stdin, commands)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	lines := bufio.NewScanner(out)
	expect := func(what string) {
		t.Helper()
		if lines.Scan(); lines.Text() != what+" <nil>" {
			t.Errorf("it said %q instead of %q", lines.Text(), what)
		}
	}
	say := func() { ok(t, json.NewEncoder(goOn).Encode("go on")) }

	expect("ready")
	gate := c.Hold("records")
	defer gate.Open()
	say()
	expect("putting")
	select {
	case <-gate.Arrived:
	case <-ctx.Done():
		t.Error("a Put never flushed the records")
	}
	before := c.journalFlushes()
	say()
	expect("scanned")
	if flushes := c.journalFlushes() - before; flushes != 1 {
		t.Errorf("a scan took %d flushes", flushes)
	}
	gate.Open()
	say()
	expect("put")
	expect("closed")
	goOn.Close()
	ok(t, cmd.Wait())
}

func (c *card) journalFlushes() (n int) {
	for path, count := range c.Counts() {
		if strings.Contains(path, "journal/") {
			n += count.Flushes
		}
	}
	return n
}
