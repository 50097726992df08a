package command

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/nacl/box"
)

// Seal seals a secret so that only the holder of the private half of public, an X25519 key, can open it. It is libsodium's
// crypto_box_seal (PyNaCl: SealedBox).
func Seal(secret []byte, public *[32]byte) ([]byte, error) {
	return box.SealAnonymous(nil, secret, public, rand.Reader)
}

// Open opens what was sealed to a key.
func Open(sealed []byte, public, private *[32]byte) ([]byte, error) {
	secret, ok := box.OpenAnonymous(nil, sealed, public, private)
	if !ok {
		return nil, errors.New("open secret: it was sealed to another key: ask the station for its public key")
	}
	return secret, nil
}

// NewPair makes the pair of keys of a station.
func NewPair() (public, private *[32]byte, err error) { return box.GenerateKey(rand.Reader) }

const (
	printRounds = 50_000
	printBytes  = 8
)

// Fingerprint shows that two have the same secret, without a line end, and takes time, so that nobody who reads it finds a short
// secret by trying: PBKDF2 with HMAC-SHA-256, salt "station-agent fingerprint", 50,000 rounds, 8 bytes in hexadecimal.
func Fingerprint(secret []byte) string {
	sum, err := pbkdf2.Key(sha256.New, string(bytes.TrimRight(secret, "\r\n")), []byte("station-agent fingerprint"), printRounds, printBytes)
	if err != nil {
		return "" // only where the rules of FIPS 140 are enforced: the salt is long enough for them
	}
	return hex.EncodeToString(sum)
}
