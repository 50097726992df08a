package station

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"station-agent/store/record"
)

// LogPanel is a Panel that writes to the log.
type LogPanel struct{ Log *slog.Logger }

// Show logs a verdict.
func (p LogPanel) Show(s record.Scan, took time.Duration) {
	level := slog.LevelInfo
	if s.Verdict == record.Fault {
		level = slog.LevelError
	}
	p.Log.Log(context.Background(), level, "verdict", "reader", s.Reader, "code", visible(s.Code), "verdict", string(s.Verdict), "step", string(s.Step),
		"package", s.Package, "hash", s.Hash, "count", s.Count, "not_empty", s.NotEmpty, "text", s.Text, "took_ms", milliseconds(took))
}

// Resume logs that something is still open and that its label is asked for.
func (p LogPanel) Resume(s record.Session) {
	p.Log.Info("still open", "package", s.Package, "count", len(s.Items), "text", standing(s)+": scan the label to go on")
}

// CallBack logs that an item needs a person.
func (p LogPanel) CallBack(c record.Parked) {
	p.Log.Warn("call back", "hash", c.Hash, "package", text(c.Package), "result", string(c.Outcome.Result),
		"found", text(c.Outcome.Found), "text", c.Outcome.Text)
}

// visible writes out what a terminal would act on instead of showing it: format characters, such as those that turn the
// direction of writing. Control characters are left to the log's own quoting.
func visible(code string) string {
	if !strings.ContainsFunc(code, hidden) {
		return code
	}
	var b strings.Builder
	for _, r := range code {
		if hidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return r > 0x7f && !unicode.IsPrint(r) }

// milliseconds keeps microseconds, as a number.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// text is a value for a log line: NULL can't be told from the word, but the empty text can.
func text(v record.Value) string {
	if v == nil {
		return "NULL"
	}
	return *v
}
