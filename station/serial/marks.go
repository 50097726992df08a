package serial

// damaged stands for a byte that the line damaged (parity, framing, break). It occurs in no UTF-8.
const damaged = 0xff

// marks takes out what the kernel puts in under PARMRK (termios(3)), over any cutting into chunks:
//
//	FF 00 x   x came damaged, or a break if x is 00   gives FF
//	FF FF     a sound FF                              gives FF
//
// Without PARMRK a damaged byte would come as NUL, which ends a line, or vanish.
type marks struct{ behind int } // bytes of the mark seen: 0, 1 (FF), 2 (FF 00)

// strip works in place and gives the part of p that is left.
func (m *marks) strip(p []byte) []byte {
	left := p[:0]
	for _, b := range p {
		switch {
		case m.behind == 2, m.behind == 1 && b == damaged:
			m.behind = 0
		case m.behind == 1 && b == 0:
			m.behind = 2
		default:
			m.behind = 0
			if b == damaged {
				m.behind = 1
			}
			left = append(left, b)
		}
	}
	return left
}
