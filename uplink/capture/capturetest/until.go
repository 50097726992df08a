package capturetest

import (
	"testing"
	"time"
)

const patience = time.Minute

// Until waits until f says ok, and ends the test with what f says is there instead if that takes too long.
func Until(t testing.TB, f func() (what string, ok bool)) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		what, ok := f()
		switch {
		case ok:
			return
		case time.Now().After(end):
			t.Fatal(what)
		}
	}
}
