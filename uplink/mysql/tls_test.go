package mysql

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
)

// authority writes a CA and a certificate for 127.0.0.1 into a folder: ca.pem, cert.pem, key.pem.
func authority(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { // the server may be another user
		t.Fatal(err)
	}
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "database"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	write := func(name, kind string, der []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	write("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	write("key.pem", "PRIVATE KEY", der, err)
	return dir
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTLSConfig(t *testing.T) {
	dir := authority(t)
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key.pem")
	for _, c := range []struct{ ca, mode, fault string }{
		{ca, Verify, ""}, {ca, "", ""}, {"", Verify, ""}, {ca, VerifyCA, ""}, {"", Off, ""},
		{"", VerifyCA, "no CA file"}, {dir + "/none", Verify, "read CA file"}, {key, Verify, "no certificate"}, {ca, "skip", `"skip"`},
	} {
		cfg, err := TLSConfig(c.ca, "db", c.mode)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil && (cfg == nil) != (c.mode == Off) {
			t.Errorf("%+v: %v", c, cfg)
		}
	}
}

// TestTLS: with an authority of one's own, on both kinds of server.
func TestTLS(t *testing.T) {
	dir := authority(t)
	flags := []string{"--ssl-ca=" + dir + "/ca.pem", "--ssl-cert=" + dir + "/cert.pem", "--ssl-key=" + dir + "/key.pem", "--require-secure-transport=ON"}
	stranger := authority(t) + "/ca.pem"
	for flavor, start := range map[string]func(testing.TB, ...string) *servers.Database{"mariadb": servers.MariaDB, "mysql": servers.MySQL} {
		t.Run(flavor, func(t *testing.T) {
			db := start(t, flags...)
			for _, c := range []struct{ ca, name, mode, fault string }{
				{dir + "/ca.pem", "", Verify, ""},
				{dir + "/ca.pem", "", VerifyCA, ""},
				{dir + "/ca.pem", "elsewhere", VerifyCA, ""},
				{dir + "/ca.pem", "elsewhere", Verify, "set the server name"},
				{stranger, "", Verify, "isn't the issuer"},
				{stranger, "", VerifyCA, "isn't the issuer"},
				{"", "", Verify, "isn't the issuer"},
				{"", "", Off, map[string]string{"mariadb": "must use TLS", "mysql": "3159"}[flavor]},
			} {
				connects(t, db, c.ca, c.name, c.mode, c.fault)
			}
		})
	}
}

// TestCertificatesThatMySQLMade carry no name: the full check refuses them, the check of the chain takes them.
func TestCertificatesThatMySQLMade(t *testing.T) {
	db := servers.MySQL(t)
	var data string
	if err := db.Root().QueryRow("SELECT @@datadir").Scan(&data); err != nil {
		t.Fatal(err)
	}
	connects(t, db, filepath.Join(data, "ca.pem"), "", Verify, "verify-ca if MySQL made it")
	connects(t, db, filepath.Join(data, "ca.pem"), "", VerifyCA, "")
	connects(t, db, authority(t)+"/ca.pem", "", VerifyCA, "isn't the issuer")
}

// connects tries one way; fault is part of the explained error, "" if there must be none.
func connects(t *testing.T, db *servers.Database, ca, name, mode, fault string) {
	t.Helper()
	config, err := TLSConfig(ca, name, mode)
	if err != nil {
		t.Fatal(err)
	}
	pool := open(t, db, func(c *Config) { c.TLS = config })
	var variable, cipher string
	err = Explain(pool.QueryRow("SHOW STATUS LIKE 'Ssl_cipher'").Scan(&variable, &cipher))
	if fault == "" && (err != nil || cipher == "") || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
		t.Errorf("mode %q, name %q: cipher %q, error %v, want %q", mode, name, cipher, err, fault)
	}
}
