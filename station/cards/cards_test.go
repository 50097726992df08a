package cards

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// printed is what stands on a page: its texts, and what each barcode says.
type printed struct{ texts, bars, squares []string }

var (
	content   = regexp.MustCompile(`(?s)stream\n(.*?)\nendstream`)
	marked    = regexp.MustCompile(`(?s)/(Code128|QR) BMC\n(.*?)EMC`)
	rectangle = regexp.MustCompile(`(?m)^([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re f$`)
	textShown = regexp.MustCompile(`\((.*)\) Tj`)
)

// read reads a document as a scanner does, and holds that each barcode lies within the page and has its quiet zone.
func read(t *testing.T, doc []byte) (pages []printed) {
	t.Helper()
	for _, c := range content.FindAllSubmatch(doc, -1) {
		var p printed
		for _, m := range textShown.FindAllSubmatch(c[1], -1) {
			p.texts = append(p.texts, string(m[1]))
		}
		everything := rects(c[1])
		for _, m := range marked.FindAllSubmatch(c[1], -1) {
			list := rects(m[2])
			if string(m[1]) == "QR" {
				text, err := readQR(list)
				if err != nil {
					t.Fatal(err)
				}
				p.squares = append(p.squares, text)
				quiet(t, list, everything, 4*list[0].w/7)
				continue
			}
			text, module, err := readCode128(list)
			if err != nil {
				t.Fatal(err)
			}
			if module < 0.24 || module > 0.5 || list[0].h < 10 {
				t.Errorf("%s: a module is %.2f mm, a bar %.1f mm high", text, module, list[0].h)
			}
			p.bars = append(p.bars, text)
			quiet(t, list, everything, 10*module)
		}
		pages = append(pages, p)
	}
	return pages
}

func rects(p []byte) (list []rect) {
	for _, m := range rectangle.FindAllSubmatch(p, -1) {
		var v [4]float64
		for i := range v {
			v[i], _ = strconv.ParseFloat(string(m[i+1]), 64)
		}
		list = append(list, rect{v[0], v[1], v[2], v[3]})
	}
	return list
}

// quiet holds that nothing else is so near to a barcode.
func quiet(t *testing.T, code, everything []rect, zone float64) {
	t.Helper()
	box := rect{x: 1e9, y: 1e9}
	var right, top float64
	own := map[rect]bool{}
	for _, r := range code {
		own[r] = true
		box.x, box.y, right, top = min(box.x, r.x), min(box.y, r.y), max(right, r.x+r.w), max(top, r.y+r.h)
	}
	if box.x < cardsLeft || right > cardsLeft+cardWidth || box.y < 10 || top > cardsTop {
		t.Errorf("a code from %.1f,%.1f to %.1f,%.1f leaves the cards", box.x, box.y, right, top)
	}
	const slack = 0.001 // of the numbers' rounding
	for _, r := range everything {
		if !own[r] && r.x < right+zone-slack && r.x+r.w > box.x-zone+slack && r.y < top && r.y+r.h > box.y {
			t.Errorf("%+v lies in the quiet zone of a code from %.2f to %.2f", r, box.x, right)
			return
		}
	}
}

func TestWhatIsPrintedReadsAsTheCodes(t *testing.T) {
	codes := []string{"STA-7Q4K-CLOSE", "STA-7Q4K-REMAINING-ONE", "AB12345678-UNDO", "!", "~lower case (and) \\ more", "123456-AB", "A", "ZZZZ-9",
		"STA-7Q4K-OVERRIDE", "A23456789-B23456789-C23456789-UV-REMAINING-ONE"[:45]}
	var cards []Card
	for n, c := range codes {
		cards = append(cards, Card{Number: n + 1, Name: fmt.Sprintf("name %d", n+1), Does: "does (this)", Code: c})
	}
	doc, err := PDF(Page{Title: "first, ünd (last)", Cards: cards}, Page{Title: "nobody's"}, Page{Title: "second", Cards: cards[:1]})
	if err != nil {
		t.Fatal(err)
	}
	pages := read(t, doc)
	if len(pages) != 3 {
		t.Fatalf("%d pages", len(pages))
	}
	var bars, squares []string
	for _, p := range pages[:2] {
		bars, squares = append(bars, p.bars...), append(squares, p.squares...)
	}
	for n, c := range codes {
		if bars[n] != c || squares[n] != c {
			t.Errorf("%q reads as %q and %q", c, bars[n], squares[n])
		}
	}
	if all := strings.Join(pages[0].texts, "|"); !strings.HasPrefix(all, `first, \374nd \(last\)|`) || !strings.Contains(all, `|1|name 1|does \(this\)|STA-7Q4K-CLOSE|`) {
		t.Error(all)
	}
	if p := pages[2]; len(p.bars) != 1 || p.texts[0] != "second" {
		t.Errorf("%+v", p)
	}
}

func TestWhatCannotBePrintedIsNamed(t *testing.T) {
	for code, want := range map[string]string{
		"":                      "print the code of x",
		"caf\u00e9":             "no printable ASCII",
		"a\u00f1b":              "no printable ASCII", // a function character to the library
		strings.Repeat("A", 60): "shorten packing.command_prefix",
	} {
		if _, err := PDF(Page{Cards: []Card{{Name: "x", Code: code}}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", code, err, want)
		}
	}
	if _, err := PDF(Page{Title: "empty"}); err == nil {
		t.Error("a document without a page")
	}
}

// TestReferencesOfTheDocument holds that every object lies where the table says, and is as long as it says.
func TestReferencesOfTheDocument(t *testing.T) {
	doc, err := PDF(Page{Title: "t", Cards: []Card{{Number: 1, Name: "n", Does: "d", Code: "ABCD"}}})
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(doc, []byte("startxref\n"))
	table, err := strconv.Atoi(strings.Fields(string(doc[at:]))[1])
	if err != nil || !bytes.HasPrefix(doc[table:], []byte("xref\n0 7\n")) {
		t.Fatalf("no table at %d: %v", table, err)
	}
	for n, line := range strings.Split(string(doc[table:]), "\n")[3:9] {
		offset, err := strconv.Atoi(line[:10])
		if err != nil || len(line) != 19 || !bytes.HasPrefix(doc[offset:], fmt.Appendf(nil, "%d 0 obj\n", n+1)) {
			t.Errorf("object %d is not at %q", n+1, line)
		}
	}
	long := regexp.MustCompile(`/Length (\d+)`).FindSubmatch(doc)
	if n, _ := strconv.Atoi(string(long[1])); n != len(content.FindSubmatch(doc)[1]) {
		t.Errorf("length %d, but it is %d", n, len(content.FindSubmatch(doc)[1]))
	}
}
