package certyo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Check asks whether the key is taken, and ingests nothing: it looks for a record that nobody has. It gives the status of the
// answer. The error is that no answer came, that the key was refused (Held), or that the address leads elsewhere.
//
//	GET /api/v1/records?tenantId=T&recordId=…    the parameters and the answer are not published: its status is enough
func (c *Client) Check(ctx context.Context) (status int, err error) {
	query := url.Values{"tenantId": {c.cfg.Tenant}, "recordId": {"station-agent-check"}, "limit": {"1"}}
	a, err := c.do(ctx, request{op: fmt.Sprintf("ask %s for a record", c.server()), path: "/api/v1/records?" + query.Encode(),
		timeout: c.cfg.VerifyTimeout, limit: maxVerifyAnswer})
	e, answered := errors.AsType[*Error](err)
	elsewhere := answered && (e.Status >= 300 && e.Status <= 399 || e.Status == http.StatusProxyAuthRequired)
	if answered && e.Status != 0 && !e.Held() && !elsewhere {
		return e.Status, nil
	}
	if err != nil {
		return 0, err
	}
	return a.status, nil
}
