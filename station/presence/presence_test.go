package presence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// play runs a script against a filter, one step a line: the time in ms, then
//
//	CODE [RSSI] [ANTENNA]    a read of the reader r, or s if CODE begins with s
//	tick | baseline | lost | back | excuse MS
//
// and gives what came of it: "1200 +a", "4000 -a".
func play(t *testing.T, c Config, script string) string {
	t.Helper()
	f := New(c)
	var out []string
	for line := range strings.Lines(script) {
		word := strings.Fields(line)
		if len(word) == 0 {
			continue
		}
		n := [3]int{}
		for i, w := range append(slices.Clone(word[2:]), word[0]) {
			if _, err := fmt.Sscan(w, &n[min(i, 2)]); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		var at int
		if _, err := fmt.Sscan(word[0], &at); err != nil {
			t.Fatal(err)
		}
		now := time.Duration(at) * ms
		switch word[1] {
		case "tick":
			for _, e := range f.Tick(now) {
				out = append(out, fmt.Sprintf("%d -%s", at, e.Code))
			}
		case "baseline":
			f.Baseline(now)
		case "lost":
			f.Lost("r", now)
		case "back":
			f.Back("r", now)
		case "excuse":
			f.Excuse(time.Duration(n[0]) * ms)
		case "tags":
			out = append(out, fmt.Sprintf("%d %v", at, f.Tags(now)))
		default:
			r := Read{Reader: word[1][:1], Code: word[1][1:], At: now}
			if len(word) > 2 {
				r.RSSI = n[0]
			}
			if len(word) > 3 {
				r.Antenna = n[1]
			}
			for _, e := range f.Feed(r) {
				if e.Kind == Left {
					out = append(out, fmt.Sprintf("%d -%s", at, e.Code))
					continue
				}
				if e.Kind != Came || e.Code != r.Code || e.Reader != r.Reader || e.Antenna != r.Antenna || e.At != now {
					t.Errorf("%q: %+v", line, e)
				}
				out = append(out, fmt.Sprintf("%d +%s", at, e.Code))
			}
		}
	}
	return strings.Join(out, ", ")
}

func TestPresence(t *testing.T) {
	twice := Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 2}}}
	strong := Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Limit: Limit{-55, -60}, Antennas: map[int]Limit{2: {-40, -45}}}}}
	simple := Config{Began: -time.Hour}
	for _, c := range []struct {
		name   string
		c      Config
		script string
		want   string
	}{
		{"one presentation comes once", simple, "0 ra\n 500 ra\n 2400 ra\n 4400 ra\n 4400 tick", "0 +a"},
		{"another one counts", simple, "0 ra\n 2000 ra\n 4001 ra", "0 +a, 4001 -a, 4001 +a"},
		{"it leaves when it was not seen for a while", simple, "0 ra\n 1000 ra\n 3000 tick\n 3001 tick\n 3002 tick", "0 +a, 3001 -a"},
		{"two readers see one presentation", simple, "0 ra\n 100 sa\n 1900 sa\n 3800 ra", "0 +a"},
		{"a stray sight is none", twice, "0 ra\n 301 ra\n 700 ra\n 3000 tick", ""},
		{"two in time are enough", twice, "0 ra\n 400 ra\n 700 ra", "700 +a"},
		{"each code for itself", twice, "0 ra\n 10 rb\n 20 ra", "20 +a"},
		{"a reader without rules needs one", twice, "0 sa", "0 +a"},
		{"it must show again as often after it left", twice, "0 ra\n 10 ra\n 5000 ra\n 5010 ra", "10 +a, 5000 -a, 5010 +a"},
		{"three that slide", Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 3, Within: 300 * ms}}}, "0 ra\n 250 ra\n 310 ra\n 350 ra", "350 +a"},

		{"weak sights don't come", strong, "0 ra -56\n 10 ra -61\n 20 ra -90\n", ""},
		{"strong ones do", strong, "0 ra -55", "0 +a"},
		{"no flicker at the edge", strong, "0 ra -55\n 1900 ra -60\n 3800 ra -58\n 5700 ra -55\n 5800 tick", "0 +a"},
		{"too weak to stay", strong, "0 ra -55\n 1000 ra -61\n 2001 tick\n 2002 ra -57\n 2003 ra -54", "0 +a, 2001 -a, 2003 +a"},
		{"an antenna's own limit", strong, "0 ra -50 2\n 10 rb -50 1\n 20 ra -40 2", "10 +b, 20 +a"},
		{"no strength told is strong enough", Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Limit: Limit{70, 60}}}}, "0 rb 69\n 0 ra\n 10 rb 70", "0 +a, 10 +b"},

		{"the baseline doesn't come", simple, "0 ra\n 100 baseline\n 200 ra\n 4000 ra", "0 +a, 4000 -a, 4000 +a"},
		{"nor what was only glimpsed", twice, "0 ra\n 50 baseline\n 100 ra\n 200 ra\n 300 rb\n 400 rb\n 2150 ra\n 2300 ra\n 4000 tick\n 4301 tick\n 4400 ra\n 4500 ra", "400 +b, 4000 -b, 4301 -a, 4500 +a"},
		{"nor what was weak", strong, "0 ra -58\n 50 baseline\n 100 ra -50\n 2000 tick\n 2101 tick\n 2200 ra -50", "2101 -a, 2200 +a"},
		{"what was too weak to stay is none of it", strong, "0 ra -61\n 50 baseline\n 100 ra -50", "100 +a"},
		{"what had left is none of it", simple, "0 ra\n 2001 baseline\n 2002 ra", "0 +a, 2002 -a, 2002 +a"},
		{"what was glimpsed and left is none of it", twice, "0 ra\n 2001 baseline\n 2002 tick", ""},
		{"what a baseline takes in is listed", twice, "0 ra\n 10 rb\n 20 rb\n 100 tags\n 2005 tags\n 2015 tags\n 2021 tags", "20 +b, 100 [a b], 2005 [b], 2015 [b], 2021 []"},

		{"what a reader sees first lay there", Config{}, "1000 ra\n 2900 rb\n 3001 rc\n 3100 sd\n 5200 te", "3001 +c, 5200 +e"},

		{"nothing leaves while the reader is lost", simple, "0 ra\n 1000 lost\n 60000 tick\n 60000 tags\n 60100 ra\n 61900 tick", "0 +a, 60000 [a]"},
		{"nor while it gets on its feet", simple, "0 ra\n 1000 lost\n 60000 back\n 64900 tick\n 64950 ra\n 66900 ra", "0 +a"},
		{"then absence counts from where it stood", simple, "0 ra\n 1000 lost\n 60000 back\n 65000 tick\n 66000 tick\n 66001 tick", "0 +a, 66001 -a"},
		{"its first read ends that", simple, "0 ra\n 1000 lost\n 60000 back\n 61000 ra\n 63000 tick\n 63001 tick", "0 +a, 63001 -a"},
		{"what was taken away meanwhile comes again", simple, "0 ra\n 1000 lost\n 60000 back\n 90000 ra", "0 +a, 90000 -a, 90000 +a"},
		{"without a word that it is back its first read says so", simple, "0 ra\n 1000 lost\n 60000 rb\n 60900 tick\n 61001 tick", "0 +a, 60000 +b, 61001 -a"},
		{"lost again while getting on its feet", simple, "0 ra\n 1000 lost\n 60000 back\n 61000 lost\n 90000 tick\n 90100 ra", "0 +a"},
		{"what had left before has left", simple, "0 ra\n 3000 lost\n 60000 ra", "0 +a, 60000 -a, 60000 +a"},
		{"another reader's tags go on", simple, "0 ra\n 0 sb\n 1000 lost\n 2001 tick", "0 +a, 0 +b, 2001 -b"},
		{"and aren't older for it", simple, "0 ra\n 1000 lost\n 59000 sb\n 60000 ra\n 61001 tick", "0 +a, 59000 +b, 61001 -b"},
		{"a reader that is lost before it read anything", simple, "0 lost\n 10 back\n 20 ra", "20 +a"},
		{"nothing leaves while the caller is held up", simple, "0 ra\n 4000 excuse 3000\n 4500 tick\n 4900 ra\n 6901 tick", "0 +a, 6901 -a"},
		{"time that runs backwards", simple, "1000 ra\n 500 ra\n 3000 tick\n 3001 tick", "1000 +a, 3001 -a"},
	} {
		if got := play(t, c.c, c.script); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f := New(Config{Began: -time.Hour, Most: 100})
	for n := range 10_000 {
		if e := f.Feed(Read{Reader: "r", Code: fmt.Sprint(n), At: time.Duration(n) * time.Microsecond}); (len(e) == 1) != (n < 100) {
			t.Fatalf("tag %d: %v", n, e)
		}
	}
	if len(f.tags) != 100 {
		t.Fatal(len(f.tags))
	}
	if e := f.Feed(Read{Reader: "r", Code: "late", At: 10 * time.Second}); len(e) != 101 || e[100].Kind != Came || len(f.tags) != 1 {
		t.Errorf("the others have left long ago: %d events, %d kept", len(e), len(f.tags))
	}
}

// TestRoomIsLookedForNowAndThen: a reader gone mad names a new tag each millisecond. Going through all that are known for each of them
// would take a whole core.
func TestRoomIsLookedForNowAndThen(t *testing.T) {
	f := New(Config{Began: -time.Hour, Most: 100})
	looked, came := 0, 0
	for n := range 10_000 {
		events := f.Feed(Read{Reader: "r", Code: fmt.Sprint(n), At: time.Duration(n) * ms})
		if len(events) > 0 && events[0].Kind == Left {
			looked++
		}
		if len(events) > 0 && events[len(events)-1].Kind == Came {
			came++
		}
	}
	if most := 10_000 / 2_000 * sweeps; looked > most || came < 400 {
		t.Errorf("room was looked for and found %d times in 10 s, at most %d wanted; %d tags came", looked, most, came)
	}
}

// TestWhatIsReadOftenEnoughComesOnceAndLeavesOnce, whatever random tags do beside it and whoever asks meanwhile.
func TestWhatIsReadOftenEnoughComesOnceAndLeavesOnce(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := New(Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 2}}})
		comes, last, now := map[string]int{}, map[string]time.Duration{}, time.Duration(0)
		here := map[string]bool{}
		for range 5000 {
			now += time.Duration(r.IntN(40)) * ms
			code := string(rune('a' + r.IntN(3+r.IntN(20))))
			hear := func(events []Event) {
				for _, e := range events {
					left := e.Kind == Left
					if left != here[e.Code] || left && (now-last[e.Code] <= 2*time.Second || e.At != last[e.Code]) || !left && e.Code != code {
						t.Fatalf("seed %d: %+v at %v, last read at %v", seed, e, now, last[e.Code])
					}
					here[e.Code] = !left
					comes[e.Code]++
				}
			}
			hear(f.Feed(Read{Reader: "r", Code: code, RSSI: -r.IntN(90), At: now}))
			last[code] = now
			if r.IntN(3) == 0 {
				f.Tags(now)
				hear(f.Tick(now))
			}
		}
		if comes["a"] == 0 {
			t.Fatalf("seed %d: nothing came", seed)
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	f := New(Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 2}}})
	codes := make([]string, 500)
	for n := range codes {
		codes[n] = fmt.Sprintf("3074257BF7194E40%08X", n)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		f.Feed(Read{Reader: "r", Antenna: 1, Code: codes[n%500], RSSI: -50, At: time.Duration(n) * ms})
		n++
	}
}

// TestTagsCameThatShareTheirAntennaWithMany: of many tags each is seen seldom, and a reader that is asked tells all of them at once, after
// a second. A stray one among them is still told from those that lie there.
func TestTagsCameThatShareTheirAntennaWithMany(t *testing.T) {
	for name, c := range map[string]struct {
		tags  int
		round time.Duration // in which each is seen once
		asked bool          // all of them at its end
	}{
		"a thousand sights a second": {500, 500 * ms, false},
		"forty sights a second":      {30, 750 * ms, false},
		"asked":                      {40, time.Second, true},
		"few":                        {3, 100 * ms, false},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		f := New(Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 2}}})
		came := map[string]bool{}
		feed := func(code string, at time.Duration) {
			for _, e := range f.Feed(Read{Reader: "r", Code: code, At: at}) {
				came[e.Code] = true
			}
		}
		for round := range 8 {
			began := time.Duration(round) * c.round
			for n, tag := range r.Perm(c.tags) {
				at := began
				if !c.asked {
					at += c.round * time.Duration(n) / time.Duration(c.tags)
				}
				feed(fmt.Sprint("lies ", tag), at)
			}
			feed(fmt.Sprint("once ", round), began)
			if s := 1900 * ms; began/s != (began-c.round)/s && c.round <= 500*ms {
				feed("stray", began)
			}
		}
		if len(came) != c.tags {
			t.Errorf("%s: %d of %d came", name, len(came), c.tags)
		}
		for round := range 8 {
			if came[fmt.Sprint("once ", round)] {
				t.Errorf("%s: a single sight counts", name)
			}
		}
	}
	// strays alone, of a neighbour
	f := New(Config{Began: -time.Hour, Readers: map[string]Reader{"r": {Reads: 2}}})
	for at := time.Duration(0); at < time.Minute; at += 300 * ms {
		if e := f.Feed(Read{Reader: "r", Code: fmt.Sprint(at / (300 * ms) % 5), At: at}); len(e) > 0 {
			t.Errorf("a stray came: %+v", e)
		}
	}
}
