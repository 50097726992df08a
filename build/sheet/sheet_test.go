package sheet

import "testing"

// verdict is a test that only notes whether it failed.
type verdict struct {
	testing.TB
	failed bool
}

func (v *verdict) Fail() { v.failed = true }

func TestConclude(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		value float64
		bad   bool
	}{
		{"below", Limit{Name: "x", Most: 2}, 1.9, false},
		{"at the limit", Limit{Name: "x", Most: 2}, 2, false},
		{"above", Limit{Name: "x", Most: 2}, 2.1, true},
		{"not measured", Limit{Name: "x", Most: 2}, 0, true},
		{"reaches the least", Limit{Name: "x", Least: 0.6}, 0.6, false},
		{"less than the least", Limit{Name: "x", Least: 0.6}, 0.59, true},
		{"the least not measured", Limit{Name: "x", Least: 0.6}, 0, true},
		{"exact", Limit{Name: "x", Most: 1, Exact: true}, 1, false},
		{"less than exact", Limit{Name: "x", Most: 1, Exact: true}, 0, true},
		{"none lost", Limit{Name: "x", Exact: true}, 0, false},
		{"one lost", Limit{Name: "x", Exact: true}, 1, true},
		{"another figure", Limit{Name: "y", Exact: true}, 0, true},
	} {
		v := &verdict{TB: t}
		s := New(v, c.limit)
		s.Note("x", c.value, "")
		s.Conclude()
		if v.failed != c.bad {
			t.Errorf("%s: failed is %v", c.name, v.failed)
		}
		s, v.failed = New(v, c.limit), false
		if s.Conclude("z"); v.failed {
			t.Errorf("%s: what is not named was judged", c.name)
		}
	}
}

func TestQuantile(t *testing.T) {
	list := []float64{5, 1, 4, 2, 3}
	if m := Median(list); m != 3 {
		t.Errorf("median %v", m)
	}
	if q := Quantile(list, 0.99); q != 5 {
		t.Errorf("quantile %v", q)
	}
	if r := Ratio([]float64{2, 9, 6}, []float64{1, 3, 3}); r != 2 {
		t.Errorf("ratio %v", r)
	}
	if q := Quantile(nil, 0.5); q != 0 {
		t.Errorf("quantile of nothing %v", q)
	}
}
