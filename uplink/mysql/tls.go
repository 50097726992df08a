package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Modes of TLS.
const (
	Verify   = "verify"    // the chain and the name of the certificate are checked
	VerifyCA = "verify-ca" // the chain only: certificates that MySQL made for itself carry no name
	Off      = "off"       // plain
)

// TLSConfig makes the configuration of one mode, nil for Off. caFile holds the issuers as PEM, "" for those of the system;
// with VerifyCA it must be named, as any certificate that somebody bought would pass otherwise. serverName is the name to
// find in the certificate, "" for the host of the address.
func TLSConfig(caFile, serverName, mode string) (*tls.Config, error) {
	if mode == Off {
		return nil, nil
	}
	roots, err := issuers(caFile)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: serverName}
	switch mode {
	case Verify, "":
		return cfg, nil
	case VerifyCA:
		if roots == nil {
			return nil, errors.New("use TLS mode verify-ca: no CA file: name the one that issued the server's certificate")
		}
		cfg.InsecureSkipVerify = true // replaced by the check of the chain
		cfg.VerifyConnection = chain(roots)
		return cfg, nil
	}
	return nil, fmt.Errorf("use TLS mode %q: there are %s, %s and %s", mode, Verify, VerifyCA, Off)
}

func issuers(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA file %s: holds no certificate in PEM form", caFile)
	}
	return roots, nil
}

// chain checks that one of roots issued the server's certificate, whatever name is in it.
func chain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("check server certificate: there is none")
		}
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}
