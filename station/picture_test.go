package station

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store/record"
)

var epoch = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// at is n seconds into the shift.
func at(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

// val reads "-" as NULL.
func val(s string) record.Value {
	if s == "-" {
		return nil
	}
	return record.Package(s)
}

// vals shows values, sorted, NULL as "-".
func vals(list []record.Value) string {
	var out []string
	for _, v := range list {
		if v == nil {
			out = append(out, "-")
		} else {
			out = append(out, *v)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func rowOf(hash, ean, pkg string) record.Row {
	return record.Row{Hash: hash, EAN: ean, Package: val(pkg)}
}

func intentOf(id uint64, hash, want string, replaces ...string) record.Intent {
	i := record.Intent{ID: id, Hash: hash, Package: val(want)}
	for _, r := range replaces {
		i.Replaces = append(i.Replaces, val(r))
	}
	return i
}

func TestPictureLayers(t *testing.T) {
	read := func(pkg string, began int) func(*Picture) {
		return func(p *Picture) { p.Replace([]record.Row{rowOf("h", "e", pkg)}, at(began)) }
	}
	wish := func(id uint64, want string, replaces ...string) func(*Picture) {
		return func(p *Picture) { p.Intended(intentOf(id, "h", want, replaces...)) }
	}
	end := func(id uint64, r record.Result, when int) func(*Picture) {
		return func(p *Picture) { p.Ended("h", record.Outcome{Intent: id, Result: r, Found: val("Z")}, at(when)) }
	}
	for _, c := range []struct {
		name      string
		steps     []func(*Picture)
		want, may string
	}{
		{"read", []func(*Picture){read("A", 1)}, "A", "A"},
		{"read twice", []func(*Picture){read("A", 1), read("B", 2)}, "B", "B"},
		{"a read that comes too late", []func(*Picture){read("B", 2), read("A", 1)}, "B", "B"},
		{"intended", []func(*Picture){read("-", 1), wish(1, "A", "-")}, "A", "- A"},
		{"intended before the first read", []func(*Picture){wish(1, "A", "-"), read("-", 1)}, "A", "- A"},
		{"intended, and read while the write is on its way", []func(*Picture){read("-", 1), wish(1, "A", "-"), read("A", 2)}, "A", "- A"},
		{"settled", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Settled, 2)}, "A", "A"},
		{"settled, and an older read", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Settled, 3), read("-", 2)}, "A", "A"},
		{"settled in the moment of a read", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Settled, 3), read("-", 3)}, "A", "A"},
		{"settled, and a newer read", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Settled, 2), read("C", 3)}, "C", "C"},
		{"same", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.SameValue, 2)}, "A", "A"},
		{"conflict", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.OtherValue, 2)}, "Z", "Z"},
		{"conflict, and an older read", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.OtherValue, 3), read("-", 2)}, "Z", "Z"},
		{"refused", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Refused, 2)}, "-", "-"},
		{"undone before it settled", []func(*Picture){read("-", 1), wish(1, "A", "-"), wish(2, "-", "A", "-")}, "-", "- A"},
		{"superseded, its write may have arrived all the same", []func(*Picture){
			read("-", 1), wish(1, "A", "-"), wish(2, "-", "A", "-"), end(1, record.Superseded, 2)}, "-", "- A"},
		{"ended twice", []func(*Picture){read("-", 1), wish(1, "A", "-"), end(1, record.Settled, 2), read("C", 3), end(1, record.Settled, 4)}, "C", "C"},
		{"somebody else wrote", []func(*Picture){read("-", 1), wish(1, "A", "-"), read("F", 2)}, "F", "F"},
		{"somebody else wrote the empty text", []func(*Picture){read("-", 1), wish(1, "A", "-"), read("", 2)}, "", ""},
	} {
		p := NewPicture(time.Second)
		for _, step := range c.steps {
			step(p)
		}
		row, ok := p.Lookup("h")
		if got := vals([]record.Value{row.Package}); !ok || got != c.want || vals(row.May) != c.may {
			t.Errorf("%s: %q, may be %q; want %q, %q", c.name, got, vals(row.May), c.want, c.may)
		}
		if by := p.ByEAN("e"); len(by) != 1 || !record.Same(by[0].Package, row.Package) {
			t.Errorf("%s: by EAN %v", c.name, by)
		}
	}
}

func TestPictureOfRowsThatLeft(t *testing.T) {
	p := NewPicture(time.Second)
	p.Replace([]record.Row{rowOf("h", "e", "-"), rowOf("i", "", "-")}, at(1))
	p.Intended(intentOf(1, "h", "A", "-"))
	p.Replace(nil, at(2))
	if row, ok := p.Lookup("h"); ok || row.Hash != "h" || vals(row.May) != "- A" || *row.Package != "A" {
		t.Errorf("%v %v", row, ok)
	}
	if row, ok := p.Lookup("i"); ok || row.May != nil {
		t.Errorf("%v %v", row, ok)
	}
	if len(p.ByEAN("e")) != 0 || len(p.ByEAN("")) != 0 || len(p.Rows()) != 0 {
		t.Error("rows that left are still here")
	}
	p.Ended("h", record.Outcome{Intent: 1, Result: record.NoSuchRow}, at(3))
	if len(p.own) != 0 {
		t.Error("the intent was kept")
	}
}

func TestPictureKeepsWhatWasReadForTheDisk(t *testing.T) {
	p := NewPicture(time.Second)
	p.Replace([]record.Row{rowOf("b", "", "-"), rowOf("a", "", "-")}, at(1))
	p.Intended(intentOf(1, "a", "A", "-"))
	p.Intended(intentOf(2, "b", "B", "-"))
	p.Ended("b", record.Outcome{Intent: 2, Result: record.Settled}, at(2))
	if rows := p.Rows(); len(rows) != 2 || rows[0].Package != nil || *rows[1].Package != "B" {
		t.Errorf("%v", rows)
	}
}

func TestPictureOnline(t *testing.T) {
	p := NewPicture(3 * time.Second)
	p.Replace([]record.Row{rowOf("h", "", "-")}, time.Time{})
	if _, ok := p.Lookup("h"); !ok || p.Online(time.Time{}) || p.Online(at(0)) {
		t.Error("rows from the disk are no read")
	}
	p.Replace(nil, at(1))
	if !p.Online(at(3)) || p.Online(at(4)) {
		t.Error("online for less than 3 s after the read began")
	}
}

func TestPictureKickIsAskedOnce(t *testing.T) {
	p := NewPicture(time.Second)
	p.ask()
	p.ask()
	<-p.Kick()
	select {
	case <-p.Kick():
		t.Error("asked twice")
	default:
	}
}

// TestPictureInUseByMany is for the race detector.
func TestPictureInUseByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPicture(time.Second)
		go func() {
			for n := range 100 {
				p.Replace([]record.Row{rowOf("h", "e", "-")}, at(n))
				p.Rows()
			}
		}()
		go func() {
			for n := range uint64(100) {
				p.Intended(intentOf(n, "h", fmt.Sprint(n), "-"))
				p.Ended("h", record.Outcome{Intent: n, Result: record.Settled}, at(int(n)))
			}
		}()
		for range 100 {
			p.Lookup("h")
			p.ByEAN("e")
			p.Online(at(0))
		}
	})
}
