package certyo

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheckIngestsNothing(t *testing.T) {
	s, c := pair(t, nil)
	if status, err := c.Check(t.Context()); status != http.StatusOK || err != nil {
		t.Errorf("%d %v", status, err)
	}
	if n := s.Counts(); n.Requests != 1 || n.Posts+n.Records+n.Verifies > 0 {
		t.Errorf("%+v", n)
	}
}

// TestCheckByStatus holds that any answer but a refusal, or one from elsewhere, says that the key got there.
func TestCheckByStatus(t *testing.T) {
	for status, want := range map[int]string{
		200: "", 204: "", 400: "", 404: "", 405: "", 422: "", 429: "", 500: "", 503: "",
		401: "held", 403: "held", 301: "elsewhere", 302: "elsewhere", 407: "elsewhere",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.ContentLength > 0 || r.Header.Get("X-API-Key") != testKey || strings.Contains(r.URL.String(), testKey) {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, "you sent ", r.Header.Get("X-API-Key"))
		}))
		c := New(Config{URL: srv.URL, Tenant: "tovarna", Key: func() (string, error) { return testKey, nil }})
		got, err := c.Check(t.Context())
		e, _ := errors.AsType[*Error](err)
		switch {
		case want == "" && (err != nil || got != status):
			t.Errorf("%d: %d %v", status, got, err)
		case want != "" && (e == nil || e.Status != status || e.Held() != (want == "held") || strings.Contains(err.Error(), testKey)):
			t.Errorf("%d: %v", status, err)
		}
		c.http.CloseIdleConnections()
		srv.Close()
	}
}
