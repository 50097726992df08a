package uplinktest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A line carries requests and answers, is refused while it is cut, breaks as a connection does, and lets simulated time pass.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewCertyo(CertyoConfig{Addr: NoSocket, Tenant: "tovarna", Keys: []string{"key"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		line := NewLine(c)
		client := &http.Client{Transport: line}
		ask := func(ctx context.Context) (string, error) {
			body := `{"tenantId":"tovarna","database":"d","collection":"c","recordId":"r","recordVersion":"1","payload":{}}`
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL()+"/api/v1/verify/record", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"X-Api-Key": {"key"}, "Content-Type": {"application/json"}, "User-Agent": {"station-agent/test"}}
			resp, err := client.Do(req)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			return resp.Status + " " + string(text), err
		}
		if said, err := ask(t.Context()); err != nil || !strings.HasPrefix(said, "404 ") || !strings.Contains(said, "no such record") {
			t.Errorf("%s, %v", said, err)
		}
		line.Cut()
		if _, err := ask(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("cut: %v", err)
		}
		line.Restore()
		c.DropRequests(1)
		if _, err := ask(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("dropped: %v", err)
		}
		c.Switch(func(w *Switches) { w.Slow = time.Hour })
		if said, err := ask(t.Context()); err != nil || !strings.HasPrefix(said, "404 ") {
			t.Errorf("slow: %s, %v", said, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("too slow: %v", err)
		}
		if n, v := c.Counts().Requests, c.Violations(); n != 3 || len(v) > 0 {
			t.Errorf("%d requests came, want 3; %q", n, v)
		}
	})
}
