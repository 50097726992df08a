package powercut

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"testing"
)

// logged is a log of writes of one sector each, by the letter that they write; "F" is a flush.
func logged(t *testing.T, entries string) []write {
	t.Helper()
	text := make([]byte, sector)
	binary.LittleEndian.PutUint64(text, logMagic)
	binary.LittleEndian.PutUint32(text[24:], sector)
	for n, letter := range []byte(entries) {
		head := make([]byte, sector)
		if letter == 'F' {
			head[16] = flagFlush
			text = append(text, head...)
			continue
		}
		binary.LittleEndian.PutUint64(head, uint64(block/sector+n))
		head[8] = 1
		text = append(append(text, head...), bytes.Repeat([]byte{letter}, sector)...)
	}
	name := t.TempDir() + "/log"
	if err := os.WriteFile(name, append(text, make([]byte, 3*sector)...), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := readLog(name)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestCutsOfALog(t *testing.T) {
	log := logged(t, "aFbc")
	want := []Cut{{all, 0, 1}, {torn, 0, 1}, {none, 0, 1}, {all, 2, 3}, {torn, 2, 3}, {all, 2, 4}, {torn, 2, 4}, {none, 2, 4}}
	if got := cuts(log); !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", got)
	}
}

func TestWhatACutLeaves(t *testing.T) {
	log := logged(t, "aFbcdefgh")
	before := card{}
	before.write(log[0].at, log[0].data)
	content := func(c card) (letters string) {
		for _, b := range c[block] {
			if b != 0 && (len(letters) == 0 || letters[len(letters)-1] != b) {
				letters += string(b)
			}
		}
		return letters
	}
	for cut, want := range map[Cut]string{{none, 2, 9}: "a", {all, 2, 2}: "a", {all, 2, 4}: "abc"} {
		if got := content(cut.leaves(before, log, 1)); got != want {
			t.Errorf("%v: %s, want %s", cut, got, want)
		}
	}
	different := map[string]bool{}
	for seed := range uint64(50) {
		different[content(Cut{torn, 2, 9}.leaves(before, log, seed))] = true
	}
	if len(different) < 20 || content(before) != "a" {
		t.Errorf("torn states: %v", different)
	}
}

func TestMarksTellWhatWasDone(t *testing.T) {
	log := logged(t, "aFb")
	r := Recording{Marks: []int64{log[0].end, log[1].end, log[2].end}}
	again := Recording{Marks: r.Marks, recovery: true}
	var got []int
	for n := range 4 {
		got = append(got, r.done(log, n), again.done(log, n))
	}
	if fmt.Sprint(got) != "[-1 -1 0 0 1 0 2 0]" {
		t.Fatal(got)
	}
}
