package main

import (
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
	u, err := url.Parse(c.Proxy)
	if err != nil || c.ProxyUser == "" {
		return u, err
	}
	password, err := c.ProxyFile.read()
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(c.ProxyUser, password)
	return u, nil
}

// fleet lacks the number of the start.
func (c *config) fleet() (fleet.Config, error) {
	f := c.Fleet
	tlsConfig, err := clientTLS(f.CAFile)
	return fleet.Config{
		Broker: f.Broker, Environment: c.Environment, Station: c.Station.UUID, Name: c.Station.Name, Version: version,
		User: f.User, Password: f.PasswordFile.read, TLS: tlsConfig, Interval: f.Interval.value(),
	}, err
}
