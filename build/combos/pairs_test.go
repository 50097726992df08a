package combos

import (
	"math/rand/v2"
	"testing"
)

// pairs gives rows of choices, one for each dimension (sizes are the numbers of choices), so that any two choices of any two
// dimensions meet in some row. Each row begins with a pair that is missing yet, and takes for every other dimension the choice
// that brings the most missing pairs. The same sizes give the same rows.
func pairs(sizes []int) (rows [][]int) {
	dice := rand.New(rand.NewPCG(1, 2))
	missing := map[[4]int]bool{} // dimension a, its choice, dimension b > a, its choice
	var order [][4]int
	for a := range sizes {
		for b := a + 1; b < len(sizes); b++ {
			for i := range sizes[a] {
				for j := range sizes[b] {
					missing[[4]int{a, i, b, j}] = true
					order = append(order, [4]int{a, i, b, j})
				}
			}
		}
	}
	for _, p := range order {
		if !missing[p] {
			continue
		}
		row := make([]int, len(sizes))
		for d := range row {
			row[d] = -1
		}
		row[p[0]], row[p[2]] = p[1], p[3]
		for _, d := range dice.Perm(len(sizes)) {
			if row[d] < 0 {
				row[d] = best(sizes[d], d, row, missing, dice)
			}
		}
		for a := range row {
			for b := a + 1; b < len(row); b++ {
				delete(missing, [4]int{a, row[a], b, row[b]})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// best is the choice of dimension d that meets the most others of row for the first time.
func best(size, d int, row []int, missing map[[4]int]bool, dice *rand.Rand) (choice int) {
	most := -1
	for _, i := range dice.Perm(size) {
		n := 0
		for other, j := range row {
			switch {
			case j < 0 || other == d:
			case other < d && missing[[4]int{other, j, d, i}], other > d && missing[[4]int{d, i, other, j}]:
				n++
			}
		}
		if n > most {
			most, choice = n, i
		}
	}
	return choice
}

func TestPairsMeet(t *testing.T) {
	sizes := []int{9, 4, 2, 1, 3, 2, 5}
	rows := pairs(sizes)
	for a := range sizes {
		for b := range sizes {
			for i := range sizes[a] {
				for j := range sizes[b] {
					met := a == b
					for _, r := range rows {
						met = met || r[a] == i && r[b] == j
					}
					if !met {
						t.Errorf("choice %d of %d never meets choice %d of %d", i, a, j, b)
					}
				}
			}
		}
	}
	if n := len(rows); n < 45 || n > 70 { // 9 × 5 is the least
		t.Errorf("%d rows", n)
	}
}
