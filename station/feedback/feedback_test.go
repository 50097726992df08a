package feedback

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"station-agent/store/record"
)

func book(t *testing.T, changed ...Pattern) *Book {
	t.Helper()
	b, err := NewBook(changed...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// constants reads the values of a type's constants from the source, so that a new one is not forgotten here.
func constants(t *testing.T, kind string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../store/record/scan.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range gen.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				continue
			}
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == kind {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
	}
	if len(values) < 10 {
		t.Fatalf("only %d constants of %s found", len(values), kind)
	}
	return values
}

func TestEveryVerdictAndEveryStepHasAPattern(t *testing.T) {
	b, needed := book(t), []string{}
	for _, v := range constants(t, "Verdict") {
		needed = append(needed, Of(record.Scan{Verdict: record.Verdict(v)}))
	}
	for _, s := range constants(t, "Step") {
		for _, v := range []record.Verdict{record.Accepted, record.AcceptedOffline} {
			needed = append(needed, Of(record.Scan{Verdict: v, Step: record.Step(s)}))
		}
	}
	for _, signal := range needed {
		if !b.Has(signal) {
			t.Errorf("no pattern for %q", signal)
		}
	}
	if n := len(b.Patterns()); n != len(b.patterns) || n != len(Defaults()) {
		t.Errorf("%d patterns listed, %d in the book, %d defaults: one stands twice", n, len(b.patterns), len(Defaults()))
	}
}

func TestTheSignalOfAScan(t *testing.T) {
	for want, s := range map[string]record.Scan{
		"accepted":                     {Verdict: record.Accepted, Step: record.Added},
		"accepted offline":             {Verdict: record.AcceptedOffline, Step: record.Added},
		"accepted offline, unverified": {Verdict: record.Unverified, Step: record.Added},
		"opened":                       {Verdict: record.AcceptedOffline, Step: record.Opened},
		"table not empty":              {Verdict: record.Accepted, Step: record.Opened, NotEmpty: 2},
		"timed out":                    {Verdict: record.TimedOut, Step: record.Closed},
		"fault":                        {Verdict: record.Fault},
	} {
		if got := Of(s); got != want {
			t.Errorf("%+v is %q, not %q", s, got, want)
		}
	}
}

// timeline is what a lamp post shows of a state, each 10 ms.
func timeline(b *Book, s State, has [channels]bool) (frames []Frame) {
	for t := time.Duration(0); t < 4*time.Second; t += 10 * ms {
		f, _ := b.Look(s, t)
		frames = append(frames, f.On(has))
	}
	return frames
}

func all() (has [channels]bool) {
	for c := range has {
		has[c] = true
	}
	return has
}

// standing are those that are no events.
func standing() []string { return []string{Idle, Open, Offline, CallBack} }

// start is a state in which the signal is just beginning.
func (b *Book) start(signal string) State {
	if slices.Contains(standing(), signal) {
		return b.Stand(State{}, signal, true, 0)
	}
	return State{}.Event(signal, 3, 0)
}

// TestNoPatternDiffersByColourOrPitchAlone looks as somebody does who sees no colours, and hears a buzzer that has one pitch; and as
// somebody who hears nothing at all.
func TestNoPatternDiffersByColourOrPitchAlone(t *testing.T) {
	b := book(t)
	same := []string{"unknown", "ambiguous", "contradiction"} // one act: find out which item it is
	lit := func(f Frame) bool { return f[Red]+f[Yellow]+f[Green]+f[Blue]+f[White] > 0 }
	signals := b.Patterns()
	for i, p := range signals {
		for _, q := range signals[:i] {
			if slices.Contains(same, p.Signal) && slices.Contains(same, q.Signal) || p.Signal == q.Signal {
				continue
			}
			x, y := timeline(b, b.start(p.Signal), all()), timeline(b, b.start(q.Signal), all())
			blind, deaf := 0, 0
			for n := range x {
				if lit(x[n]) != lit(y[n]) || (x[n][Buzzer] > 0) != (y[n][Buzzer] > 0) {
					blind++
				}
				x[n][Buzzer], y[n][Buzzer] = 0, 0
				if x[n] != y[n] {
					deaf++
				}
			}
			if blind < 10 || deaf < 10 {
				t.Errorf("%q and %q differ for %d ms without colour and pitch, for %d ms without sound", p.Signal, q.Signal, 10*blind, 10*deaf)
			}
		}
	}
}

func TestWhatIsShownForLongMoves(t *testing.T) {
	b := book(t)
	for _, p := range b.Patterns() {
		if p.Lasts > 0 && p.Lasts <= 4*time.Second {
			continue
		}
		frames := timeline(b, b.start(p.Signal), all())
		for n := range frames {
			frames[n][Buzzer] = 0
		}
		if still := slices.MaxFunc(runs(frames), func(a, b int) int { return a - b }); still > 300 {
			t.Errorf("%q stands still for %d ms", p.Signal, 10*still)
		}
	}
}

// runs gives how many frames at a time are the same.
func runs(frames []Frame) (lengths []int) {
	n := 1
	for i := 1; i < len(frames); i++ {
		if frames[i] == frames[i-1] {
			n++
			continue
		}
		lengths, n = append(lengths, n), 1
	}
	return append(lengths, n)
}

func TestFewTonesInTheRangeThatIsHeard(t *testing.T) {
	tones := map[int]bool{}
	for _, p := range book(t).patterns {
		for _, beat := range p.lanes[Buzzer].beats {
			if beat.level > 0 {
				tones[beat.level] = true
			}
		}
	}
	for hertz := range tones {
		if hertz < 500 || hertz > 3000 {
			t.Errorf("%d Hz", hertz)
		}
	}
	if len(tones) != 4 {
		t.Errorf("tones: %v", tones)
	}
}

func TestANewScanPreemptsAndAFaultStaysBeneath(t *testing.T) {
	b := book(t)
	s := b.Stand(State{}, Idle, true, 0)
	s = b.Stand(s, Broken, true, time.Second)
	s = s.Event("unknown", 0, 2*time.Second)
	s = s.Event("accepted", 0, 2100*ms)
	for at, want := range map[time.Duration]string{
		2200 * ms: "accepted", 2699 * ms: "accepted", 2700 * ms: "fault", time.Hour: "fault",
	} {
		if got := b.Shown(s, at); got != want {
			t.Errorf("at %v: %q, not %q", at, got, want)
		}
	}
	s = b.Stand(s, Broken, false, time.Hour)
	if got := b.Shown(s, time.Hour); got != Idle {
		t.Errorf("after the fault: %q", got)
	}
}

func TestARefusalStaysUntilTheNextScanButBeneathAFault(t *testing.T) {
	b := book(t)
	s := b.Stand(State{}, Open, true, 0).Event("unknown", 0, time.Second)
	if got := b.Shown(s, time.Hour); got != Refused {
		t.Errorf("an hour later: %q", got)
	}
	if got := b.Shown(b.Stand(s, CallBack, true, 2*time.Second), time.Hour); got != CallBack {
		t.Errorf("with a call-back: %q", got)
	}
	if got := b.Shown(s.Event("accepted", 0, time.Minute), time.Hour); got != Open {
		t.Errorf("after the next scan: %q", got)
	}
}

func TestAConflictMayBeOverriddenForAWhile(t *testing.T) {
	b := book(t)
	s := State{}.Event("conflict", 0, 0)
	for at, want := range map[time.Duration]string{time.Second: "conflict", 2 * time.Second: Overridable, 11 * time.Second: Overridable, 12 * time.Second: Refused} {
		if got := b.Shown(s, at); got != want {
			t.Errorf("at %v: %q, not %q", at, got, want)
		}
	}
}

func TestAClosedPackageIsCounted(t *testing.T) {
	b := book(t)
	for n, want := range map[int]int{0: 0, 1: 1, 5: 5, 12: 12, 500: mostCounted} {
		s, flashes, was, at := State{}.Event("closed", n, 0), 0, 0, time.Duration(0)
		for at < time.Minute {
			f, until := b.Look(s, at)
			if f[Blue] > was {
				flashes++
			}
			if was, at = f[Blue], until; until == Never {
				break
			}
		}
		if flashes != want {
			t.Errorf("%d items: %d flashes", n, flashes)
		}
	}
	if got := b.Shown(State{}.Event("listed", 2, 0), 3*time.Second); got != Second {
		t.Errorf("after a listing of 2: %q", got)
	}
}

// TestLookNamesTheNextChange walks from change to change and holds that nothing changes in between.
func TestLookNamesTheNextChange(t *testing.T) {
	b := book(t)
	for _, p := range b.Patterns() {
		s := b.Stand(b.Stand(State{}, Idle, true, 0), Offline, true, 70*ms).Event(p.Signal, 2, 100*ms)
		f, until := b.Look(s, 0)
		for at := time.Duration(0); at < 15*time.Second; at += 10 * ms {
			for until <= at {
				was := until
				if f, until = b.Look(s, until); until <= was {
					t.Fatalf("%q: at %v the next change is %v", p.Signal, was, until)
				}
			}
			if now, _ := b.Look(s, at); now != f && at >= 100*ms {
				t.Fatalf("%q at %v: %v, and the last change was to %v", p.Signal, at, now, f)
			}
		}
	}
}

func TestMuteSilencesWhatStandsUntilSomethingNew(t *testing.T) {
	b := book(t)
	sounds := func(s State, from time.Duration) bool {
		for at := from; at < from+12*time.Second; at += 10 * ms {
			if f, _ := b.Look(s, at); f[Buzzer] > 0 {
				return true
			}
		}
		return false
	}
	s := b.Stand(State{}, Broken, true, 0)
	if !sounds(s, 0) || sounds(s.Mute(true), 0) || !sounds(s.Mute(true).Mute(false), 0) {
		t.Error("a fault is not muted, or not heard")
	}
	if !sounds(s.Mute(true).Event("accepted", 0, 0), 0) {
		t.Error("a verdict is muted, too")
	}
	if s = b.Stand(s.Mute(true), CallBack, true, time.Second); s.Muted() {
		t.Error("what is new is muted")
	}
	if s = b.Stand(s.Mute(true), Idle, true, time.Second); !s.Muted() {
		t.Error("what makes no sound ends the muting")
	}
}

func TestAScanEndsTheLampTest(t *testing.T) {
	b := book(t)
	s := b.Stand(State{}, Broken, true, 0).Test(0)
	seen := Frame{}
	for at := time.Duration(0); at < 3600*ms; at += 10 * ms {
		f, _ := b.Look(s, at)
		for c := range f {
			seen[c] = max(seen[c], f[c])
		}
	}
	if slices.Contains(seen[:], 0) {
		t.Errorf("the test leaves something out: %v", seen)
	}
	if got := b.Shown(s, 3600*ms); got != Broken {
		t.Errorf("after the test: %q", got)
	}
	if got := b.Shown(s.Event("accepted", 0, 100*ms), 200*ms); got != "accepted" {
		t.Errorf("a scan during the test: %q", got)
	}
}

func TestALampThatIsMissingHasAStandIn(t *testing.T) {
	post := func(list ...Channel) (has [channels]bool) {
		for _, c := range list {
			has[c] = true
		}
		return has
	}
	for _, c := range []struct {
		on   Channel
		has  [channels]bool
		want Frame
	}{
		{White, post(Red, Yellow, Green), Frame{Green: 1}},
		{Blue, post(Red, Yellow, Green), Frame{Yellow: 1}},
		{Blue, all(), Frame{Blue: 1}},
		{Red, post(Buzzer), Frame{}},
		{Buzzer, post(Red), Frame{}},
	} {
		var f Frame
		f[c.on] = 1
		if got := f.On(c.has); got != c.want {
			t.Errorf("%s on %v: %v", ChannelNames()[c.on], c.has, got)
		}
	}
	b := book(t) // with lamps of any single colour each pattern is seen
	for c := Red; c <= White; c++ {
		for _, p := range b.Patterns() {
			if !slices.ContainsFunc(timeline(b, b.start(p.Signal), post(c)), func(f Frame) bool { return f[c] > 0 }) {
				t.Errorf("%q is not seen with a %s lamp alone", p.Signal, ChannelNames()[c])
			}
		}
	}
}

func TestASiteChangesAPattern(t *testing.T) {
	b := book(t, Pattern{Signal: "accepted", White: "on", Lasts: time.Second, Priority: 90})
	f, until := b.Look(State{}.Event("accepted", 0, 0), 0)
	if f != (Frame{White: 1}) || until != time.Second {
		t.Errorf("%v until %v", f, until)
	}
	for name, p := range map[string]Pattern{
		`pattern "accepted": green: `:                               {Signal: "accepted", Green: "x"},
		`pattern "accepted": is followed by "nothing", which is`:    {Signal: "accepted", Lasts: 1, Then: "nothing"},
		`pattern "accepted": what follows it comes back`:            {Signal: "accepted", Lasts: 1, Then: "accepted"},
		`pattern "accepted": is followed by "refused" and must say`: {Signal: "accepted", Then: "refused"},
		`pattern "count": counts, and must`:                         {Signal: "count", Counts: true},
		`pattern "accepted": lasts 1h0m0s`:                          {Signal: "accepted", Lasts: time.Hour},
		`pattern "accepted": red: flashes more`:                     {Signal: "accepted", Red: "100 100 repeat"},
	} {
		if _, err := NewBook(p); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
