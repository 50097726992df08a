package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"station-agent/store/record"
)

// longestID is the longest transaction identity that stands in a key as it is: a GTID with the longest tag has 90 bytes. A
// longer one (server, file and position with a long file name) is hashed, so that every key has less than 200 bytes.
const longestID = 120

func changeKey(tx string, at time.Time, ordinal int, part string) string {
	if len(tx) > longestID {
		sum := sha256.Sum256([]byte(tx))
		tx = hex.EncodeToString(sum[:])
	}
	var room [200]byte // which every key fits into
	b := append(append(room[:0], "b:"...), tx...)
	b = strconv.AppendInt(append(b, '/'), at.UnixMicro(), 10)
	b = strconv.AppendInt(append(b, '/'), int64(ordinal), 10)
	return string(append(b, part...))
}

// foundKey is the key of a state that was found. A long id is hashed.
func foundKey(run, collection, id string) string {
	if len(id) > longestID {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return record.FoundPrefix + run + "/" + collection + "/" + id
}

// missingKey is the key of a row that a sweep didn't find any more: it may have found it before, as a chunk of rows comes first.
func missingKey(run, collection, id string) string { return foundKey(run+"-", collection, id) }

// polledKey is the key of a state that a poll found: by the time that the table gives it, its content and the state that it
// replaced with its version, so that a row that goes to and fro within a second has a key for each state that was seen.
func polledKey(collection, id string, at time.Time, payload []byte, replaced *record.ShadowRow) string {
	was := ""
	if replaced != nil {
		was = digest([]byte(replaced.Version), []byte(cond(replaced.Gone)), replaced.Payload)
	}
	if len(id) > longestID {
		id = digest([]byte(id))
	}
	return "p:" + collection + "/" + id + "/" + strconv.FormatInt(at.UnixMicro(), 10) + "/" + digest(payload) + "/" + was
}

func cond(gone bool) string {
	if gone {
		return "/gone/"
	}
	return "/"
}

// digest is the first half of the SHA-256 over the parts, in hexadecimal.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// nextVersion is the recordVersion that follows held at tick.
func nextVersion(held *record.ShadowRow, tick int64) string {
	if held != nil {
		if v, err := strconv.ParseInt(held.Version, 10, 64); err == nil && v >= tick {
			tick = v + 1
		}
	}
	return strconv.FormatInt(tick, 10)
}
