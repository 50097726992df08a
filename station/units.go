package station

import (
	"cmp"
	"maps"
	"slices"
)

// maxUnits is how many serial numbers are remembered: more than a shift. Beyond, the oldest half is forgotten.
const maxUnits = 2048

// units tells which item each code with a serial number named: that one and no other, whatever becomes of the package. It is
// never changed in place, so that states can share it. The zero value is empty.
type units struct {
	byCode map[string]claim
	byHash map[string]string // the code
	added  uint64
}

type claim struct {
	hash string
	age  uint64 // increasing
}

// hash is the item that the code named, "" if it named none.
func (u units) hash(code string) string { return u.byCode[code].hash }

// claimed tells whether another code than this one named the item.
func (u units) claimed(hash, code string) bool {
	c := u.byHash[hash]
	return c != "" && c != code
}

// with adds a unit.
func (u units) with(code, hash string) units {
	u = u.without(hash)
	if len(u.byCode) >= maxUnits {
		u.forget()
	}
	if u.byCode == nil {
		u.byCode, u.byHash = map[string]claim{}, map[string]string{}
	}
	u.added++
	delete(u.byHash, u.byCode[code].hash)
	u.byCode[code], u.byHash[hash] = claim{hash, u.added}, code
	return u
}

// without forgets what named the item. The result can be changed.
func (u units) without(hash string) units {
	u.byCode, u.byHash = maps.Clone(u.byCode), maps.Clone(u.byHash)
	delete(u.byCode, u.byHash[hash])
	delete(u.byHash, hash)
	return u
}

// forget drops the oldest half.
func (u units) forget() {
	codes := slices.SortedFunc(maps.Keys(u.byCode), func(a, b string) int { return cmp.Compare(u.byCode[a].age, u.byCode[b].age) })
	for _, code := range codes[:len(codes)/2] {
		delete(u.byHash, u.byCode[code].hash)
		delete(u.byCode, code)
	}
}
