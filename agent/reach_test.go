package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"station-agent/store/record"
	"station-agent/uplink/certyo"
)

// A configured proxy is used with its account as the file holds it now; no error tells the password.
func TestCertyoThroughTheProxy(t *testing.T) {
	took := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if user, password, _ := r.BasicAuth(); user != "station" || password != "right-secret" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		took = r.URL.Host
		w.WriteHeader(http.StatusAccepted)
	}))
	defer proxy.Close()
	p := newPlace(t)
	c := p.cfg
	write(t, p.path("key"), "certyo_sk_test_key")
	write(t, p.path("proxy"), "wrong-secret\n")
	c.Certyo.URL, c.Certyo.Tenant, c.Certyo.KeyFile = "http://127.0.0.1:9", "tovarna", secret(p.path("key"))
	c.Certyo.Proxy, c.Certyo.ProxyUser, c.Certyo.ProxyFile = proxy.URL, "station", secret(p.path("proxy"))
	cfg, err := c.certyo()
	if err != nil {
		t.Fatal(err)
	}
	post := func() error {
		_, err := certyo.New(cfg).Post(t.Context(), []record.Record{{ID: "row", Key: "key", Payload: []byte("{}")}})
		return err
	}
	if err := post(); err == nil || !strings.Contains(err.Error(), "certyo.proxy_user") || strings.Contains(err.Error(), "secret") {
		t.Fatal(err)
	}
	write(t, p.path("proxy"), "right-secret\n")
	if err := post(); err != nil || took != "127.0.0.1:9" {
		t.Fatalf("asked for %q: %v", took, err)
	}
	proxy.Close()
	if err := post(); err == nil || !strings.Contains(err.Error(), "check the proxy: certyo.proxy") || strings.Contains(err.Error(), "secret") {
		t.Fatal(err)
	}
}

// Both keys of the configuration get to the client, each with the place that a person knows.
func TestCertyoWithTwoKeys(t *testing.T) {
	p := newPlace(t)
	c := p.cfg
	write(t, p.path("old"), "certyo_sk_test_old")
	write(t, p.path("new"), "certyo_sk_test_new")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") != "certyo_sk_test_new" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	c.Certyo.URL, c.Certyo.Tenant = service.URL, "tovarna"
	c.Certyo.KeyFile, c.Certyo.NextKeyFile = secret(p.path("old")), secret(p.path("new"))
	cfg, err := c.certyo()
	if err != nil {
		t.Fatal(err)
	}
	client := certyo.New(cfg)
	if _, err := client.Check(t.Context()); err != nil || client.KeyPlace() != p.path("new") {
		t.Fatalf("in use is %q: %v", client.KeyPlace(), err)
	}
}
