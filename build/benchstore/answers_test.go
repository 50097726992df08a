package benchstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"station-agent/store/record"
)

// hashing is how the service makes its hash of a record.
type hashing func(record.Record) string

// digest is how the stand-in does it: SHA-256 over the payload.
func digest(r record.Record) string {
	sum := sha256.Sum256(r.Payload)
	return hex.EncodeToString(sum[:])
}

// opaque is a hash that nobody can work out from the payload.
func opaque(r record.Record) string {
	sum := sha256.Sum256(append([]byte("salt "+r.Key), r.Payload...))
	return hex.EncodeToString(sum[:])
}

// accept answers a request as the service does. Without a hash it says no more than that all is taken.
func accept(head []record.Queued, at time.Time, hash hashing) []record.Delivery {
	list := make([]record.Delivery, len(head))
	for i, q := range head {
		list[i] = record.Delivery{Seq: q.Seq, Receipt: &record.Receipt{}}
		if hash != nil {
			list[i].Receipt.Hash = hash(q.Record)
			list[i].Receipt.AcceptedAt = at.Add(time.Duration(i/100) * time.Millisecond).Truncate(time.Millisecond)
		}
	}
	return list
}

// anchored answers verifications as the stand-in does.
func anchored(due []record.Unproven, hash hashing) []record.Look {
	list := make([]record.Look, len(due))
	for i, u := range due {
		h := hash(u.Record)
		text, err := json.Marshal(map[string]any{
			"verified": true, "verificationStatus": "pass", "reasonCategory": "verified_anchored", "anchoredOnChain": true,
			"snapshotHash": h, "computedPayloadHash": h,
		})
		if err != nil {
			panic(err) // strings and booleans can't fail
		}
		list[i] = record.Look{Seq: u.Seq, State: record.Anchored, Answer: append(text, '\n')}
	}
	return list
}
