package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"station-agent/store"
	cmds "station-agent/uplink/fleet/command"
)

// Secrets that the fleet sends are sealed to this station's key and kept in the store's folder, a file each:
//
//	<store>/secrets/station.key           the private key, X25519, 32 bytes
//	<store>/secrets/mysql.password_file   "station-agent sent secret 1 SALT DIGEST\n" and the secret
//
// DIGEST is of what stood at the place in the configuration when the secret came, "-" for nothing. As long as that still stands there the
// one that was sent counts, and when nothing does; who puts another one there has the last word. It is a digest and no time, as a Pi may have
// had no clock then, and systemd writes its credentials anew at each start. The folder is not in what store export writes.

const (
	sentHead = "station-agent sent secret 1 "
	nothing  = "-" // a digest
)

// secretField is a secret of the configuration.
type secretField struct {
	field string
	at    *secret
}

// secrets lists the secrets of the configuration by the names of their fields, also those that are not set.
func (c *config) secrets() []secretField {
	return []secretField{
		{"mysql.password_file", &c.MySQL.PasswordFile}, {"mysql.next_password_file", &c.MySQL.NextPasswordFile}, {"capture.password_file", &c.Capture.PasswordFile},
		{"certyo.key_file", &c.Certyo.KeyFile}, {"certyo.next_key_file", &c.Certyo.NextKeyFile},
		{"certyo.proxy_password_file", &c.Certyo.ProxyFile}, {"fleet.password_file", &c.Fleet.PasswordFile}, {"fleet.proxy_password_file", &c.Fleet.ProxyFile},
	}
}

// pemField is a file of the configuration in PEM form that may be sent like a secret.
type pemField struct {
	field string
	at    *string
	key   *string // of a certificate: the file of its private key. What is sent holds both
}

func (c *config) pems() []pemField {
	return []pemField{
		{"mysql.ca_file", &c.MySQL.CAFile, nil}, {"mysql.cert_file", &c.MySQL.CertFile, &c.MySQL.CertKeyFile},
		{"certyo.ca_file", &c.Certyo.CAFile, nil}, {"fleet.ca_file", &c.Fleet.CAFile, nil}, {fleetCert, &c.Fleet.CertFile, &c.Fleet.CertKeyFile},
	}
}

// fleetCert is the one file in PEM form that is read at each connect.
const fleetCert = "fleet.cert_file"

// brokersPair gives the files of the certificate for the broker and its key as they count now.
func (c *config) brokersPair() (cert, key string) {
	file := c.sentFile(fleetCert)
	if _, stands, err := readSent(file, c.configured[fleetCert]); err == nil && stands {
		return file, file
	}
	return c.configured[fleetCert], c.configured[fleetCert+" key"]
}

// written is the configuration as its file has it: without what was sent.
func (c *config) written() config {
	w := *c
	for _, s := range w.secrets() {
		*s.at = secret(s.at.String())
	}
	for _, f := range w.pems() {
		if was := c.configured[f.field]; was != *f.at {
			*f.at = was
			if f.key != nil {
				*f.key = c.configured[f.field+" key"]
			}
		}
	}
	return w
}

// sentFile is where the secret of a field lies that was sent.
func (c *config) sentFile(field string) string {
	return filepath.Join(c.Store.Folder, store.SecretsFolder, field)
}

// useSent lets the secrets that were sent count, now and when others come. A file in PEM form is chosen here, once, as it is
// read at the start, but for the certificate for the broker.
func (c *config) useSent() {
	alike := c.Capture.PasswordFile == c.MySQL.PasswordFile
	for _, s := range c.secrets() {
		if *s.at != "" {
			*s.at += secret("\x00" + c.sentFile(s.field))
		}
	}
	if alike { // the account of [mysql], or one whose password lies in the same file
		c.Capture.PasswordFile = c.MySQL.PasswordFile
	}
	if c.Fleet.CertFile != "" {
		c.Fleet.pair = c.brokersPair
	}
	c.configured = map[string]string{}
	for _, f := range c.pems() {
		c.configured[f.field] = *f.at
		if f.key != nil {
			c.configured[f.field+" key"] = *f.key
		}
		file := c.sentFile(f.field)
		if _, stands, err := readSent(file, *f.at); *f.at == "" || err != nil || !stands {
			continue
		}
		*f.at = file // what stands before the first block of PEM is no part of it
		if f.key != nil {
			*f.key = file
		}
	}
}

// readSent gives the secret in file if it counts in place of what stands at place.
func readSent(file, place string) (text []byte, stands bool, err error) {
	b, err := readBounded(file, maxSecret+1000)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read secret that was sent: %w", err)
	}
	head, text, _ := bytes.Cut(b, []byte("\n"))
	salt, digest, ok := strings.Cut(strings.TrimPrefix(string(head), sentHead), " ")
	if !ok || len(text) == 0 {
		return nil, false, fmt.Errorf("read secret %s: it is damaged: send it again, or remove it", file)
	}
	now := standing(salt, place)
	return text, now == nothing || subtle.ConstantTimeCompare([]byte(now), []byte(digest)) == 1, nil
}

// standing is the digest of what stands at place.
func standing(salt, place string) string {
	b, err := readBounded(place, maxSecret)
	if err != nil {
		return nothing
	}
	sum := sha256.Sum256(append([]byte(salt), bytes.TrimRight(b, "\r\n")...))
	return hex.EncodeToString(sum[:])
}

// sealed opens and keeps the secrets that the fleet sends.
type sealed struct {
	cfg *config
	mu  sync.Mutex
}

// folder makes the folder, which nobody else may look into.
func (s *sealed) folder() (string, error) {
	dir := filepath.Join(s.cfg.Store.Folder, store.SecretsFolder)
	return dir, os.MkdirAll(dir, 0o700)
}

// pair is the station's, made when somebody first asks for it.
func (s *sealed) pair() (public, private *[32]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.folder()
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "station.key")
	b, err := readBounded(file, 64)
	if err == nil && len(b) != 64 {
		err = fs.ErrNotExist // half of it is as good as none: whoever sealed to it asks again
	}
	if errors.Is(err, fs.ErrNotExist) {
		if public, private, err = cmds.NewPair(); err != nil {
			return nil, nil, err
		}
		return public, private, store.Replace(file, append(public[:], private[:]...))
	}
	if err != nil {
		return nil, nil, err
	}
	return (*[32]byte)(b[:32]), (*[32]byte)(b[32:]), nil
}

// set keeps the secret of a field, and tells its fingerprint. Later says that it is read at the next start only.
func (s *sealed) set(field string, box []byte) (fingerprint string, later bool, err error) {
	place, isPEM, err := s.place(field)
	if err != nil {
		return "", false, err
	}
	public, private, err := s.pair()
	if err != nil {
		return "", false, fmt.Errorf("read the station's key: %w", err)
	}
	text, err := cmds.Open(box, public, private)
	if err != nil {
		return "", false, err
	}
	text = bytes.TrimRight(text, "\r\n")
	if err := suits(field, isPEM, text); err != nil {
		return "", false, err
	}
	salt := rand.Text()
	head := sentHead + salt + " " + standing(salt, place) + "\n"
	if _, err := s.folder(); err != nil {
		return "", false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmds.Fingerprint(text), isPEM && field != fleetCert, store.Replace(s.cfg.sentFile(field), append([]byte(head), text...))
}

// place is where the configuration has the secret of a field.
func (s *sealed) place(field string) (place string, isPEM bool, err error) {
	var names []string
	for _, f := range s.cfg.secrets() {
		if names = append(names, f.field); f.field != field || *f.at == "" {
			continue
		}
		if field == "capture.password_file" && *f.at == s.cfg.MySQL.PasswordFile {
			return "", false, errors.New("the account of [capture] has the password of [mysql]: send mysql.password_file")
		}
		place, err = f.at.path()
		return place, false, err
	}
	for _, f := range s.cfg.pems() {
		if names = append(names, f.field); f.field == field && *f.at != "" {
			return s.cfg.configured[field], true, nil
		}
	}
	return "", false, fmt.Errorf("the configuration has no %s, or it is no secret: there are %s, and each has to be set there before", cut(field, 40), strings.Join(names, ", "))
}

// suits refuses what can't be the secret of a field. The error holds nothing of it.
func suits(field string, isPEM bool, text []byte) error {
	switch {
	case len(text) == 0 || len(text) > maxSecret:
		return fmt.Errorf("the secret has %d bytes: 1 to %d are kept", len(text), maxSecret)
	case !isPEM && bytes.ContainsAny(text, "\r\n\x00"):
		return errors.New("the secret has several lines: a password or key has one")
	case !isPEM:
		return nil
	case strings.HasSuffix(field, "ca_file"):
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return errors.New("it holds no certificate in PEM")
		}
	default:
		if _, err := tls.X509KeyPair(text, text); err != nil {
			return errors.New("it doesn't hold a certificate and its private key in PEM, one behind the other")
		}
	}
	return nil
}
