package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	driver "github.com/go-sql-driver/mysql"
)

// Modes of TLS.
const (
	Verify   = "verify"    // the chain and the name of the certificate are checked
	VerifyCA = "verify-ca" // the chain only: certificates that MySQL made for itself carry no name
	Off      = "off"       // plain
)

// TLSOptions say how the server shows who it is, and how we do. Files are in PEM form.
type TLSOptions struct {
	Mode       string // Verify if empty
	CAFile     string // issuers of the server's certificate; "" for those of the system
	ServerName string // the name to find in it; "" for the host of the address
	CertFile   string // our certificate, and those between it and its issuer behind it; "" for none
	KeyFile    string // its private key
}

// NewTLS makes the configuration of a mode, nil for Off. With VerifyCA the CA file must be named, as any certificate that
// somebody bought would pass otherwise. The client certificate is read here, so that a wrong file shows at the start, and
// again at each handshake, so that a renewed one needs no restart.
func NewTLS(o TLSOptions) (*tls.Config, error) {
	if o.Mode == Off {
		return nil, nil
	}
	roots, err := issuers(o.CAFile)
	if err != nil {
		return nil, err
	}
	own, err := o.own()
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: o.ServerName, GetClientCertificate: own}
	switch o.Mode {
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
	return nil, fmt.Errorf("use TLS mode %q: there are %s, %s and %s", o.Mode, Verify, VerifyCA, Off)
}

// NoTLS tells whether err is that the server has no TLS to offer.
func NoTLS(err error) bool { return errors.Is(err, driver.ErrNoTLS) }

// own gives what reads the client certificate, nil if there is none.
func (o TLSOptions) own() (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if o.CertFile == "" && o.KeyFile == "" {
		return nil, nil
	}
	if o.CertFile == "" || o.KeyFile == "" {
		return nil, errors.New("use client certificate: only one of certificate and key is named: name both files")
	}
	read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate %s and key %s: %w: put there a pair in PEM form, readable by this user", o.CertFile, o.KeyFile, err)
		}
		return &pair, nil
	}
	_, err := read(nil)
	return read, err
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
