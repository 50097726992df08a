package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"station-agent/uplink/certyo"
	"station-agent/uplink/fleet"
	"station-agent/uplink/mysql"
)

// The configuration in the words of the packages that reach the outside: the agent works with it, and check tries it.

// mysqlAs is MySQL as one account.
func (c *config) mysqlAs(user string, password secret) (mysql.Config, error) {
	m := c.MySQL
	tlsConfig, err := mysql.NewTLS(m.tlsOptions())
	return mysql.Config{
		Address: m.Address, Schema: m.Schema, User: user, Password: password.read, TLS: tlsConfig,
		Program: "station-agent", Version: version, Station: c.Station.UUID,
	}, err
}

func (m *mysqlConfig) tlsOptions() mysql.TLSOptions {
	return mysql.TLSOptions{Mode: m.TLS, CAFile: m.CAFile, ServerName: m.ServerName, CertFile: m.CertFile, KeyFile: m.CertKeyFile}
}

func (c *config) certyo() (certyo.Config, error) {
	tlsConfig, err := clientTLS(c.Certyo.CAFile)
	cfg := certyo.Config{
		URL: c.Certyo.URL, Tenant: c.Certyo.Tenant, Client: c.Certyo.Client, Key: c.Certyo.KeyFile.read, KeyPlace: c.Certyo.KeyFile.String(),
		TLS: tlsConfig, Proxy: c.Certyo.proxy, BulkOnly: c.Certyo.Post == postBulk, VerifyForm: c.Certyo.VerifyForm,
		UserAgent: fmt.Sprintf("station-agent/%s (%s)", version, c.Station.UUID),
	}
	if c.Certyo.NextKeyFile != "" {
		cfg.Next, cfg.NextPlace = c.Certyo.NextKeyFile.read, c.Certyo.NextKeyFile.String()
	}
	return cfg, err
}

// proxy is the one of the configuration, with its password as it is now, else that of the environment.
func (c *certyoConfig) proxy(r *http.Request) (*url.URL, error) {
	if c.Proxy == "" {
		return http.ProxyFromEnvironment(r)
	}
	return proxyWith(c.Proxy, c.ProxyUser, c.ProxyFile)
}

// proxyWith is a proxy with its account.
func proxyWith(proxy, user string, file secret) (*url.URL, error) {
	u, err := url.Parse(proxy)
	if err != nil || user == "" {
		return u, err
	}
	password, err := file.read()
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(user, password)
	return u, nil
}

// proxy is the same for a broker. The environment's is for what is web, and none for any other scheme.
func (f *fleetConfig) proxy(broker *url.URL) (*url.URL, error) {
	if f.Proxy != "" {
		return proxyWith(f.Proxy, f.ProxyUser, f.ProxyFile)
	}
	web := map[string]string{"ws": "http", "wss": "https"}[broker.Scheme]
	through, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: web, Host: broker.Host}})
	if err != nil { // which would repeat it, and it may hold a password
		return nil, errors.New("HTTPS_PROXY or HTTP_PROXY in the environment is no address of a proxy")
	}
	return through, nil
}

// certificate reads the client certificate as it is now: a renewed one counts from the next connect on. One that can't be
// read is the broker's trouble, not the configuration's.
func (f *fleetConfig) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	cert, key := f.CertFile, f.CertKeyFile
	if f.pair != nil {
		cert, key = f.pair()
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate %s and key %s: %w: put there a pair in PEM form, readable by this user", cert, key, err)
	}
	return &pair, nil
}

// access is the way to the broker.
func (f *fleetConfig) access() (fleet.Access, error) {
	tlsConfig, err := clientTLS(f.CAFile)
	if err == nil && f.CertFile != "" {
		tlsConfig.GetClientCertificate = f.certificate
	}
	return fleet.Access{Brokers: f.Brokers, User: f.User, Password: f.PasswordFile.read, TLS: tlsConfig, Proxy: f.proxy}, err
}

// fleet lacks the number of the start, and what the parts give.
func (c *config) fleet() (fleet.Config, error) {
	f := c.Fleet
	access, err := f.access()
	return fleet.Config{
		Access:      access,
		Environment: c.Environment, Station: c.Station.UUID, Name: c.Station.Name, Version: version, Interval: f.Interval.value(),
		Hours: f.Hours, TimeZone: f.TimeZone,
	}, err
}
