package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestBoardSaysOnce holds the rhythm of the log: the first failure, then every 30 s with a count, then "recovered".
func TestBoardSaysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBoard(slog.New(slog.NewTextHandler(&log, nil)))
		c := b.condition("mysql")
		c.Back()
		c.Back()
		for range 61 {
			c.Lost(errors.New("connect:\nrefused"))
			time.Sleep(time.Second)
		}
		c.Lost(fmt.Errorf("read: %w", context.Canceled))
		if p := b.problems(); len(p) != 1 || p[0].Since.Location() != time.UTC || p[0].Count != 61 || p[0].Text != "connect: refused" || b.failures("mysql") != 61 {
			t.Errorf("problems %+v", p)
		}
		c.Back()
		c.Back()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 5 || !strings.Contains(lines[0], "msg=up") || !strings.Contains(lines[1], "count=1") ||
			!strings.Contains(lines[2], "count=30") || !strings.Contains(lines[4], "msg=recovered what=mysql after=1m1s count=61") {
			t.Errorf("log:\n%s", log.String())
		}
		if len(b.problems()) != 0 {
			t.Error("still a problem")
		}
	})
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	write(t, filepath.Join(dir, "key"), "s3cret\r\n")
	for _, s := range []secret{"credential:key", secret(filepath.Join(dir, "key"))} {
		if got, err := s.read(); got != "s3cret" || err != nil {
			t.Errorf("%s: %q %v", s, got, err)
		}
	}
	write(t, filepath.Join(dir, "empty"), "\n")
	for _, s := range []secret{"credential:../key", "credential:", "credential:none", secret(filepath.Join(dir, "empty"))} {
		if got, err := s.read(); err == nil {
			t.Errorf("%s: %q", s, got)
		}
	}
	write(t, filepath.Join(dir, "key"), "rotated")
	if got, _ := secret("credential:key").read(); got != "rotated" {
		t.Error("a replaced secret is not seen")
	}
	os.Unsetenv("CREDENTIALS_DIRECTORY")
	if _, err := secret("credential:key").read(); err == nil || !strings.Contains(err.Error(), "LoadCredential") {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.now(), c.now()
	if a.Boot == "" || a.Boot != b.Boot || b.Mono < a.Mono || a.Mono == 0 {
		t.Errorf("%+v %+v", a, b)
	}
}
