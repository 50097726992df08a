package certyo

import (
	"encoding/json"

	"station-agent/store/record"
)

// Weigh tells what an answer that was kept says of u, as Verify would of an answer that comes now, and the two hashes that it may
// name: that of what Certyo has, and that of the payload that was sent along; "" if it doesn't. An answer about a snapshot, kept with
// what it says of u in "record", speaks for u if that names it with the hash of its receipt.
func Weigh(u record.Unproven, answer json.RawMessage) (says record.Anchoring, stored, computed string) {
	p := readProof(answer)
	says = p.judge()
	var of struct {
		Record *struct {
			ID      loose `json:"recordId"`
			Version loose `json:"recordVersion"`
			Hash    loose `json:"recordHash"`
		} `json:"record"`
	}
	if json.Unmarshal(answer, &of) == nil && of.Record != nil {
		r := of.Record
		if string(r.ID) != u.Record.ID || r.Version != "" && string(r.Version) != u.Record.Version || normal(r.Hash) != normal(loose(u.Receipt.Hash)) {
			says = record.Overtaken
		}
		return says, string(r.Hash), ""
	}
	if p.other(u) {
		says = record.Overtaken
	}
	return says, string(p.stored), string(p.computed)
}

// About tells which record and which version of it an answer to Verify names, "" where it doesn't.
func About(answer json.RawMessage) (id, version string) {
	p := readProof(answer)
	return string(p.id), string(p.version)
}
