package haul

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"station-agent/build/goods"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
)

// TestSinkNoticesMissingAndDoubled posts records as the agent does, in bulk and one by one, and holds that the sink can count:
// without that the bench would measure how fast records get lost.
func TestSinkNoticesMissingAndDoubled(t *testing.T) {
	const n = 20
	for _, c := range []struct {
		name  string
		spoil func(list []record.Record) []record.Record
		want  Report
	}{
		{"all", func(list []record.Record) []record.Record { return list }, Report{Records: n}},
		{"one is missing", func(list []record.Record) []record.Record { return append(list[:7], list[8:]...) }, Report{Records: n - 1, Missing: 1}},
		{"one comes again", func(list []record.Record) []record.Record { return append(list, list[3]) }, Report{Records: n + 1, Doubled: 1}},
		{"one comes again instead of another", func(list []record.Record) []record.Record { list[5] = list[4]; return list },
			Report{Records: n, Missing: 1, Doubled: 1}},
		{"one has a key of its own", func(list []record.Record) []record.Record { list[5].Key += "x"; return list },
			Report{Records: n, Missing: 1, Strange: 1}},
	} {
		for i := range 4 {
			together, blind := i < 2, i%2 == 0
			t.Run(fmt.Sprint(c.name, i), func(t *testing.T) {
				list := goods.New(0).Group(n).Records
				keys, kept := filepath.Join(t.TempDir(), "keys"), t.TempDir()
				var due strings.Builder
				for _, r := range list {
					fmt.Fprintln(&due, r.Key)
				}
				must(t, os.WriteFile(keys, []byte(due.String()), 0o600))
				server := httptest.NewServer((&sink{}).routes())
				defer server.Close()
				resp, err := http.Post(server.URL+"/reset?keep="+url.QueryEscape(kept)+"&blind="+strconv.FormatBool(blind), "", nil)
				must(t, err)
				resp.Body.Close()
				list = c.spoil(list)
				post(t, server.URL, list, together, c.want.Doubled > 0)
				got := ask(t, server.URL, keys)
				if (got.Check(n) == nil) != (c.name == "all") {
					t.Errorf("the sink says %v", got.Check(n))
				}
				if bodies, _ := filepath.Glob(filepath.Join(kept, "*")); len(bodies) != got.Posts {
					t.Errorf("%d bodies were kept of %d", len(bodies), got.Posts)
				}
				if got.First.IsZero() {
					t.Error("nothing says when the first record came")
				}
				got.Posts, got.First, got.Refused = 0, c.want.First, nil
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("the sink reports %+v, want %+v", got, c.want)
				}
			})
		}
	}
}

// post posts list, in one request or one by one, and demands a receipt for each record; not of a request that has one twice, which
// the client takes no answer for.
func post(t *testing.T, address string, list []record.Record, together, twice bool) {
	client := certyo.New(certyo.Config{URL: address, Tenant: "tovarna", Key: func() (string, error) { return "certyo_sk_test", nil }})
	size := 1
	if together {
		size = len(list)
	}
	hashes := map[string]bool{}
	for ; len(list) > 0; list = list[size:] {
		answers, err := client.Post(t.Context(), list[:size])
		must(t, err)
		for i, a := range answers {
			switch {
			case together && twice:
			case a.Receipt == nil || a.Receipt.AcceptedAt.IsZero() || len(a.Receipt.Hash) != 64 || hashes[a.Receipt.Hash] && !twice:
				t.Errorf("record %d of %d has the receipt %+v: %s", i, size, a.Receipt, a.Open)
			default:
				hashes[a.Receipt.Hash] = true
			}
		}
	}
}

func ask(t *testing.T, address, keys string) (r Report) {
	resp, err := http.Get(address + "/report?keys=" + url.QueryEscape(keys))
	must(t, err)
	defer resp.Body.Close()
	must(t, json.NewDecoder(resp.Body).Decode(&r))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
