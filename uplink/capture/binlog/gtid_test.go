package binlog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
)

const (
	uuid1 = "11111111-1111-1111-1111-111111111111"
	uuid2 = "22222222-2222-2222-2222-222222222222"
)

// Our set holds what the library's holds.
func TestExecutedAgreesWithTheLibrary(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		ours, theirs := &executed{}, mysql.NewMysqlGTIDSet()
		for range 60 {
			g := gtid{source: []string{uuid1, uuid2, uuid1 + ":tag"}[r.IntN(3)], number: uint64(1 + r.IntN(30))}
			if err := theirs.Update(g.String()); err != nil {
				t.Fatal(err)
			}
			ours.add(g)
			if !ours.has(g) {
				t.Fatalf("%s is not in %s", g, ours)
			}
			again, err := mysql.ParseMysqlGTIDSet(ours.String())
			if err != nil {
				t.Fatal(err)
			}
			if !again.Equal(&theirs) {
				t.Fatalf("seed %d: ours %s, theirs %s", seed, ours, theirs.String())
			}
			read, err := parseExecuted(theirs.String())
			if err != nil || read.String() != ours.String() {
				t.Fatalf("seed %d: read %s, want %s: %v", seed, read, ours, err)
			}
		}
	}
}

func TestWrongGTIDSets(t *testing.T) {
	for _, bad := range []string{"x", uuid1, uuid1 + ":0", uuid1 + ":5-4", uuid1 + ":-", "11111111:1"} {
		if set, err := parseExecuted(bad); err == nil {
			t.Errorf("%q was read as %s", bad, set)
		}
	}
	for _, bad := range []string{"1-2", "a-b-c"} {
		if _, err := parseMaria(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzExecuted(f *testing.F) {
	f.Add(uuid1 + ":1-5:7,\n" + uuid2 + ":tag:1-3:9")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := parseExecuted(text)
		if err != nil {
			return
		}
		if again, err := parseExecuted(set.String()); err != nil || again.String() != set.String() {
			t.Fatalf("%q: %s became %s: %v", text, set, again, err)
		}
	})
}

func TestSourceName(t *testing.T) {
	sid := []byte{0x24, 0xbc, 0x78, 0x50, 0x2c, 0x16, 0x11, 0xe6, 0xa0, 0x73, 0x02, 0x42, 0xac, 0x11, 0, 2}
	const want = "24bc7850-2c16-11e6-a073-0242ac110002"
	if got := sourceName(sid, ""); got != want {
		t.Error(got)
	}
	if got := fmt.Sprint(gtid{source: sourceName(sid, "tag"), number: 7}); got != want+":tag:7" {
		t.Error(got)
	}
}
