package certyo

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"station-agent/uplink/uplinktest"
)

const nextKey = "certyo_sk_test_next_9876"

func with(keys ...string) func(*uplinktest.Switches) {
	return func(w *uplinktest.Switches) { w.Keys = keys }
}

// A rotation stops nothing: in each step the request that meets the refusal is answered all the same, and the next one does
// not try the dead key first.
func TestRotationOfTheKey(t *testing.T) {
	current, next := testKey, "" // the contents of the two files
	read := func(key *string) func() (string, error) {
		return func() (string, error) {
			if *key == "" {
				return "", errors.New("read secret: no such file")
			}
			return *key, nil
		}
	}
	switched := []string{}
	s, c := pair(t, func(cfg *Config) {
		cfg.Key, cfg.Next, cfg.NextPlace = read(&current), read(&next), "/etc/next"
		cfg.Switched = func(place string) { switched = append(switched, place) }
	})
	post := func(step string, requests int) {
		t.Helper()
		before := s.Counts().Requests
		if _, err := c.Post(t.Context(), rows(1)); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if n := s.Counts().Requests - before; n != requests {
			t.Fatalf("%s: %d requests, want %d", step, n, requests)
		}
		if len(switched) > 0 && c.KeyPlace() != switched[len(switched)-1] {
			t.Fatalf("%s: the key in use is said to be in %s", step, c.KeyPlace())
		}
	}
	post("one key", 1)
	next = nextKey
	s.Switch(with(testKey, nextKey))
	post("both work", 1)
	s.Switch(with(nextKey))
	post("the first ended", 2)
	post("the second is in use", 1)
	current = nextKey
	post("both files hold it", 1)
	next = "certyo_sk_test_third_333"
	post("the next rotation begins", 2) // back to the first file
	if want := "/etc/next /etc/key"; strings.Join(switched, " ") != want {
		t.Fatalf("told of %q, want %q", switched, want)
	}
}

// When neither key is taken, the error names both places and what is wrong with each; nothing of a key is in it.
func TestNoKeyIsTaken(t *testing.T) {
	next, nextErr, keyErr := nextKey, error(nil), error(nil)
	s, c := pair(t, func(cfg *Config) {
		cfg.Key = func() (string, error) { return testKey, keyErr }
		cfg.Next, cfg.NextPlace = func() (string, error) { return next, nextErr }, "/etc/next"
	})
	s.Switch(with("certyo_sk_test_another_one"))
	held := func(says ...string) {
		t.Helper()
		_, err := c.Post(t.Context(), rows(1))
		e, ok := errors.AsType[*Error](err)
		if !ok || !e.Held() {
			t.Fatal(err)
		}
		for _, part := range append(says, "401") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %s", part, err)
			}
		}
		if strings.Contains(err.Error(), testKey) || strings.Contains(err.Error(), nextKey) {
			t.Errorf("a key is in: %s", err)
		}
	}
	held("refused the key in /etc/key", "refused the key in /etc/next")
	keyErr = errors.New("read /etc/key: permission denied")
	held("refused the key in /etc/next", "read /etc/key: permission denied")
	keyErr, nextErr = nil, errors.New("read /etc/next: permission denied")
	held("refused the key in /etc/key", "permission denied")
	next, nextErr = testKey, nil
	before := s.Counts().Requests
	held("refused the key in /etc/key")
	if n := s.Counts().Requests - before; n != 1 {
		t.Errorf("the same key was tried %d times", n)
	}
}

// Only 401 is about the key itself: what it may not do, another key of the same client may not do either.
func TestOnly401ChangesTheKey(t *testing.T) {
	for status, requests := range map[int]int{401: 2, 403: 1, 429: 1, 500: 1, 400: 1} {
		s, c := pair(t, func(cfg *Config) { cfg.Next = func() (string, error) { return nextKey, nil } })
		s.Switch(with(testKey, nextKey))
		s.FailPosts(2, status, "")
		if _, err := c.Post(t.Context(), rows(1)); err == nil || s.Counts().Requests != requests {
			t.Errorf("%d: %d requests, %v", status, s.Counts().Requests, err)
		}
	}
}

func TestKeyThatCannotBeReadGivesWay(t *testing.T) {
	s, c := pair(t, func(cfg *Config) {
		cfg.Key = func() (string, error) { return "", errors.New("no such file") }
		cfg.Next = func() (string, error) { return testKey, nil }
	})
	if _, err := c.Post(t.Context(), rows(1)); err != nil || s.Counts().Requests != 1 {
		t.Fatal(err)
	}
	if status, err := c.Check(t.Context()); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
}
