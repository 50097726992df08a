package cards

import (
	"bytes"
	"fmt"
	"strings"
)

// pdf is a document of A4 pages with the two fonts that every reader has (ISO 32000-1, 7.5 and 9.6.2.2).
type pdf struct{ pages []string }

// The objects in front of the pages. Each page is two: itself and its content.
const (
	catalogue = iota + 1
	tree
	plainFont
	boldFont
	firstPage
)

func (p pdf) bytes() []byte {
	var out bytes.Buffer
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n"+format+"\nendobj\n", append([]any{len(offsets)}, args...)...)
	}
	out.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages %d 0 R /ViewerPreferences << /PrintScaling /None >> >>", tree)
	var kids strings.Builder
	for n := range p.pages {
		fmt.Fprintf(&kids, "%d 0 R ", firstPage+2*n)
	}
	object("<< /Type /Pages /Kids [ %s] /Count %d >>", kids.String(), len(p.pages))
	for _, name := range []string{"Helvetica", "Helvetica-Bold"} {
		object("<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>", name)
	}
	for n, page := range p.pages {
		object("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %.3f %.3f] /Contents %d 0 R /Resources << /Font << /%s %d 0 R /%s %d 0 R >> >> >>",
			tree, pageWidth*point, pageHeight*point, firstPage+2*n+1, plain, plainFont, bold, boldFont)
		content := fmt.Sprintf("%.6f 0 0 %.6f 0 0 cm\n", point, point) + page
		object("<< /Length %d >>\nstream\n%s\nendstream", len(content), content)
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, catalogue, table)
	return out.Bytes()
}

const point = 72 / 25.4 // points in a millimetre

// The fonts, as a sheet names them.
const (
	plain = "F1"
	bold  = "F2"
)

// sheet is the content of one page, in millimetres.
type sheet struct{ strings.Builder }

func (s *sheet) print(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *sheet) rect(x, y, w, h float64) { s.print("%.4f %.4f %.4f %.4f re f\n", x, y, w, h) }

func (s *sheet) line(x1, y1, x2, y2 float64) {
	s.print("0.15 w %.2f %.2f m %.2f %.2f l S\n", x1, y1, x2, y2)
}

func (s *sheet) text(font string, size, x, y float64, text string) {
	s.print("BT /%s %.2f Tf %.2f %.2f Td (%s) Tj ET\n", font, size, x, y, winAnsi(text))
}

// begin and end say what is drawn between them (marked content, ISO 32000-1, 14.6).
func (s *sheet) begin(what string) { s.print("/%s BMC\n", what) }
func (s *sheet) end()              { s.print("EMC\n") }
