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

// here is a read of these rows.
func here(began int, rows ...record.Row) record.Reading {
	return record.Reading{Here: rows, Began: at(began)}
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
		return func(p *Picture) { p.Replace(here(began, rowOf("h", "e", pkg))) }
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
	p.Replace(here(1, rowOf("h", "e", "-"), rowOf("i", "", "-")))
	p.Intended(intentOf(1, "h", "A", "-"))
	p.Replace(here(2))
	if row, ok := p.Lookup("h"); ok || row.Hash != "h" || vals(row.May) != "- A" || *row.Package != "A" {
		t.Errorf("%v %v", row, ok)
	}
	if row, ok := p.Lookup("i"); ok || vals(row.May) != "-" {
		t.Errorf("%v %v", row, ok)
	}
	if len(p.ByEAN("e")) != 0 || len(p.ByEAN("")) != 0 || len(p.All()) != 0 || len(p.In(nil)) != 0 {
		t.Error("rows that left are still here")
	}
	if row, known := p.Away("h"); !known || *row.Package != "A" || row.EAN != "e" {
		t.Errorf("%v %v: it was here and left", row, known)
	}
	if _, known := p.Away("j"); known {
		t.Error("never seen")
	}
	p.Ended("h", record.Outcome{Intent: 1, Result: record.NoSuchRow}, at(3))
	if len(p.own) != 0 {
		t.Error("the intent was kept")
	}
	if _, known := p.Away("h"); known {
		t.Error("there is no such row")
	}
}

func TestPictureOfRowsElsewhere(t *testing.T) {
	p := NewPicture(time.Second)
	p.Replace(record.Reading{Away: []record.Row{{Hash: "h", Name: "mug", Package: val("P"), Station: val("other"), Away: true}}, None: []string{"i"}, Began: at(1)})
	if row, known := p.Away("h"); !known || row.Name != "mug" || vals(row.May) != "P" || *row.Station != "other" {
		t.Errorf("%+v %v", row, known)
	}
	p.Intended(intentOf(1, "x", "P", "-"))
	p.Ended("x", record.Outcome{Intent: 1, Result: record.Settled}, at(2))
	if row, known := p.Away("x"); !known || *row.Package != "P" {
		t.Errorf("%+v %v: it was settled, so it is somewhere", row, known)
	}
	p.Replace(record.Reading{Here: []record.Row{rowOf("h", "", "-")}, None: []string{"x"}, Began: at(3)})
	if _, known := p.Away("h"); known {
		t.Error("it is here")
	}
	if _, known := p.Away("x"); known {
		t.Error("it is in no table any more")
	}
	var many []record.Row
	for n := range 3 * maxAway {
		many = append(many, rowOf(fmt.Sprint(n), "", "-"))
	}
	p.Replace(here(4, many...))
	p.Replace(here(5))
	if n := len(p.away); n > maxAway || n < maxAway/2 {
		t.Errorf("%d rows that left are remembered", n)
	}
}

func TestPictureByProductAndTag(t *testing.T) {
	p := NewPicture(time.Second)
	row := rowOf("h", "012345678905", "-")
	row.EPCs = []string{"30f4257bf7194e4000001a85"}
	p.Replace(here(1, row, rowOf("i", "plain text", "P")))
	for code, want := range map[string]int{"012345678905": 1, "0012345678905": 1, "00012345678905": 1, "012345678906": 0, "plain text": 1, "Plain text": 0, "": 0} {
		if got := len(p.ByEAN(code)); got != want {
			t.Errorf("%q fits %d rows", code, got)
		}
	}
	for code, want := range map[string]int{"30f4257bf7194e4000001a85": 1, "30F4257BF7194E4000001A85": 1, "30F4257BF7194E4000001A86": 0} {
		if got := len(p.ByEPC(code)); got != want {
			t.Errorf("tag %q fits %d rows", code, got)
		}
	}
	if in := p.In(val("P")); len(in) != 1 || in[0].Hash != "i" || len(p.In(nil)) != 1 {
		t.Error(in)
	}
}

func TestPictureKeepsWhatWasReadForTheDisk(t *testing.T) {
	p := NewPicture(time.Second)
	p.Replace(here(0, rowOf("c", "", "-")))
	p.Replace(here(1, rowOf("b", "", "-"), rowOf("a", "", "-")))
	p.Intended(intentOf(1, "a", "A", "-"))
	p.Intended(intentOf(2, "b", "B", "-"))
	p.Ended("b", record.Outcome{Intent: 2, Result: record.Settled}, at(2))
	rows := p.Kept()
	if len(rows) != 3 || rows[0].Package != nil || *rows[1].Package != "B" || !rows[2].Away {
		t.Errorf("%v", rows)
	}
	rows[0].EPCs = []string{"T-a"}
	q := NewPicture(time.Second)
	q.Load(rows)
	if got := q.ByEPC("T-a"); len(got) != 1 || got[0].Hash != "a" {
		t.Error("the tags of the map's table are not known without a network:", got)
	}
	if row, ok := q.Lookup("b"); !ok || *row.Package != "B" || q.Count() != 2 || q.Online(at(1)) {
		t.Error(row, ok, q.Count())
	}
	if _, known := q.Away("c"); !known {
		t.Error("c had left")
	}
	q.Showed("a", val("P-7"))
	q.Showed("d", val("P-8"))
	if row, _ := q.Lookup("a"); vals(row.May) != "P-7" {
		t.Error("an own write after the rows were read:", vals(row.May))
	}
	if row, known := q.Away("d"); !known || *row.Package != "P-8" {
		t.Error("an own write to a row that was never seen:", row, known)
	}
	q.Replace(here(1, rowOf("a", "", "-")))
	if row, _ := q.Lookup("a"); row.Package != nil {
		t.Error("a read outranks it")
	}
}

func TestPictureOnline(t *testing.T) {
	p := NewPicture(3 * time.Second)
	p.Load([]record.Row{rowOf("h", "", "-")})
	if _, ok := p.Lookup("h"); !ok || p.Online(time.Time{}) || p.Online(at(0)) {
		t.Error("rows from the disk are no read")
	}
	p.Replace(here(1))
	if !p.Online(at(3)) || p.Online(at(4)) {
		t.Error("online for less than 3 s after the read began")
	}
}

func TestPictureKickIsAskedOnce(t *testing.T) {
	p := NewPicture(time.Second)
	p.ask([]string{"h"}, true)
	p.ask([]string{"i"}, true)
	if got := p.Asked(); len(got) != 1 || got[0] != "i" {
		t.Error(got)
	}
	<-p.Kick()
	p.ask([]string{"i"}, false)
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
				p.Replace(here(n, rowOf("h", "e", "-")))
				p.Kept()
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
