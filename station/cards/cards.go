// Package cards draws command codes as pages to print, to be cut apart and fixed to the bench:
//
//	┌──────────────────────────────────────────────────┐
//	│ [3]  remove                               ▛▀▜▞▟  │   a number to speak of, the name in plain words, what it does,
//	│      then an item: take it out of ...     ▙▞▚▟▞  │   the code as Code 128 for any scanner
//	│      ║▌║█║▌│║▌█║▌│║█║▌║                   ▟▚▞▛▄  │   and as QR for those that read it
//	└──────────────────────────────────────────────────┘
//
// A card is 190 mm × 33 mm, eight of them an A4 page with cut marks. Print it without scaling: a bar is then 0.24 to 0.5 mm
// wide and reads at arm's length.
//
// It promises that every code on the page is the one that was asked for, to the byte, or no page at all. It knows nothing of
// what the codes mean.
package cards

import (
	"errors"
	"fmt"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// Card is one command code.
type Card struct {
	Number int    // to speak of it
	Name   string // in plain words
	Does   string // one sentence
	Code   string // printable ASCII
}

// Page is what stands under one title; what doesn't fit goes onto further pages with the same one.
type Page struct {
	Title string
	Cards []Card
}

// In millimetres, from the lower left corner of the page.
const (
	pageWidth, pageHeight = 210.0, 297.0
	cardWidth, cardHeight = 190.0, 33.0
	cardsLeft, cardsTop   = 10.0, 278.0
	cardsAPage            = 8
	mark                  = 4.0 // how long a cut mark is
	inset                 = 5.0 // from the edge of a card, so that a crooked cut takes nothing
	textLeft              = 22.0
	qrSize                = 23.0
	qrQuiet               = 4 // modules, ISO/IEC 18004
	barHeight             = 12.0
	barQuiet              = 10 // modules, ISO/IEC 15417
	widestBar             = 0.5
	narrowestBar          = 0.24 // what a plain scanner reads at arm's length
)

// PDF draws the pages, without those that have no cards. An error names the card that can't be printed.
func PDF(pages ...Page) ([]byte, error) {
	var p pdf
	for _, page := range pages {
		for at := 0; at < len(page.Cards); at += cardsAPage {
			s := &sheet{}
			s.text(bold, 6, cardsLeft, cardsTop+9, page.Title)
			s.text(plain, 3.2, cardsLeft, cardsTop+4, "Print at 100 %, without fitting to the page. Cut along the marks.")
			for n, c := range page.Cards[at:min(at+cardsAPage, len(page.Cards))] {
				if err := s.card(c, cardsTop-cardHeight*float64(n+1)); err != nil {
					return nil, fmt.Errorf("print the code of %s: %w", c.Name, err)
				}
			}
			p.pages = append(p.pages, s.String())
		}
	}
	if len(p.pages) == 0 {
		return nil, errors.New("print cards: there are none")
	}
	return p.bytes(), nil
}

// card draws one card whose lower edge is at bottom.
func (s *sheet) card(c Card, bottom float64) error {
	s.cutMarks(cardsLeft, bottom, cardWidth, cardHeight)
	top := bottom + cardHeight
	s.box(cardsLeft+inset, top-inset-12, 12, 12, fmt.Sprint(c.Number))
	left := cardsLeft + textLeft
	s.text(bold, 7, left, top-inset-5, c.Name)
	s.text(plain, 3.2, left, top-inset-9.5, c.Does)
	room := cardWidth - textLeft - inset - qrSize - 4
	if err := s.bars(c.Code, left, bottom+inset-0.5, room); err != nil {
		return err
	}
	s.text(plain, 2, left, bottom+inset-3.2, c.Code)
	return s.square(c.Code, cardsLeft+cardWidth-inset-qrSize, bottom+inset)
}

// bars draws code as Code 128, quiet zones included, as wide as fits.
func (s *sheet) bars(code string, x, y, room float64) error {
	for _, r := range code {
		if r < ' ' || r > '~' { // some would be function characters to the library
			return fmt.Errorf("%q holds a character that is no printable ASCII: choose another code", code)
		}
	}
	b, err := code128.Encode(code)
	if err != nil {
		return err
	}
	n := b.Bounds().Dx()
	width := min(widestBar, room/float64(n+2*barQuiet))
	if width < narrowestBar {
		return fmt.Errorf("%q is too long to be read at arm's length: shorten packing.command_prefix", code)
	}
	s.begin("Code128")
	runs(b, 0, func(at, long int) { s.rect(x+width*float64(barQuiet+at), y, width*float64(long), barHeight) })
	s.end()
	return nil
}

// square draws code as QR within a square, quiet zone included.
func (s *sheet) square(code string, x, y float64) error {
	b, err := qr.Encode(code, qr.M, qr.Auto)
	if err != nil {
		return err
	}
	n := b.Bounds().Dy()
	width := qrSize / float64(n+2*qrQuiet)
	s.begin("QR")
	for row := range n {
		lower := y + qrSize - width*float64(qrQuiet+row+1)
		runs(b, row, func(at, long int) { s.rect(x+width*float64(qrQuiet+at), lower, width*float64(long), width) })
	}
	s.end()
	return nil
}

// runs calls f for each dark run of a row.
func runs(b barcode.Barcode, row int, f func(at, long int)) {
	n, from := b.Bounds().Dx(), -1
	for x := 0; x <= n; x++ {
		dark := x < n && isDark(b, x, row)
		switch {
		case dark && from < 0:
			from = x
		case !dark && from >= 0:
			f(from, x-from)
			from = -1
		}
	}
}

func isDark(b barcode.Barcode, x, y int) bool {
	r, _, _, _ := b.At(x, y).RGBA()
	return r < 0x8000
}

// cutMarks draws the corners of a card, outside of it at the sides where cards lie one below the other.
func (s *sheet) cutMarks(x, y, w, h float64) {
	for _, edge := range []float64{y, y + h} {
		s.line(x-mark, edge, x, edge)
		s.line(x+w, edge, x+w+mark, edge)
	}
	for _, side := range []float64{x, x + w} {
		s.line(side, y, side, y+mark/2)
		s.line(side, y+h-mark/2, side, y+h)
	}
}

// box draws a number white on black.
func (s *sheet) box(x, y, w, h float64, number string) {
	s.rect(x, y, w, h)
	s.print("1 g\n")
	s.text(bold, 8, x+w/2-2.25*float64(len(number)), y+h/2-2.8, number) // a digit is 0.556 wide
	s.print("0 g\n")
}

// winAnsi keeps of a text what the standard fonts have; what they haven't becomes a question mark.
func winAnsi(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '(' || r == ')' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case ' ' <= r && r <= '~':
			b.WriteByte(byte(r))
		case 0xa0 <= r && r <= 0xff:
			fmt.Fprintf(&b, "\\%03o", r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}
