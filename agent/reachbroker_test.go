package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/uplink/fleet"
	"station-agent/uplink/uplinktest"
)

// brokerAccess is the way of a configuration to a broker.
func brokerAccess(t *testing.T, f fleetConfig) fleet.Config {
	t.Helper()
	cfg, err := (&config{Environment: "test", Station: stationConfig{UUID: "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"}, Fleet: f}).fleet()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestBrokerTakesARenewedCertificateWithoutRestart replaces the files while the configuration stays as it was put together.
func TestBrokerTakesARenewedCertificateWithoutRestart(t *testing.T) {
	p := newPlace(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	renew := func(serial int64) {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, p.path("cert"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	}
	server, ca := certificate(t)
	seen := make(chan int64, 10)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert})
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
			secure := conn.(*tls.Conn)
			if err := secure.Handshake(); err == nil {
				seen <- secure.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
			}
			conn.Close() // it is no broker
		}
	}()
	cfg := brokerAccess(t, fleetConfig{Brokers: []string{"ssl://" + l.Addr().String()}, CAFile: ca, CertFile: p.path("cert"), CertKeyFile: p.path("key"), Interval: "30s"})
	if err := fleet.Probe(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "readable by this user") {
		t.Errorf("without the files: %v", err)
	}
	write(t, p.path("key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	for _, serial := range []int64{7, 8} {
		renew(serial)
		_ = fleet.Probe(t.Context(), cfg)
		if got := <-seen; got != serial {
			t.Errorf("it shows certificate %d, %d is there", got, serial)
		}
	}
}

// TestWalkToTheBrokerThroughAProxy names each hop, whatever the way, and what is wrong with the proxy.
func TestWalkToTheBrokerThroughAProxy(t *testing.T) {
	p := newPlace(t)
	broker := servers.Broker(t)
	server, ca := certificate(t)
	mqtts, webs := behindTLS(t, server, broker.Addr, tls.NoClientCert), behindTLS(t, server, broker.WebAddr, tls.NoClientCert)
	proxy := strings.TrimPrefix(uplinktest.NewTunnels(t, "me:pr0xy-secret").URL(), "http://")
	write(t, p.path("right"), "pr0xy-secret")
	write(t, p.path("wrong"), "wr0ng-secret")
	every := "dns tcp proxy tls login"
	for _, c := range []struct{ broker, proxy, file, failed, says, hops string }{
		{"ssl://" + mqtts, proxy, "right", "", "", every},
		{"wss://" + webs + "/mqtt", proxy, "right", "", "", every},
		{"ssl://" + mqtts, proxy, "wrong", "proxy", "ask who runs it", every},
		{"wss://" + webs, proxy, "wrong", "proxy", "fleet.proxy", every},
		{"ssl://" + uplinktest.Refusing(t), proxy, "right", "proxy", "502", every},
		{"ssl://" + mqtts, uplinktest.Refusing(t), "right", "tcp", "this is the way to proxy", every},
		{"ssl://" + mqtts, proxy, "none", "login", "no such file", "login"},
	} {
		cfg := *p.cfg
		cfg.Fleet = fleetConfig{Brokers: []string{c.broker}, CAFile: ca, Proxy: "http://" + c.proxy, ProxyUser: "me", ProxyFile: secret(p.path(c.file)), Interval: "30s"}
		failed, all := walked(t, &cfg, "broker", unhurried)
		if failed.Hop != c.failed || !strings.Contains(failed.Text+failed.Advice, c.says) || strings.Contains(failed.Text+failed.Advice, "-secret") {
			t.Errorf("%+v: %+v", c, all)
		}
		var names []string
		for _, h := range all {
			names = append(names, h.Hop)
		}
		if got := strings.Join(names, " "); got != c.hops {
			t.Errorf("hops %s", got)
		}
	}
}

func TestEnvironmentsProxyIsForWebsocketsOnly(t *testing.T) {
	ask := func(f fleetConfig, broker string) string {
		u, err := url.Parse(broker)
		if err != nil {
			t.Fatal(err)
		}
		through, err := f.proxy(u)
		if err != nil {
			t.Fatal(err)
		}
		if through == nil {
			return ""
		}
		return through.Host
	}
	named := fleetConfig{Proxy: "http://proxy.example.com:3128"}
	for _, broker := range []string{"ssl://b.example.com:8883", "wss://b.example.com/mqtt", "tcp://b.example.com:1883"} {
		if got := ask(named, broker); got != "proxy.example.com:3128" {
			t.Errorf("%s through %q", broker, got)
		}
	}
	if got := ask(fleetConfig{}, "ssl://b.example.com:8883"); got != "" {
		t.Errorf("nobody named it, and it is %q", got)
	}
}

// TestWalkIsStoppedByTheContext holds that a stop of the program doesn't wait for a websocket that never opens.
func TestWalkIsStoppedByTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil { // it was greeted, and says nothing
				taken <- struct{}{}
			}
		}
	}()
	for _, broker := range []string{"ws://", "wss://", "ssl://"} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- fleet.Probe(ctx, brokerAccess(t, fleetConfig{Brokers: []string{broker + l.Addr().String()}, Interval: "30s"}))
		}()
		<-taken
		cancel()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: %v", broker, errors.New("it found a broker"))
			}
		case <-time.After(5 * time.Second): // half of what dialing may take
			t.Errorf("%s: it goes on", broker)
		}
	}
}
