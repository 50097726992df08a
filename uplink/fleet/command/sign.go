package command

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"station-agent/uplink/fleet/message"
)

const (
	context   = "station-agent command 1"
	leastWord = 16 // characters of a nonce
	mostWord  = 64
	mostBody  = 512 << 10

	// Ahead is how far in the future a command may end.
	Ahead = 10 * time.Minute
)

// Why an envelope is refused.
var (
	ErrForm      = errors.New("it has no form of a command")
	ErrUnknown   = errors.New("nobody here knows the key: see the station's fleet.keys_file")
	ErrRevoked   = errors.New("the key was revoked")
	ErrForged    = errors.New("the signature is not that of the key: the command was changed, or signed with another key")
	ErrElsewhere = errors.New("it was made for another station or environment")
)

// signed is the text that a signature is of.
func signed(id string, body []byte) []byte {
	return append([]byte(context+"\n"+id+"\n"), body...)
}

// Sign makes the envelope of a command: signed with key, which the station knows as id; without a key and an id unsigned, for a
// station that lets the broker's list of rights stand for a signature.
func Sign(c message.Command, id string, key ed25519.PrivateKey) (message.Envelope, error) {
	if len(c.Args) == 0 {
		c.Args = json.RawMessage("{}")
	}
	body, err := json.Marshal(c)
	if err == nil {
		err = form(c)
	}
	switch {
	case err != nil:
		return message.Envelope{}, fmt.Errorf("sign command: %w", err)
	case len(body) > mostBody:
		return message.Envelope{}, fmt.Errorf("sign command: it has %d bytes, and no more than %d are read", len(body), mostBody)
	case id == "" && key == nil:
		return message.Envelope{Body: body}, nil
	case !only(id, plain+".", 1, mostID) || len(key) != ed25519.PrivateKeySize:
		return message.Envelope{}, errors.New("sign command: name the key by the id that stands in the station's file of keys")
	}
	return message.Envelope{Key: id, Body: body, Signature: ed25519.Sign(key, signed(id, body))}, nil
}

// form refuses a command that says not all it has to.
func form(c message.Command) error {
	switch {
	case c.Environment == "" || c.Station == "" || c.Command == "":
		return fmt.Errorf("%w: environment, station or command is missing", ErrForm)
	case !only(c.Nonce, plain, leastWord, mostWord):
		return fmt.Errorf("%w: a nonce is %d to %d letters, digits, - and _", ErrForm, leastWord, mostWord)
	case len(c.Challenge) > mostWord:
		return fmt.Errorf("%w: the challenge is none of a station", ErrForm)
	}
	return nil
}

// Verify gives the command in an envelope, and the key that signed it: one without an ID if nobody did. Nothing of the body is
// read before the signature was found right. Whether it comes in time, and for the first time, say Taken and Challenges.
func Verify(e message.Envelope, keys Keys, here message.Place) (message.Command, Key, error) {
	var k Key
	if e.Key != "" {
		known := false
		switch k, known = keys[e.Key]; {
		case !known:
			return message.Command{}, Key{}, ErrUnknown
		case k.Revoked:
			return message.Command{}, Key{}, ErrRevoked
		case len(k.Public) != ed25519.PublicKeySize || !ed25519.Verify(k.Public, signed(e.Key, e.Body), e.Signature):
			return message.Command{}, Key{}, ErrForged
		}
	}
	c, err := read(e.Body)
	switch {
	case err != nil:
		return message.Command{}, Key{}, err
	case c.Environment != here.Environment || c.Station != here.Station:
		return message.Command{}, Key{}, ErrElsewhere
	}
	return c, k, nil
}

func read(body []byte) (c message.Command, err error) {
	if len(body) > mostBody {
		return c, fmt.Errorf("%w: it has more than %d bytes", ErrForm, mostBody)
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, ErrForm // the decoder would repeat what stands there
	}
	return c, form(c)
}

// Claims is what an envelope says of itself, proven or not, so that a refusal reaches the one who sent it; false if it says
// nothing that a result could name.
func Claims(e message.Envelope) (nonce, name string, ok bool) {
	c, err := read(e.Body)
	if err != nil || !only(c.Command, plain, 1, mostWord) {
		return "", "", false
	}
	return c.Nonce, c.Command, true
}
