package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station-agent/build/servers"
	"station-agent/uplink/uplinktest"
)

// certificate makes one for 127.0.0.1 that is its own authority, and writes it in PEM.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// behindTLS gives the address of a service with TLS before it.
func behindTLS(t *testing.T, cert tls.Certificate, to string, client tls.ClientAuthType) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: client, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				up, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(up, conn) }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	return l.Addr().String()
}

// deaf is an address whose queue of new connections is full, so that nothing answers there any more, as behind a firewall.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	limit := 30 * time.Second // the first one fills it, however slowly
	for range 4 {
		conn, err := net.DialTimeout("tcp", addr, limit)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
		limit = 100 * time.Millisecond
	}
	t.Fatal("the queue takes everything")
	return ""
}

// How long a hop may take in a test that waits for its end, and in one that doesn't want to be wrong on a slow machine.
const (
	hasty     = 500 * time.Millisecond
	unhurried = hopTime
)

const checkKey = "certyo_sk_test_check"

// outside are real services, and the configuration that reaches them.
type outside struct {
	*place
	db, cloud, broker         *uplinktest.Proxy
	secureCloud, secureBroker string // behind TLS
	web                       string // the broker over websockets
	ca, stranger              string
	cert                      tls.Certificate
	service                   *uplinktest.Certyo
}

func newOutside(t *testing.T, db *servers.Database) *outside {
	t.Helper()
	o := &outside{place: newPlace(t)}
	var err error
	if o.service, err = uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "tovarna", Keys: []string{checkKey}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.service.Close)
	broker := servers.Broker(t, servers.Login{User: "bench", Password: "broker-password"})
	for _, p := range []struct {
		proxy **uplinktest.Proxy
		to    string
	}{{&o.db, db.Addr}, {&o.cloud, o.service.Addr()}, {&o.broker, broker.Addr}} {
		if *p.proxy, err = uplinktest.NewProxy(p.to); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*p.proxy).Close)
	}
	o.cert, o.ca = certificate(t)
	_, o.stranger = certificate(t)
	o.web = broker.WebAddr
	o.secureCloud, o.secureBroker = behindTLS(t, o.cert, o.cloud.Addr(), tls.NoClientCert), behindTLS(t, o.cert, o.broker.Addr(), tls.NoClientCert)
	for name, text := range map[string]string{"agent": servers.AgentPassword, "capture": servers.CapturePassword, "key": checkKey, "broker": "broker-password", "wrong": "wrong-secret"} {
		write(t, o.path(name), text)
	}
	return o
}

// config is the configuration that works.
func (o *outside) config() *config {
	c := *o.cfg
	secret := func(name string) secret { return secret(o.path(name)) }
	c.MySQL = mysqlConfig{Address: o.db.Addr(), Schema: "external", User: servers.AgentUser, PasswordFile: secret("agent"), TLS: "off"}
	c.Capture = captureConfig{Source: "binlog", User: servers.CaptureUser, PasswordFile: secret("capture")}
	c.Certyo.URL, c.Certyo.Tenant, c.Certyo.KeyFile, c.Certyo.CAFile = "https://"+o.secureCloud, "tovarna", secret("key"), o.ca
	c.Fleet.Brokers, c.Fleet.User, c.Fleet.PasswordFile, c.Fleet.CAFile = []string{"ssl://" + o.secureBroker}, "bench", secret("broker"), o.ca
	return &c
}

// walked gives the hop at which the way to a target fails, "" if it doesn't.
func walked(t *testing.T, c *config, name string, limit time.Duration) (failed hop, all []hop) {
	t.Helper()
	list := slices.DeleteFunc(c.targets(limit), func(tg *target) bool { return tg.Target != name && tg.Target+"/"+tg.As != name })
	if len(list) == 0 {
		t.Fatalf("no way to %s", name)
	}
	walkAll(t.Context(), list[:1])
	all = list[0].Hops
	i := slices.IndexFunc(all, func(h hop) bool { return h.State == "fault" })
	if list[0].Fits == (i >= 0) {
		t.Errorf("%s: fits is %v: %+v", name, list[0].Fits, all)
	}
	if i < 0 {
		return hop{}, all
	}
	return all[i], all
}

func TestWalkFits(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		o := newOutside(t, db)
		for name, want := range map[string]string{
			"mysql/station": "dns tcp login", "mysql/capture": "dns tcp login", "certyo": "dns tcp tls login", "broker": "dns tcp tls login",
		} {
			failed, all := walked(t, o.config(), name, unhurried)
			var hops []string
			for _, h := range all {
				hops = append(hops, h.Hop)
			}
			if failed.Hop != "" || strings.Join(hops, " ") != want || all[len(all)-1].TookMS <= 0 {
				t.Errorf("%s: %+v", name, all)
			}
		}
		c := o.config()
		c.Fleet.Brokers = []string{"ws://" + o.web}
		if failed, all := walked(t, c, "broker", unhurried); failed.Hop != "" || len(all) != 3 || all[1].State != "ok" {
			t.Errorf("over a websocket: %+v", all)
		}
		if v := o.service.Violations(); len(v) > 0 || o.service.Counts().Posts > 0 {
			t.Errorf("something was sent to Certyo: %v", v)
		}
	})
}

// TestWalkFails breaks one hop after the other, for each service.
func TestWalkFails(t *testing.T) {
	o := newOutside(t, servers.MySQL(t))
	full, shut, picky := deaf(t), uplinktest.Refusing(t), behindTLS(t, o.cert, o.service.Addr(), tls.RequireAnyClientCert)
	for _, c := range []struct {
		name   string
		target string
		spoil  func(*config)
		hop    string
		says   string // in text or advice
	}{
		{"no such name", "mysql", func(c *config) { c.MySQL.Address = "nowhere.invalid:3306" }, "dns", ""},
		{"no such name", "certyo", func(c *config) { c.Certyo.URL = "https://nowhere.invalid" }, "dns", ""},
		{"no such name", "broker", func(c *config) { c.Fleet.Brokers = []string{"wss://nowhere.invalid/mqtt"} }, "dns", ""},
		{"closed port", "mysql", func(c *config) { c.MySQL.Address = shut }, "tcp", "127.0.0.1 → " + shut},
		{"closed port", "certyo", func(c *config) { c.Certyo.URL = "https://" + shut }, "tcp", "is the port right"},
		{"closed port", "broker", func(c *config) { c.Fleet.Brokers = []string{"ssl://" + shut} }, "tcp", "is the port right"},
		{"closed port", "broker", func(c *config) { c.Fleet.Brokers = []string{"wss://" + shut} }, "tcp", "is the port right"},
		{"firewall", "mysql", func(c *config) { c.MySQL.Address = full }, "tcp", "a firewall"},
		{"firewall", "certyo", func(c *config) { c.Certyo.URL = "https://" + full }, "tcp", "a firewall"},
		{"firewall", "broker", func(c *config) { c.Fleet.Brokers = []string{"ssl://" + full} }, "tcp", "a firewall"},
		{"wrong CA", "mysql", func(c *config) { c.MySQL.TLS, c.MySQL.CAFile = "verify-ca", o.stranger }, "tls", "isn't the issuer"},
		{"wrong CA", "certyo", func(c *config) { c.Certyo.CAFile = o.stranger }, "tls", "isn't the issuer"},
		{"wrong CA", "broker", func(c *config) { c.Fleet.CAFile = o.stranger }, "tls", "isn't the issuer"},
		{"client certificate", "certyo", func(c *config) { c.Certyo.URL = "https://" + picky }, "tls", "client certificate"},
		{"client certificate", "broker", func(c *config) { c.Fleet.Brokers = []string{"ssl://" + picky} }, "tls", "client certificate"},
		{"no TLS there", "certyo", func(c *config) { c.Certyo.URL = "https://" + o.service.Addr() }, "tls", "doesn't speak TLS"},
		{"wrong password", "mysql/station", func(c *config) { c.MySQL.PasswordFile = secret(o.path("wrong")) }, "login", "1045"},
		{"wrong password", "mysql/capture", func(c *config) { c.Capture.PasswordFile = secret(o.path("wrong")) }, "login", "1045"},
		{"no such schema", "mysql", func(c *config) { c.MySQL.Schema = "elsewhere" }, "login", "elsewhere"},
		{"wrong key", "certyo", func(c *config) { c.Certyo.KeyFile = secret(o.path("wrong")) }, "login", "refused the key"},
		{"wrong tenant", "certyo", func(c *config) { c.Certyo.Tenant = "other" }, "login", "refused the key"},
		{"wrong password", "broker", func(c *config) { c.Fleet.PasswordFile = secret(o.path("wrong")) }, "login", "refuses user"},
		{"no secret", "mysql", func(c *config) { c.MySQL.PasswordFile = secret(o.path("none")) }, "login", "no such file"},
		{"no secret", "certyo", func(c *config) { c.Certyo.KeyFile = secret(o.path("none")) }, "login", "no such file"},
		{"no secret", "broker", func(c *config) { c.Fleet.PasswordFile = secret(o.path("none")) }, "login", "no such file"},
	} {
		cfg := o.config()
		c.spoil(cfg)
		limit := unhurried
		if c.name == "firewall" || c.name == "no such name" {
			limit = hasty
		}
		failed, all := walked(t, cfg, c.target, limit)
		if failed.Hop != c.hop || failed.Text == "" || !strings.Contains(failed.Text+failed.Advice, c.says) {
			t.Errorf("%s, %s: %+v, want %s", c.target, c.name, all, c.hop)
		}
		if text := fmt.Sprint(all); strings.Contains(text, "wrong-secret") || strings.Contains(text, checkKey) {
			t.Errorf("%s, %s: a secret is told: %s", c.target, c.name, text)
		}
	}
}

// TestWalkIsSilent holds that a service which takes the connection and says nothing is named, in bounded time.
func TestWalkIsSilent(t *testing.T) {
	o := newOutside(t, servers.MariaDB(t))
	for target, want := range map[string]string{"mysql": "login", "certyo": "login", "broker": "login"} {
		for _, p := range []*uplinktest.Proxy{o.db, o.cloud, o.broker} {
			p.BlackHole()
		}
		began := time.Now()
		failed, all := walked(t, o.config(), target, hasty)
		if failed.Hop != want || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %+v after %v", target, all, time.Since(began))
		}
	}
	c := o.config()
	c.MySQL.TLS = "verify"
	if failed, all := walked(t, c, "mysql", hasty); failed.Hop != "greeting" || !strings.Contains(failed.Advice, "nothing is said") {
		t.Errorf("%+v", all)
	}
	for _, p := range []*uplinktest.Proxy{o.db, o.cloud, o.broker} {
		p.Restore()
	}
	if failed, all := walked(t, c, "mysql", unhurried); failed.Hop != "tls" || !strings.Contains(failed.Text, "TLS") {
		t.Errorf("a server without TLS: %+v", all)
	}
}
