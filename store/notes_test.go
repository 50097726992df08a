package store

import (
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A note outlives the store's closing, a newer one replaces it, and one that is damaged is none.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if v, err := s.DB.LoadNote("layout/a.b"); v != nil || err != nil {
		t.Fatalf("%q %v", v, err)
	}
	ok(t, s.DB.SaveNote("layout/a.b", []byte("one")))
	ok(t, s.DB.SaveNote("replica", []byte("7")))
	ok(t, s.DB.SaveNote("layout/a.b", []byte("two")))
	s.Close()
	s = openTest(t, dir)
	for name, want := range map[string]string{"layout/a.b": "two", "replica": "7"} {
		if v, err := s.DB.LoadNote(name); string(v) != want || err != nil {
			t.Errorf("%s: %q, want %q: %v", name, v, want, err)
		}
	}
	ok(t, s.DB.rows.update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(notesBucket)).Put([]byte("replica"), []byte("no sum"))
	}))
	if v, err := s.DB.LoadNote("replica"); v != nil || err != nil {
		t.Errorf("damaged: %q %v", v, err)
	}
	ok(t, s.DB.SaveNote("replica", []byte("8")))
	if v, err := s.DB.LoadNote("replica"); string(v) != "8" || err != nil {
		t.Errorf("%q %v", v, err)
	}
}
