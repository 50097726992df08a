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

func TestNewTLS(t *testing.T) {
	dir, other := authority(t), authority(t)
	ca, cert, key := dir+"/ca.pem", dir+"/cert.pem", dir+"/key.pem"
	for _, c := range []struct {
		o     TLSOptions
		fault string
	}{
		{TLSOptions{Mode: Verify, CAFile: ca}, ""},
		{TLSOptions{CAFile: ca}, ""},
		{TLSOptions{Mode: Verify}, ""},
		{TLSOptions{Mode: VerifyCA, CAFile: ca}, ""},
		{TLSOptions{Mode: Off}, ""},
		{TLSOptions{Mode: VerifyCA}, "no CA file"},
		{TLSOptions{CAFile: dir + "/none"}, "read CA file"},
		{TLSOptions{CAFile: key}, "no certificate"},
		{TLSOptions{Mode: "skip"}, `"skip"`},
		{TLSOptions{CertFile: cert, KeyFile: key}, ""},
		{TLSOptions{CertFile: cert}, "name both files"},
		{TLSOptions{KeyFile: key}, "name both files"},
		{TLSOptions{CertFile: dir + "/none", KeyFile: key}, dir + "/none"},
		{TLSOptions{CertFile: cert, KeyFile: dir + "/none"}, dir + "/none"},
		{TLSOptions{CertFile: cert, KeyFile: other + "/key.pem"}, "does not match"},
		{TLSOptions{CertFile: key, KeyFile: key}, "read client certificate"},
	} {
		cfg, err := NewTLS(c.o)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%+v: %v", c.o, err)
		}
		if err == nil && (cfg == nil) != (c.o.Mode == Off) {
			t.Errorf("%+v: %v", c.o, cfg)
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
				connects(t, db, TLSOptions{Mode: c.mode, CAFile: c.ca, ServerName: c.name}, c.fault)
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
	connects(t, db, TLSOptions{Mode: Verify, CAFile: filepath.Join(data, "ca.pem")}, "verify-ca if MySQL made it")
	connects(t, db, TLSOptions{Mode: VerifyCA, CAFile: filepath.Join(data, "ca.pem")}, "")
	connects(t, db, TLSOptions{Mode: VerifyCA, CAFile: authority(t) + "/ca.pem"}, "isn't the issuer")
}

// TestClientCertificate: the server asks for one that its authority issued.
func TestClientCertificate(t *testing.T) {
	dir, stranger := authority(t), authority(t)
	with := func(mode, own string) TLSOptions {
		return TLSOptions{Mode: mode, CAFile: dir + "/ca.pem", CertFile: own + "/cert.pem", KeyFile: own + "/key.pem"}
	}
	for flavor, start := range map[string]func(testing.TB, ...string) *servers.Database{"mariadb": servers.MariaDB, "mysql": servers.MySQL} {
		t.Run(flavor, func(t *testing.T) {
			db := start(t, "--ssl-ca="+dir+"/ca.pem", "--ssl-cert="+dir+"/cert.pem", "--ssl-key="+dir+"/key.pem")
			root(t, db, "ALTER USER '"+servers.AgentUser+"'@'%' REQUIRE X509")
			connects(t, db, with(Verify, dir), "")
			connects(t, db, with(VerifyCA, dir), "")
			connects(t, db, with(Verify, stranger), "client certificate")
			connects(t, db, TLSOptions{CAFile: dir + "/ca.pem"}, "mysql error 1045")
		})
	}
}

// TestRenewedClientCertificate: a pair that is replaced is used at the next connect.
func TestRenewedClientCertificate(t *testing.T) {
	dir, stranger, own := authority(t), authority(t), t.TempDir()
	db := servers.MariaDB(t, "--ssl-ca="+dir+"/ca.pem", "--ssl-cert="+dir+"/cert.pem", "--ssl-key="+dir+"/key.pem")
	root(t, db, "ALTER USER '"+servers.AgentUser+"'@'%' REQUIRE X509")
	from := func(other string) {
		for _, name := range []string{"cert.pem", "key.pem"} {
			b, err := os.ReadFile(filepath.Join(other, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(own, name), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	from(dir)
	config, err := NewTLS(TLSOptions{CAFile: dir + "/ca.pem", CertFile: own + "/cert.pem", KeyFile: own + "/key.pem"})
	if err != nil {
		t.Fatal(err)
	}
	pool := open(t, db, func(c *Config) { c.TLS = config })
	pool.SetMaxIdleConns(-1)
	if err := pool.Ping(); err != nil {
		t.Fatal(err)
	}
	from(stranger)
	if err := Explain(pool.Ping()); err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("with a stranger's: %v", err)
	}
	if err := os.Remove(own + "/key.pem"); err != nil {
		t.Fatal(err)
	}
	if err := Explain(pool.Ping()); err == nil || !strings.Contains(err.Error(), own+"/key.pem: no such file") {
		t.Errorf("without a key: %v", err)
	}
	from(dir)
	if err := pool.Ping(); err != nil {
		t.Errorf("renewed: %v", err)
	}
}

// connects tries one way; fault is part of the explained error, "" if there must be none.
func connects(t *testing.T, db *servers.Database, o TLSOptions, fault string) {
	t.Helper()
	config, err := NewTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	pool := open(t, db, func(c *Config) { c.TLS = config })
	var variable, cipher string
	err = Explain(pool.QueryRow("SHOW STATUS LIKE 'Ssl_cipher'").Scan(&variable, &cipher))
	if fault == "" && (err != nil || cipher == "") || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
		t.Errorf("%+v: cipher %q, error %v, want %q", o, cipher, err, fault)
	}
}
