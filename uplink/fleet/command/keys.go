package command

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key is the public half of a key that may sign. Its line in a file of keys is
//
//	anna admin MCowBQYDK2VwAyEAGb9EC…= revoked   # comment
//
// id, role, the 32 bytes of the public key in base64, and "revoked" behind one that isn't trusted any more.
type Key struct {
	ID      string
	Role    Role
	Public  ed25519.PublicKey
	Revoked bool
}

const (
	mostID   = 64
	mostKeys = 256
	plain    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
)

// only tells whether s has between least and most characters, all out of set.
func only(s, set string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, set) == ""
}

// String is the line of k.
func (k Key) String() string {
	line := k.ID + " " + string(k.Role) + " " + base64.StdEncoding.EncodeToString(k.Public)
	if k.Revoked {
		line += " revoked"
	}
	return line
}

// ParseKey reads one line. The error doesn't repeat what stands there.
func ParseKey(line string) (Key, error) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) != 3 && (len(words) != 4 || words[3] != "revoked") {
		return Key{}, errors.New("is no line of a key: write ID ROLE BASE64 and, behind one that isn't trusted any more, revoked")
	}
	k := Key{ID: words[0], Role: Role(words[1]), Revoked: len(words) == 4}
	public, err := base64.StdEncoding.DecodeString(words[2])
	k.Public = public
	switch {
	case !only(k.ID, plain+".", 1, mostID):
		return Key{}, fmt.Errorf("has no id of a key: 1 to %d letters, digits, dots, dashes and _", mostID)
	case !slices.Contains(roles(), k.Role):
		return Key{}, fmt.Errorf("key %s has no role: write observer, operator or admin", k.ID)
	case err != nil || len(public) != ed25519.PublicKeySize:
		return Key{}, fmt.Errorf("key %s holds no public key: write its %d bytes in base64", k.ID, ed25519.PublicKeySize)
	}
	return k, nil
}

// Line is one key of a file as it stands there.
type Line struct {
	Key
	Text string
}

// ReadKeys reads a file of keys. Lines that are wrong are left out and told in the error, both lines of an id that stands there
// twice too: what isn't sure isn't trusted.
func ReadKeys(file []byte) ([]Line, error) {
	var list []Line
	var errs []error
	seen := map[string]int{}
	for i, text := range strings.Split(string(file), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		k, err := ParseKey(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("line %d %w", i+1, err))
			continue
		case seen[k.ID] > 0:
			errs = append(errs, fmt.Errorf("line %d has the key %s, and so has line %d: give each an id of its own", i+1, k.ID, seen[k.ID]))
		case len(seen) == mostKeys:
			return list, errors.Join(append(errs, fmt.Errorf("line %d: more than %d keys are not read", i+1, mostKeys))...)
		default:
			seen[k.ID] = i + 1
			list = append(list, Line{k, text})
			continue
		}
		list = slices.DeleteFunc(list, func(l Line) bool { return l.ID == k.ID })
	}
	return list, errors.Join(errs...)
}

// Keys are those that count, by id.
type Keys map[string]Key

// admins counts the keys that may do everything.
func (k Keys) admins() (n int) {
	for _, key := range k {
		if key.Role == Admin && !key.Revoked {
			n++
		}
	}
	return n
}

// Changes are what signed commands have said about keys, by id. Each holds against the line of the file that it knew, and no
// longer than that line stands there: who edits it has the last word.
type Changes map[string]Change

// Change is one of them.
type Change struct {
	Line string `json:"line"` // of the file; "" for none
	Key  string `json:"key"`  // the line in its place
}

// Over gives the keys that count: those of the file, with the changes over them. A change that can't be read trusts nothing.
func (c Changes) Over(file []Line) Keys {
	keys, lines := Keys{}, map[string]string{}
	for _, l := range file {
		keys[l.ID], lines[l.ID] = l.Key, l.Text
	}
	for id, change := range c {
		if change.Line != lines[id] {
			continue
		}
		key, err := ParseKey(change.Key)
		if err != nil || key.ID != id {
			key = Key{ID: id, Revoked: true}
		}
		keys[id] = key
	}
	return keys
}

// ErrLastAdmin says that nobody could change anything any more.
var ErrLastAdmin = errors.New("it is the last key of an admin: trust another one first")

// Trust gives the changes with a key that is trusted from now on, in place of one of its id. A revoked one stays revoked.
func (c Changes) Trust(file []Line, k Key) (Changes, error) {
	now := c.Over(file)
	switch old, known := now[k.ID]; {
	case known && old.Revoked:
		return nil, fmt.Errorf("trust key %s: the key of this id was revoked: take another id", k.ID)
	case !known && len(now) >= mostKeys:
		return nil, fmt.Errorf("trust key %s: there are %d keys, and no more are read", k.ID, len(now))
	}
	changed, err := c.with(file, k)
	if err != nil {
		return nil, fmt.Errorf("trust key %s: %w", k.ID, err)
	}
	return changed, nil
}

// Revoke gives the changes with a key that isn't trusted any more.
func (c Changes) Revoke(file []Line, id string) (Changes, error) {
	k, known := c.Over(file)[id]
	if !known {
		return nil, fmt.Errorf("revoke key %q: there is none of this id", id)
	}
	k.Revoked = true
	changed, err := c.with(file, k)
	if err != nil {
		return nil, fmt.Errorf("revoke key %s: %w", id, err)
	}
	return changed, nil
}

func (c Changes) with(file []Line, k Key) (Changes, error) {
	change := Change{Key: k.String()}
	changed := Changes{}
	lines := map[string]string{}
	for _, l := range file {
		lines[l.ID] = l.Text
	}
	for id, old := range c {
		if old.Line == lines[id] { // else the file has the word again
			changed[id] = old
		}
	}
	change.Line = lines[k.ID]
	changed[k.ID] = change
	if changed.Over(file).admins() == 0 {
		return nil, ErrLastAdmin
	}
	return changed, nil
}

const pemType = "PRIVATE KEY"

// MarshalPrivate is the file of a private key: PKCS #8 in PEM, as openssl genpkey -algorithm ed25519 makes it.
func MarshalPrivate(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ParsePrivate reads the file of a private key. The error holds nothing of it.
func ParsePrivate(file []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(bytes.TrimSpace(file))
	if block == nil || block.Type != pemType {
		return nil, errors.New("it holds no private key in PEM (PKCS #8): openssl genpkey -algorithm ed25519 makes one")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if private, ok := key.(ed25519.PrivateKey); ok && err == nil {
		return private, nil
	}
	return nil, errors.New("it holds another kind of key: openssl genpkey -algorithm ed25519 makes the right one")
}
