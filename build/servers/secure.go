package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Secure is what a broker needs for a listener with TLS that asks each client for a certificate and takes its common name
// for the user, and for an access list, which holds on all listeners. The files are in PEM form; without them there is no such
// listener.
type Secure struct {
	CA, Cert, Key string   // the issuer of the clients' certificates, and the broker's own certificate and key
	ACL           string   // the text of the access list
	Also          []string // further lines of the configuration
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

// StartSecure is StartMosquitto for a broker with s.
func StartSecure(ctx context.Context, s Secure, logins ...Login) (*Mosquitto, error) {
	return startMosquitto(ctx, &s, logins)
}

// lines are those of the configuration.
func (s *Secure) lines(dir string, port int) ([]string, error) {
	lines := slices.Clone(s.Also)
	if s.ACL != "" {
		acl := filepath.Join(dir, "acl")
		if err := os.WriteFile(acl, []byte(s.ACL), 0o600); err != nil {
			return nil, err
		}
		lines = append(lines, "acl_file "+acl)
	}
	if s.Cert == "" {
		return lines, nil
	}
	return append(lines,
		fmt.Sprintf("listener %d 127.0.0.1", port),
		"cafile "+s.CA,
		"certfile "+s.Cert,
		"keyfile "+s.Key,
		"require_certificate true",
		"use_identity_as_username true",
	), nil
}
