package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Secure is what a broker needs for a listener with TLS that asks each client for a certificate and takes its common name
// for the user, and for an access list, which holds on all listeners. The files are in PEM form.
type Secure struct {
	CA, Cert, Key string // the issuer of the clients' certificates, and the broker's own certificate and key
	ACL           string // the text of the access list
}

// SecureBroker starts a Mosquitto like Broker, with a listener on TLSAddr beside the others, where the logins count.
func SecureBroker(t testing.TB, s Secure, logins ...Login) *Mosquitto {
	t.Helper()
	m, err := startMosquitto(t.Context(), &s, logins)
	if err != nil {
		unavailable(t, mosquitto, err)
	}
	t.Cleanup(m.Close)
	return m
}

// lines are those of the configuration.
func (s *Secure) lines(dir string, port int) ([]string, error) {
	acl := filepath.Join(dir, "acl")
	if err := os.WriteFile(acl, []byte(s.ACL), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"acl_file " + acl,
		fmt.Sprintf("listener %d 127.0.0.1", port),
		"cafile " + s.CA,
		"certfile " + s.Cert,
		"keyfile " + s.Key,
		"require_certificate true",
		"use_identity_as_username true",
	}, nil
}
