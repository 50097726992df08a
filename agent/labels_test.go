package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"station-agent/station"
)

// TestLabelsAreAllCommandsThatHaveACode also holds that the numbers stay when a site has fewer of them.
func TestLabelsAreAllCommandsThatHaveACode(t *testing.T) {
	p := newPlace(t)
	pages := p.cfg.labelPages()
	codes := p.cfg.Packing.commands()
	numbers := map[string]int{}
	for n, page := range pages {
		for _, c := range page.Cards {
			name := codes[c.Code]
			if supervisor := name == station.Override || name == station.Clear; name == "" || supervisor != (n == 1) {
				t.Errorf("%q (%s) is on page %d", c.Code, name, n)
			}
			if c.Does == "" || numbers[c.Code] != 0 {
				t.Errorf("%+v", c)
			}
			numbers[c.Code] = c.Number
		}
	}
	if len(numbers) != len(codes) || len(codes) != len(station.Commands()) {
		t.Errorf("%d labels for %d codes", len(numbers), len(codes))
	}
	old := *p.cfg
	old.Packing.CommandPrefix, old.Packing.CloseCode, old.Packing.UndoCode = "", "CMD-CLOSE", "CMD-UNDO"
	if cards := old.labelPages()[0].Cards; len(cards) != 2 || cards[1].Code != "CMD-UNDO" || cards[1].Number != numbers["STA-7Q4K-UNDO"] {
		t.Errorf("%+v", cards)
	}
}

func TestLabelsWritesAFile(t *testing.T) {
	p := newPlace(t)
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"labels", "-c", p.file, p.path("l.pdf")}, &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	doc, err := os.ReadFile(p.path("l.pdf"))
	if err != nil || !bytes.HasPrefix(doc, []byte("%PDF-")) || !bytes.Contains(doc, []byte("(STA-7Q4K-REMAINING-ONE)")) {
		t.Fatalf("%v, %d bytes", err, len(doc))
	}
	if info, err := os.Stat(p.path("l.pdf")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if code := execute(t.Context(), []string{"labels", "-c", p.file}, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "takes the FILE") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
