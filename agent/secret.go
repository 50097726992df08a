package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secret names where a secret is kept: a file, or "credential:NAME" for one that systemd hands over. The configuration
// never holds the secret itself, and the value leaves this type only through read. Behind a NUL stands the file of the secret that
// the fleet may have sent in its place (see sealed.go).
type secret string

const (
	credential = "credential:"
	maxSecret  = 64 << 10
)

// String is the place as the configuration names it.
func (s secret) String() string {
	place, _, _ := strings.Cut(string(s), "\x00")
	return place
}

// path tells the file behind s.
func (s secret) path() (string, error) {
	name, ok := strings.CutPrefix(s.String(), credential)
	if !ok {
		return s.String(), nil
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
	if _, file, ok := strings.Cut(string(s), "\x00"); ok {
		if sent, stands, err := readSent(file, path); err != nil || stands {
			return string(sent), err
		}
	}
	if err != nil {
		return "", err
	}
	b, err := readBounded(path, maxSecret)
	if err != nil {
		return "", fmt.Errorf("read secret: %w: put the secret there, readable by this user", err)
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
	if strings.Contains(string(s), "\x00") {
		return errors.New("must not hold a NUL")
	}
	if s == "" {
		return errors.New("is missing: name a file that holds the secret, or credential:NAME")
	}
	if name, ok := strings.CutPrefix(string(s), credential); ok {
		if !only(strings.ToLower(name), small+digits+"-_.", 255) || strings.Trim(name, ".") == "" {
			return errors.New("must be credential:NAME with a plain name")
		}
	} else if !filepath.IsAbs(string(s)) {
		return errors.New("must be an absolute path or credential:NAME, never the secret itself")
	}
	return nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("longer than %d bytes", limit)}
	}
	return b, err
}
