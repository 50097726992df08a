package fifty

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"station-agent/uplink/uplinktest"
)

// What is held, see the package comment.
const (
	window      = 10 * time.Second
	mostAsked   = 2.0 // in a window, of what the service takes in it
	mostRefused = 0.1 // of the requests behind the outage, and of all, beside one of each station: the first can't know
	leastFair   = 0.9

	rushAfter = 4 * time.Minute // as long as the first verifications take to come
)

// history is what the service saw of a trial.
type history struct {
	back     time.Time // when the outage ended
	cloud    *uplinktest.Certyo
	names    []string
	due      []int // records of each station
	waiting  int   // records in the outboxes at the end
	unproven int   // records in the ledgers then
	proveAll bool
}

// lost lists what must not happen at all.
func (h *history) lost() (faults []string) {
	all, took := 0, 0
	for _, n := range h.due {
		all += n
	}
	for _, r := range h.cloud.Records() {
		took++
		if r.Doubled > 0 {
			faults = append(faults, "key "+r.Key+" was taken twice")
		}
	}
	if took != all || h.waiting > 0 {
		faults = append(faults, fmt.Sprintf("%d of %d records were taken, %d wait still", took, all, h.waiting))
	}
	if h.proveAll && h.unproven > 0 {
		faults = append(faults, fmt.Sprintf("%d records are not proven in the end", h.unproven))
	}
	if v := h.cloud.Violations(); len(v) > 0 {
		faults = append(faults, fmt.Sprintf("%d violations, the first is %s", len(v), v[0]))
	}
	return faults
}

// faults lists what a good guest doesn't do.
func (h *history) faults(fairness bool) []string { return h.judge(h.cloud.Calls(), fairness) }

func (h *history) judge(calls []uplinktest.Call, fairness bool) (faults []string) {
	if asked, at := busiest(calls, h.back); asked > mostAsked*takes(window) {
		faults = append(faults, fmt.Sprintf("%.0f requests in the %s from %s, where the service takes %.0f", asked, window, at, takes(window)))
	}
	for _, part := range [][]uplinktest.Call{h.rush(calls), calls} {
		if n, refused := count(part); float64(refused) > mostRefused*float64(n)+float64(len(h.names)) {
			faults = append(faults, fmt.Sprintf("%d of %d requests were refused until %s", refused, n, part[n-1].At.Sub(h.back).Round(time.Second)))
			break
		}
	}
	if j, _ := h.fairness(calls); fairness && j < leastFair {
		faults = append(faults, fmt.Sprintf("Jain's index is %.2f when half is delivered", j))
	}
	return faults
}

// takes is how many requests the service takes in a time, at most.
func takes(d time.Duration) float64 { return burst + rate*d.Seconds() }

// busiest finds the window with the most requests, from its first on.
func busiest(calls []uplinktest.Call, back time.Time) (asked float64, from time.Duration) {
	first := 0
	for i := range calls {
		for calls[i].At.Sub(calls[first].At) >= window {
			first++
		}
		if n := float64(i - first + 1); n > asked {
			asked, from = n, calls[first].At.Sub(back)
		}
	}
	return asked, from
}

func count(calls []uplinktest.Call) (all, refused int) {
	for _, c := range calls {
		if c.Status == 429 {
			refused++
		}
	}
	return len(calls), refused
}

// fairness is Jain's index when half of all is delivered, and when that was.
func (h *history) fairness(calls []uplinktest.Call) (index float64, at time.Duration) {
	got, all, half := map[string]int{}, 0, 0
	for _, n := range h.due {
		half += n
	}
	half /= 2
	for _, c := range calls {
		if c.Status != 202 {
			continue
		}
		got[c.Station] += c.Records
		if all += c.Records; all >= half {
			at = c.At.Sub(h.back)
			break
		}
	}
	fair := fairShares(h.due, all)
	var parts []float64
	for i, name := range h.names {
		parts = append(parts, float64(got[name])/fair[i])
	}
	return jain(parts), at
}

// fairShares deals out total in equal parts to all whose wish isn't fulfilled yet.
func fairShares(wishes []int, total int) []float64 {
	shares, left, sharers := make([]float64, len(wishes)), float64(total), len(wishes)
	order := make([]int, len(wishes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(wishes[a], wishes[b]) })
	for _, i := range order {
		shares[i] = min(float64(wishes[i]), left/float64(sharers))
		left -= shares[i]
		sharers--
	}
	return shares
}

// jain is Jain's index: 1 if all have the same, 1/n if one has all.
func jain(parts []float64) float64 {
	var sum, squares float64
	for _, p := range parts {
		sum += p
		squares += p * p
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(parts)) * squares)
}

// report is what a person reads of a trial.
func (h *history) report(name string) string {
	calls := h.cloud.Calls()
	var b strings.Builder
	all := 0
	for _, n := range h.due {
		all += n
	}
	fmt.Fprintf(&b, "\n%s: %d stations, %d records, a limit of %d requests a second for all\n\n", name, len(h.due), all, rate)
	rush := h.rush(calls)
	b.WriteString(plot(rush, h.back))
	if h.proveAll {
		b.WriteString("\nuntil the last proof:\n" + plot(calls, h.back))
	}
	n, refused := count(rush)
	asked, from := busiest(calls, h.back)
	fair, half := h.fairness(calls)
	fmt.Fprintf(&b, "\nfifty: requests %d, refused %d (%.1f %%)", n, refused, 100*float64(refused)/float64(max(n, 1)))
	n, refused = count(calls)
	fmt.Fprintf(&b, ", to the end %d and %d\n", n, refused)
	fmt.Fprintf(&b, "fifty: most in %s: %.0f, from %s on (the service takes %.0f)\n", window, asked, from.Round(time.Second), takes(window))
	fmt.Fprintf(&b, "fifty: half delivered after %s, all after %s; Jain's index at half %.3f\n", half.Round(time.Second), h.lastPost(calls).Round(time.Second), fair)
	fmt.Fprintf(&b, "fifty: at the end after %s %d records wait and %d are unproven\n", time.Since(h.back).Round(time.Second), h.waiting, h.unproven)
	return b.String()
}

// rush is the part until some minutes after the last record was delivered.
func (h *history) rush(calls []uplinktest.Call) []uplinktest.Call {
	end := h.back.Add(h.lastPost(calls) + rushAfter)
	n, _ := slices.BinarySearchFunc(calls, end, func(c uplinktest.Call, end time.Time) int { return c.At.Compare(end) })
	return calls[:n]
}

// lastPost is when the last records were taken.
func (h *history) lastPost(calls []uplinktest.Call) time.Duration {
	for _, c := range slices.Backward(calls) {
		if c.Status == 202 {
			return c.At.Sub(h.back)
		}
	}
	return 0
}

const (
	lines  = 40 // of a plot, at most
	column = 72
)

// plot draws the requests a second from the end of the outage on, as many seconds a line as it takes: P posts and V verifications
// that were answered, x refused by the limit. The limit is |.
func plot(calls []uplinktest.Call, back time.Time) string {
	if len(calls) == 0 {
		return "no request came\n"
	}
	span := calls[len(calls)-1].At.Sub(back)
	step := max(time.Second, (span/lines).Truncate(time.Second)+time.Second)
	bins := make([][3]int, int(span/step)+1) // posts, verifications, refused
	for _, c := range calls {
		kind := 1
		switch {
		case c.Status == 429:
			kind = 2
		case strings.HasPrefix(c.Path, "/api/v1/records"):
			kind = 0
		}
		bins[max(0, int(c.At.Sub(back)/step))][kind]++
	}
	highest := float64(rate)
	for _, b := range bins {
		highest = max(highest, float64(b[0]+b[1]+b[2])/step.Seconds())
	}
	each := max(highest/column, float64(rate)/column*2) // requests a second of a column
	var out strings.Builder
	fmt.Fprintf(&out, "  requests a second, %s a line, %.2g a column: P posts, V verifications, x refused, | the limit\n", step, each)
	for i, b := range bins {
		bar, sum := []byte{}, 0.0
		for kind, letter := range "PVx" {
			sum += float64(b[kind]) / step.Seconds()
			for float64(len(bar)) < math.Ceil(sum/each) && sum > 0 {
				bar = append(bar, byte(letter))
			}
		}
		limit := int(rate / each)
		for len(bar) <= limit {
			bar = append(bar, ' ')
		}
		bar[limit] = '|'
		fmt.Fprintf(&out, "%9s %6.1f %s\n", time.Duration(i)*step, sum, strings.TrimRight(string(bar), " "))
	}
	return out.String()
}
