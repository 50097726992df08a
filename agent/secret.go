package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// secret names where a secret is kept: a file, or "credential:NAME" for one that systemd hands over. The configuration
// never holds the secret itself, and the value leaves this type only through read.
type secret string

const (
	credential = "credential:"
	maxSecret  = 64 << 10
)

// path tells the file behind s.
func (s secret) path() (string, error) {
	name, ok := strings.CutPrefix(string(s), credential)
	if !ok {
		return string(s), nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", fmt.Errorf("read credential %q: systemd gave none to this process: add LoadCredential=%s:FILE to the unit", name, name)
	}
	if name == "" || name != filepath.Base(name) {
		return "", fmt.Errorf("read credential %q: not a name", name)
	}
	return filepath.Join(dir, name), nil
}

// read gives the secret as it is now, so that a replaced file is picked up without a restart. Errors name the file, never
// its content.
func (s secret) read() (string, error) {
	path, err := s.path()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w: put the secret there, readable by this user", err)
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("read secret %s: longer than %d bytes", path, maxSecret)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("read secret %s: the file is empty", path)
	}
	return text, nil
}

// check refuses what is no place for a secret; it doesn't repeat it, as it may be the secret itself. Whether the file is
// there is a matter of the day, not of the configuration.
func (s secret) check() error {
	if s == "" {
		return errors.New("is missing: name a file that holds the secret, or credential:NAME")
	}
	if !strings.HasPrefix(string(s), credential) && !filepath.IsAbs(string(s)) {
		return errors.New("must be an absolute path or credential:NAME, never the secret itself")
	}
	return nil
}
