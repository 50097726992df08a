package certyo

import (
	"encoding/json"
	"testing"

	"station-agent/store/record"
)

// A kept answer is weighed as one that comes now: it proves nothing that is about another record, version or hash.
func TestAKeptAnswerIsWeighedAnew(t *testing.T) {
	u := record.Unproven{Record: record.Record{ID: "a", Version: "7"}, Receipt: record.Receipt{Hash: "sha256:AB"}}
	for answer, want := range map[string][3]string{
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"ab","computedPayloadHash":"sha256:ab"}`: {"anchored", "ab", "sha256:ab"},
		`{"verified":true,"anchoredOnChain":true}`:                                                       {"anchored", "", ""},
		`{"verified":true,"anchoredOnChain":true,"recordId":"b"}`:                                        {"superseded", "", ""},
		`{"verified":true,"anchoredOnChain":true,"recordVersion":"8"}`:                                   {"superseded", "", ""},
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"cd"}`:                                   {"superseded", "cd", ""},
		`{"verified":false,"anchoredOnChain":false}`:                                                     {"pending", "", ""},
		`{"verified":false,"anchoredOnChain":true,"snapshotHash":"cd","computedPayloadHash":"ab"}`:       {"mismatch", "cd", "ab"},
		`"words"`: {"unclear", "", ""},
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"root","record":{"recordId":"a","recordVersion":7,"recordHash":"ab"}}`: {"anchored", "ab", ""},
		`{"verified":true,"anchoredOnChain":true,"record":{"recordId":"a","recordHash":"cd"}}`:                                         {"superseded", "cd", ""},
		`{"verified":true,"anchoredOnChain":true,"record":{"recordId":"b","recordHash":"ab"}}`:                                         {"superseded", "ab", ""},
		`{"verified":true,"anchoredOnChain":true,"record":{"recordId":"a","recordVersion":"8","recordHash":"ab"}}`:                     {"superseded", "ab", ""},
	} {
		says, stored, computed := Weigh(u, json.RawMessage(answer))
		if got := [3]string{string(says), stored, computed}; got != want {
			t.Errorf("%s: %q, want %q", answer, got, want)
		}
	}
}
