package codec

import (
	"fmt"
	"testing"
)

func TestGM65CommandsAreTheMakers(t *testing.T) {
	for _, v := range []struct {
		got  []byte
		want string
	}{
		{GM65Write(GM65Trigger, 1), "7E 00 08 01 00 02 01 02 DA"},
		{GM65Write(GM65Baud, 0x39, 0x01), "7E 00 08 02 00 2A 39 01 A7 EA"}, // public driver
		{GM65Write(GM65AIM, 0x80), "7E 00 08 01 00 D0 80 F0 36"},
		{GM65Save(), "7E 00 09 01 00 00 00 DE C8"}, // public driver
		{GM65Read(GM65AIM, 1), "7E 00 07 01 00 D0 01 14 66"},
	} {
		if got := fmt.Sprintf("% X", v.got); got != v.want {
			t.Errorf("%s, want %s", got, v.want)
		}
	}
}

// TestAnswersOfAGM65AreHeard, each once and in any chunking, with what they carry.
func TestAnswersOfAGM65AreHeard(t *testing.T) {
	in := []byte("400\r\x02\x00\x00\x01\x0031\x02\x00\x00\x02\x02\x00\x00\x00")
	in = append(in[:len(in)-2], byte(ccitt(0, in[13:len(in)-2])>>8), byte(ccitt(0, in[13:len(in)-2])))
	for at := range len(in) + 1 {
		var got string
		l := Line{Config: Config{Heard: func(a Answer) { got += fmt.Sprintf("%d %02X % X. ", a.What, a.Status, a.Data) }}}
		l.Feed(in[:at])
		l.Feed(in[at:])
		if want := "0 00 00. 0 00 02 00. "; got != want || l.Bad() != 0 {
			t.Errorf("cut at %d: %q, %d bad, want %q", at, got, l.Bad(), want)
		}
	}
}
