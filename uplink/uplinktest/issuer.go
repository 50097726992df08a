package uplinktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Issuer is a certificate authority. Its certificates are for 127.0.0.1 and hold for an hour.
type Issuer struct {
	Pool *x509.CertPool // it alone
	File string         // its own certificate in PEM form

	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewIssuer makes an authority that nobody else trusts.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	a := &Issuer{t: t, Pool: x509.NewCertPool(), File: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.Pool.AddCert(a.cert)
	a.write(a.File, "CERTIFICATE", a.cert.Raw)
	return a
}

// sign makes a certificate, its own issuer if there is none yet.
func (a *Issuer) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// Issue gives a certificate for a name, as it is used here and as files in PEM form.
func (a *Issuer) Issue(name string) (pair tls.Certificate, certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.write(certFile, "CERTIFICATE", cert.Raw)
	a.write(keyFile, "PRIVATE KEY", der)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, certFile, keyFile
}

// Client is somebody with a certificate for a name.
func (a *Issuer) Client(name string) *tls.Config {
	a.t.Helper()
	pair, _, _ := a.Issue(name)
	return &tls.Config{RootCAs: a.Pool, Certificates: []tls.Certificate{pair}}
}

// Front puts TLS with a certificate of this issuer before a TCP service, and gives the address where it is.
func (a *Issuer) Front(to string) (addr string) {
	a.t.Helper()
	pair, _, _ := a.Issue("front")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { l.Close() })
	carry := func(conn net.Conn) {
		defer conn.Close()
		up, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer up.Close()
		go func() {
			_, _ = io.Copy(up, conn)
			up.Close()
		}()
		_, _ = io.Copy(conn, up)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go carry(conn)
		}
	}()
	return l.Addr().String()
}

func (a *Issuer) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}
