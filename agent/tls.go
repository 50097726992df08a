package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// readAuthorities reads a file of certificate authorities, nil for the system's own.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := readBounded(file, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read certificate authority %s: it holds no certificate in PEM", file)
	}
	return pool, nil
}

// clientTLS verifies servers against the authorities in file, or the system's.
func clientTLS(file string) (*tls.Config, error) {
	pool, err := readAuthorities(file)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
