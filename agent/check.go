package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"station-agent/uplink/certyo"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

var errMissing = errors.New("is missing")

const (
	small  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

// only tells whether s has 1 to most characters, all of them out of set.
func only(s, set string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, set) == ""
}

// isUUID tells whether s is a UUID in small letters, the form in which stations are compared byte by byte.
func isUUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || !only(parts[i], digits+"abcdef", n) {
			return false
		}
	}
	return true
}

// report takes one wrong field.
type report func(field string, err error)

// need reports a field without a value.
func (r report) need(field, value string) bool {
	if strings.TrimSpace(value) == "" {
		r(field, errMissing)
		return false
	}
	return true
}

// oneOf reports a value outside the list.
func (r report) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r(field, fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", ")))
	}
}

// between reports a duration outside its bounds.
func (r report) between(field string, d duration, low, high time.Duration) {
	v, err := d.parse()
	if err == nil && (v < low || v > high) {
		err = fmt.Errorf("%s is not between %v and %v", string(d), low, high)
	}
	if err != nil {
		r(field, err)
	}
}

// number reports a number outside its bounds.
func (r report) number(field string, n, low, high int) {
	if n < low || n > high {
		r(field, fmt.Errorf("%d is not between %d and %d", n, low, high))
	}
}

// account reports a password without a user, and a user without a password. The fields' names begin with prefix.
func (r report) account(prefix, user string, password secret) {
	switch {
	case user != "":
		r.secret(prefix+"password_file", password)
	case password != "":
		r(prefix+"user", errors.New("is missing: there is a password_file for it"))
	}
}

// proxy reports a proxy that can't be one, and an account without it.
func (r report) proxy(prefix, proxy, user string, password secret) {
	if proxy != "" {
		if err := checkProxy(proxy); err != nil {
			r(prefix+"proxy", err)
		}
	} else if user != "" {
		r(prefix+"proxy", errors.New("is missing: there is a proxy_user for it"))
	}
	r.account(prefix+"proxy_", user, password)
}

// pair reports a client certificate without its key, and a key without its certificate.
func (r report) pair(prefix, cert, key string) {
	r.absolute(prefix+"cert_file", cert)
	r.absolute(prefix+"cert_key_file", key)
	if (cert == "") != (key == "") {
		r(prefix+"cert_file", errors.New("and cert_key_file belong together: name both or none"))
	}
}

// absolute reports a path that depends on where the program was started.
func (r report) absolute(field, path string) {
	if path != "" && !filepath.IsAbs(path) {
		r(field, fmt.Errorf("%q must be an absolute path", path))
	}
}

// authorities reports a file that holds no certificate authority. Unlike a secret it has to be there from the start: the
// part that needs it could not even be put together.
func (r report) authorities(field, file string) {
	r.absolute(field, file)
	if file == "" || !filepath.IsAbs(file) {
		return
	}
	if _, err := readAuthorities(file); err != nil {
		r(field, err)
	}
}

func (r report) secret(field string, s secret) {
	if err := s.check(); err != nil {
		r(field, err)
	}
}

// check reports every field that can't be right. It looks at the text, at certificate authorities and at the folder for
// evidence: a device, secret or server that is away now is not a wrong configuration.
func (c *config) check(r report) {
	if r.need("environment", c.Environment) && !only(c.Environment, small+digits+"-", 32) {
		r("environment", fmt.Errorf("%q is no name of an environment: use small letters, digits and dashes, such as test or production", c.Environment))
	}
	c.Station.check(r)
	c.Store.check(r)
	c.checkReaders(r)
	c.checkFeedback(r)
	c.Packing.check(r)
	c.MySQL.check(r)
	c.checkCapture(r)
	c.checkManifest(r)
	c.Certyo.check(r)
	c.Writeback.check(r)
	c.Fleet.check(r)
	c.Status.check(r)
	r.oneOf("log.level", c.Log.Level, logLevels()...)
	r.oneOf("log.format", c.Log.Format, "text", "json")
}

func (s *stationConfig) check(r report) {
	if r.need("station.uuid", s.UUID) && !isUUID(s.UUID) {
		r("station.uuid", fmt.Errorf("%q is no UUID in small letters, such as 7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11", s.UUID))
	}
	for _, a := range s.Agents {
		if !isUUID(a) {
			r("station.agents", fmt.Errorf("%q is no UUID in small letters", a))
		}
	}
}

// isAddress tells whether s is HOST:PORT.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0 && host != "" && !strings.ContainsAny(host, " @/\t")
}

func (m *mysqlConfig) check(r report) {
	if r.need("mysql.address", m.Address) && !isAddress(m.Address) { // not repeated: a password may have been put into it
		r("mysql.address", errors.New("is not HOST:PORT, such as db.example.com:3306; user and password have fields of their own"))
	}
	if r.need("mysql.schema", m.Schema) && !only(strings.ToLower(m.Schema), small+digits+"_", 64) {
		r("mysql.schema", fmt.Errorf("%q is no plain schema name", m.Schema))
	}
	if r.need("mysql.user", m.User) {
		r.secret("mysql.password_file", m.PasswordFile)
	}
	r.account("mysql.next_", m.NextUser, m.NextPasswordFile)
	if m.MapTable != "" && !isTable(m.MapTable) {
		r("mysql.map_table", fmt.Errorf("%q is no SCHEMA.TABLE in letters, digits and _", m.MapTable))
	}
	r.between("mysql.refresh", m.Refresh, 200*time.Millisecond, time.Minute)
	r.oneOf("mysql.tls", m.TLS, "verify", "verify-ca", "off")
	if m.TLS == "verify-ca" && m.CAFile == "" {
		r("mysql.ca_file", errors.New("is missing: tls = \"verify-ca\" needs the certificate authority to check against"))
	}
	r.authorities("mysql.ca_file", m.CAFile)
	r.pair("mysql.", m.CertFile, m.CertKeyFile)
}

// isTable tells whether s is SCHEMA.TABLE.
func isTable(s string) bool {
	schema, table, ok := strings.Cut(s, ".")
	plain := func(name string) bool { return only(strings.ToLower(name), small+digits+"_", 64) }
	return ok && plain(schema) && plain(table)
}

func (c *certyoConfig) check(r report) {
	if r.need("certyo.url", c.URL) {
		if err := checkURL(c.URL); err != nil {
			r("certyo.url", err)
		}
	}
	r.need("certyo.tenant", c.Tenant)
	r.secret("certyo.key_file", c.KeyFile)
	if c.NextKeyFile != "" {
		r.secret("certyo.next_key_file", c.NextKeyFile)
	}
	r.authorities("certyo.ca_file", c.CAFile)
	r.proxy("certyo.", c.Proxy, c.ProxyUser, c.ProxyFile)
	r.oneOf("certyo.post", c.Post, postAuto, postBulk)
	r.oneOf("certyo.verify_form", c.VerifyForm, certyo.VerifyForms()...)
	r.number("certyo.batch", c.Batch, 1, 1000)
	r.number("certyo.requests_per_minute", c.Requests, 6, 60_000)
	r.number("certyo.verify_share", c.VerifyShare, 1, 90)
	r.number("certyo.verify_per_second", c.VerifyRate, 0, 1000)
	r.number("certyo.max_unproven", c.MaxUnproven, 100, 1_000_000)
	r.number("certyo.max_refused", c.MaxRefused, 1, 100_000)
	r.number("certyo.max_refused_mb", c.RefusedMB, 1, 1000)
	r.between("certyo.linger", c.Linger, 0, 30*time.Second)
	r.number("certyo.parallel", c.Parallel, 1, 8)
	r.between("certyo.start_jitter", c.StartJitter, 0, 10*time.Minute)
	r.number("certyo.max_mb_per_day", c.MaxMBADay, 0, 1_000_000)
	for _, w := range c.Hours {
		if _, err := w.value(); err != nil {
			r("certyo.hours", err)
		}
	}
	if len(c.VerifyAfter) == 0 {
		r("certyo.verify_after", errMissing)
	}
	for _, d := range c.VerifyAfter {
		r.between("certyo.verify_after", d, 100*time.Millisecond, 24*time.Hour)
	}
}

// checkURL demands https, since the key travels in a header; plain http stays on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch { // the value isn't repeated: a key may have been put into it
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("is no address such as https://www.certyos.com")
	case u.User != nil || u.RawQuery != "":
		return errors.New("must hold neither a user nor a query: the key belongs into key_file")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("must begin with https://: over http the key could be read on the way")
	}
	return nil
}

// checkProxy demands an address that net/http can use; whatever may be a password isn't repeated.
func checkProxy(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme):
		return errors.New("is no address such as http://10.0.0.1:3128 (http, https or socks5)")
	case u.User != nil || u.RawQuery != "":
		return errors.New("must hold neither a user nor a query: they belong into proxy_user and proxy_password_file")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (f *fleetConfig) check(r report) {
	if f.Broker != "" && len(f.Brokers) > 0 && f.Broker != f.Brokers[0] {
		r("fleet.broker", errors.New("is the old name of brokers: name them there only"))
	}
	for _, b := range f.Brokers {
		f.checkBroker(r, b)
	}
	if _, err := message.NewHours(f.Hours, f.TimeZone); err != nil {
		r("fleet.hours", err)
	}
	if len(f.Brokers) == 0 {
		return // a station without a fleet
	}
	r.account("fleet.", f.User, f.PasswordFile)
	r.authorities("fleet.ca_file", f.CAFile)
	r.absolute("fleet.keys_file", f.KeysFile)
	for _, name := range f.Unsigned {
		if _, ok := cmds.Needs(name); !ok {
			r("fleet.unsigned_commands", fmt.Errorf("%q is no command: there are %s", name, strings.Join(cmds.Names(), ", ")))
		}
	}
	r.pair("fleet.", f.CertFile, f.CertKeyFile)
	r.proxy("fleet.", f.Proxy, f.ProxyUser, f.ProxyFile)
	r.between("fleet.interval", f.Interval, time.Second, time.Hour)
}

// checkBroker doesn't repeat the address: a password may have been put into it.
func (f *fleetConfig) checkBroker(r report, broker string) {
	field := "fleet.brokers"
	if f.Broker != "" {
		field = "fleet.broker"
	}
	u, err := url.Parse(broker)
	if err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"tcp", "ssl", "ws", "wss"}, u.Scheme) {
		r(field, errors.New("is no address such as ssl://broker.example.com:8883 (tcp, ssl, ws or wss; the user belongs into fleet.user)"))
	} else if f.User != "" && (u.Scheme == "tcp" || u.Scheme == "ws") && !loopback(u.Hostname()) {
		r(field, errors.New("must begin with ssl:// or wss:// when there is a user: the password could be read on the way"))
	}
}
