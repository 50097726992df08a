package cards

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// rect is one rectangle of a page, in millimetres.
type rect struct{ x, y, w, h float64 }

// patterns are the widths of bar, space, bar, space, bar, space of each symbol (ISO/IEC 15417, table 1).
var patterns = strings.Fields(`
	212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 123122 123221
	223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 232121 111323 131123 131321
	112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 213311 213131
	311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114
	122411 142112 142211 241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141
	214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 211232`)

const stopPattern = "2331112"

// readCode128 reads bars that lie side by side, strictly: every width a whole number of modules, every symbol known, the check
// symbol right, the stop at the end.
func readCode128(bars []rect) (text string, module float64, err error) {
	if len(bars) < 4 {
		return "", 0, errors.New("no bars")
	}
	last := bars[len(bars)-1]
	var widths []float64
	for n, b := range bars {
		if n > 0 {
			widths = append(widths, b.x-bars[n-1].x-bars[n-1].w)
		}
		widths = append(widths, b.w)
	}
	module = (last.x + last.w - bars[0].x) / modules(len(widths))
	var all strings.Builder
	for _, w := range widths {
		n := math.Round(w / module)
		if n < 1 || n > 4 || math.Abs(w/module-n) > 0.02 {
			return "", 0, fmt.Errorf("a width of %.3f modules", w/module)
		}
		fmt.Fprint(&all, n)
	}
	symbols := all.String()
	body, ok := strings.CutSuffix(symbols, stopPattern)
	if !ok || len(body)%6 != 0 {
		return "", 0, errors.New("no stop symbol")
	}
	var values []int
	for ; body != ""; body = body[6:] {
		v := slices.Index(patterns, body[:6])
		if v < 0 {
			return "", 0, fmt.Errorf("%s is no symbol", body[:6])
		}
		values = append(values, v)
	}
	text, err = code128Text(values)
	return text, module, err
}

// modules is how wide so many bars and spaces are: 11 modules for each six, 13 for the seven of the stop.
func modules(widths int) float64 { return float64((widths-7)/6*11 + 13) }

func code128Text(values []int) (string, error) {
	if len(values) < 3 {
		return "", errors.New("nothing in it")
	}
	n := len(values) - 1
	sum := values[0]
	for at, v := range values[1:n] {
		sum += (at + 1) * v
	}
	if sum%103 != values[n] {
		return "", fmt.Errorf("check symbol %d, want %d", values[n], sum%103)
	}
	set := values[0]
	if set != 104 && set != 105 {
		return "", fmt.Errorf("begins with symbol %d", set)
	}
	var b strings.Builder
	for _, v := range values[1:n] {
		switch {
		case set == 104 && v == 99:
			set = 105
		case set == 105 && v == 100:
			set = 104
		case set == 105 && v < 100:
			fmt.Fprintf(&b, "%02d", v)
		case set == 104 && v < 95:
			b.WriteByte(byte(v + ' '))
		default:
			return "", fmt.Errorf("symbol %d in set %d", v, set)
		}
	}
	return b.String(), nil
}

// readQR reads the symbol that rectangles make up, strictly: the finder patterns, both copies of the format, and every data
// bit. It knows versions 1 to 3, which have one block of data at levels L and M, and corrects nothing.
func readQR(dark []rect) (text string, err error) {
	g, err := gridOf(dark)
	if err != nil {
		return "", err
	}
	n := len(g)
	if n != 21 && n != 25 && n != 29 {
		return "", fmt.Errorf("%d modules", n)
	}
	for _, corner := range [][2]int{{0, 0}, {0, n - 7}, {n - 7, 0}} {
		for y := range 7 {
			for x := range 7 {
				ring := max(abs(y-3), abs(x-3))
				if g[corner[0]+y][corner[1]+x] != (ring != 2) {
					return "", errors.New("a finder pattern is broken")
				}
			}
		}
	}
	first, second := g.format()
	if first != second {
		return "", fmt.Errorf("formats %015b and %015b", first, second)
	}
	mask := (first ^ 0b101010000010010) >> 10 & 7
	return qrText(g.codewords(mask))
}

type grid [][]bool

// gridOf finds the size of a module by the upper left finder pattern, which is seven wide.
func gridOf(dark []rect) (grid, error) {
	if len(dark) == 0 {
		return nil, errors.New("nothing is dark")
	}
	left, top := dark[0].x, dark[0].y+dark[0].h
	module := dark[0].w / 7
	right := left
	for _, r := range dark {
		right = max(right, r.x+r.w)
	}
	n := int(math.Round((right - left) / module))
	g := make(grid, n)
	for y := range g {
		g[y] = make([]bool, n)
	}
	for _, r := range dark {
		x, y, w := (r.x-left)/module, (top-r.y-r.h)/module, r.w/module
		for _, v := range []float64{x, y, w, r.h / module} {
			if math.Abs(v-math.Round(v)) > 0.02 {
				return nil, fmt.Errorf("%v modules", v)
			}
		}
		for i := range int(math.Round(w)) {
			g[int(math.Round(y))][int(math.Round(x))+i] = true
		}
	}
	return g, nil
}

// format gives the two copies of the format bits, the highest first (ISO/IEC 18004, 7.9).
func (g grid) format() (first, second int) {
	n := len(g)
	bit := func(to *int, dark bool) {
		*to <<= 1
		if dark {
			*to |= 1
		}
	}
	for _, x := range []int{0, 1, 2, 3, 4, 5, 7, 8} {
		bit(&first, g[8][x])
	}
	for _, y := range []int{7, 5, 4, 3, 2, 1, 0} {
		bit(&first, g[y][8])
	}
	for y := n - 1; y > n-8; y-- {
		bit(&second, g[y][8])
	}
	for x := n - 8; x < n; x++ {
		bit(&second, g[8][x])
	}
	return first, second
}

// fixed tells whether a module is no data: finders with formats, timing, the alignment pattern of versions 2 and 3.
func (g grid) fixed(y, x int) bool {
	n := len(g)
	corner := y < 9 && x < 9 || y < 9 && x >= n-8 || y >= n-8 && x < 9
	at := n - 7
	alignment := n > 21 && abs(y-at) <= 2 && abs(x-at) <= 2
	return corner || alignment || y == 6 || x == 6
}

// codewords reads the data in its zigzag, from the lower right corner, unmasked.
func (g grid) codewords(mask int) (bits []bool) {
	n, up := len(g), true
	for right := n - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		for i := range n {
			y := i
			if up {
				y = n - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if !g.fixed(y, x) {
					bits = append(bits, g[y][x] != masked(mask, y, x))
				}
			}
		}
		up = !up
	}
	return bits
}

func masked(mask, y, x int) bool {
	return []bool{(y+x)%2 == 0, y%2 == 0, x%3 == 0, (y+x)%3 == 0, (y/2+x/3)%2 == 0, y*x%2+y*x%3 == 0,
		(y*x%2+y*x%3)%2 == 0, ((y+x)%2+y*x%3)%2 == 0}[mask]
}

// qrText reads alphanumeric, numeric and byte segments of versions up to 9.
func qrText(bits []bool) (string, error) {
	take := func(n int) (v int) {
		for range n {
			v <<= 1
			if len(bits) > 0 {
				if bits[0] {
					v |= 1
				}
				bits = bits[1:]
			}
		}
		return v
	}
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	var b strings.Builder
	switch mode := take(4); mode {
	case 2:
		for n := take(9); n > 0; n -= 2 {
			if n == 1 {
				b.WriteByte(alphabet[take(6)%45])
				break
			}
			v := take(11)
			b.WriteByte(alphabet[v/45%45])
			b.WriteByte(alphabet[v%45])
		}
	case 4:
		for range take(8) {
			b.WriteByte(byte(take(8)))
		}
	default:
		return "", fmt.Errorf("mode %d", mode)
	}
	if take(4) != 0 {
		return "", errors.New("something follows the text")
	}
	return b.String(), nil
}

func abs(n int) int { return max(n, -n) }
