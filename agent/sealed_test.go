package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/store"
	cmds "station-agent/uplink/fleet/command"
)

// sendSecret has a secret set as the fleet would: sealed to the key that the station tells.
func (p *place) sendSecret(s *sealed, field, text string) (string, error) {
	p.t.Helper()
	public, _, err := s.pair()
	if err != nil {
		p.t.Fatal(err)
	}
	box, err := cmds.Seal([]byte(text), public)
	if err != nil {
		p.t.Fatal(err)
	}
	fingerprint, _, err := s.set(field, box)
	return fingerprint, err
}

// secretPlace is a place whose secrets lie beside it.
func secretPlace(t *testing.T) (*place, *sealed) {
	p := newPlace(t)
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.file, strings.ReplaceAll(string(text), "/etc/station-agent/", filepath.Dir(p.file)+"/"))
	write(t, p.path("certyo-key"), "of the file\n")
	write(t, p.path("mysql-password"), "mysql of the file\n")
	if p.cfg, err = loadConfig(p.file); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p.cfg.Store.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return p, &sealed{cfg: p.cfg}
}

func (p *place) reads(what string, s secret, want string) {
	p.t.Helper()
	if got, err := s.read(); got != want || err != nil {
		p.t.Errorf("%s: %q %v, want %q", what, got, err, want)
	}
}

func TestASecretThatWasSentCountsUntilTheFileChanges(t *testing.T) {
	p, s := secretPlace(t)
	p.reads("before", p.cfg.Certyo.KeyFile, "of the file")
	fingerprint, err := p.sendSecret(s, "certyo.key_file", "sent\n")
	if err != nil || fingerprint != cmds.Fingerprint([]byte("sent")) {
		t.Fatalf("%q %v", fingerprint, err)
	}
	p.reads("sent, in a running agent", p.cfg.Certyo.KeyFile, "sent")
	again, err := loadConfig(p.file)
	if err != nil {
		t.Fatal(err)
	}
	p.reads("after a restart", again.Certyo.KeyFile, "sent")
	write(t, p.path("certyo-key"), "of the file\n")
	p.reads("written anew as it was, as systemd does", p.cfg.Certyo.KeyFile, "sent")
	write(t, p.path("certyo-key"), "by hand\n")
	p.reads("changed by hand", p.cfg.Certyo.KeyFile, "by hand")
	if _, err := p.sendSecret(s, "certyo.key_file", "sent later"); err != nil {
		t.Fatal(err)
	}
	p.reads("sent later", p.cfg.Certyo.KeyFile, "sent later")
	if err := os.Remove(p.path("certyo-key")); err != nil {
		t.Fatal(err)
	}
	p.reads("the file has gone", p.cfg.Certyo.KeyFile, "sent later")
}

func TestSecretsAreKeptForTheAgentAlone(t *testing.T) {
	p, s := secretPlace(t)
	if _, err := p.sendSecret(s, "mysql.password_file", "s3cret"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(p.cfg.Store.Folder, store.SecretsFolder)
	for file, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "station.key"): 0o600, filepath.Join(dir, "mysql.password_file"): 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
	}
	p.reads("of [capture], which has the account of [mysql]", p.cfg.Capture.PasswordFile, "s3cret")
	if got := fmt.Sprintf("%v %s", p.cfg.MySQL.PasswordFile, p.cfg.MySQL.PasswordFile); strings.Contains(got, "\x00") {
		t.Errorf("%q", got)
	}
	if out, _, code := command(t, "config", "print", "--config", p.file); code != 0 || strings.Contains(out, "s3cret") || !strings.Contains(out, "mysql-password") {
		t.Errorf("config print: %d %s", code, out)
	}
}

func TestASecretThatCantBeOneIsRefused(t *testing.T) {
	p, s := secretPlace(t)
	for field, c := range map[string]struct{ text, want string }{
		"certyo.key_file":       {"two\nlines", "several lines"},
		"mysql.password_file":   {"\n", "0 bytes"},
		"certyo.next_key_file":  {"s3cret", "has no certyo.next_key_file"},
		"capture.password_file": {"s3cret", "send mysql.password_file"},
		"mysql.ca_file":         {"s3cret", "has no mysql.ca_file"},
		"../../etc/passwd":      {"s3cret", "has no"},
		"station.key":           {"s3cret", "has no"},
	} {
		if _, err := p.sendSecret(s, field, c.text); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, _, err := s.set("certyo.key_file", []byte("not sealed")); err == nil {
		t.Error("not sealed")
	}
	p.reads("after all that", p.cfg.Certyo.KeyFile, "of the file")
}

func TestCertificatesAreSentInPEM(t *testing.T) {
	p, _ := secretPlace(t)
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	write(t, p.path("ca"), string(ca))
	text, _ := os.ReadFile(p.file)
	write(t, p.file, strings.Replace(string(text), "[capture]", "ca_file = \""+p.path("ca")+"\"\n[capture]", 1))
	c, err := loadConfig(p.file)
	if err != nil {
		t.Fatal(err)
	}
	s := &sealed{cfg: c}
	if _, err := p.sendSecret(s, "mysql.ca_file", "no certificate"); err == nil {
		t.Error("no certificate was kept")
	}
	if _, err := p.sendSecret(s, "mysql.ca_file", "# another\n"+string(ca)); err != nil {
		t.Fatal(err)
	}
	next, err := loadConfig(p.file)
	if err != nil || next.MySQL.CAFile != next.sentFile("mysql.ca_file") {
		t.Errorf("the next start reads %s: %v", next.MySQL.CAFile, err)
	}
	if _, err := readAuthorities(next.MySQL.CAFile); err != nil {
		t.Error(err)
	}
	write(t, p.path("ca"), string(ca)+"# by hand\n")
	if next, err = loadConfig(p.file); err != nil || next.MySQL.CAFile != p.path("ca") {
		t.Errorf("after an edit it reads %s: %v", next.MySQL.CAFile, err)
	}
}

// Whoever reads a secret while it is rotated gets one of the two, whole.
func TestASecretIsWholeWhileItIsRotated(t *testing.T) {
	p, s := secretPlace(t)
	old, other := strings.Repeat("a", 3000), strings.Repeat("b", 2000)
	if _, err := p.sendSecret(s, "certyo.key_file", old); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var reading sync.WaitGroup
	for range 3 {
		reading.Go(func() {
			for n := 0; ; n++ {
				if got, err := p.cfg.Certyo.KeyFile.read(); err != nil || got != old && got != other {
					t.Errorf("%d bytes %v", len(got), err)
					return
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for i := range 20 {
		if _, err := p.sendSecret(s, "certyo.key_file", []string{other, old}[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(over)
	reading.Wait()
}

func TestSecretsStayOnTheirCard(t *testing.T) {
	p, s := secretPlace(t)
	st := p.open()
	if _, err := p.sendSecret(s, "certyo.key_file", "s3cret"); err != nil {
		t.Fatal(err)
	}
	folder, err := st.Leave()
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	m, err := folder.Export(&bytes.Buffer{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if strings.HasPrefix(f.Name, store.SecretsFolder) {
			t.Errorf("the archive has %s", f.Name)
		}
	}
}

// A certificate for the broker comes with its key, and is read at the next connect.
func TestTheBrokersCertificateIsUsedAtTheNextConnect(t *testing.T) {
	p, _ := secretPlace(t)
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	der, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	write(t, p.path("cert"), string(cert))
	p.with(`#cert_file = ""`, `#`, `#cert_key_file = ""`, `#`, `#interval = "30s"`, fmt.Sprintf("cert_file = %q\ncert_key_file = %q", p.path("cert"), p.path("cert-key")))
	s := &sealed{cfg: p.cfg}
	if _, err := p.cfg.Fleet.certificate(nil); err == nil {
		t.Fatal("there is no key, and it was read")
	}
	if _, err := p.sendSecret(s, fleetCert, string(cert)); err == nil {
		t.Error("a certificate without its key was kept")
	}
	if _, err := p.sendSecret(s, fleetCert, string(cert)+string(key)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.cfg.Fleet.certificate(nil); err != nil || !bytes.Equal(got.Certificate[0], srv.Certificate().Raw) {
		t.Errorf("in the running agent: %v", err)
	}
	p.with()
	if got, err := p.cfg.Fleet.certificate(nil); err != nil || !bytes.Equal(got.Certificate[0], srv.Certificate().Raw) {
		t.Errorf("after a restart: %v", err)
	}
}
