package command

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

var here = message.Place{Environment: "test", Station: "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"}

// holder is somebody with a key, the same in each run.
func holder(id string, role Role) (Key, ed25519.PrivateKey) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{id[0]}, ed25519.SeedSize))
	return Key{ID: id, Role: role, Public: private.Public().(ed25519.PublicKey)}, private
}

func order(name string) message.Command {
	return message.Command{Environment: here.Environment, Station: here.Station, Command: name, Args: json.RawMessage(`{"a":1}`),
		Nonce: "nonce-0123456789", Expires: time.Date(2026, 3, 1, 12, 5, 0, 0, time.UTC)}
}

func sign(t *testing.T, c message.Command, id string, key ed25519.PrivateKey) message.Envelope {
	t.Helper()
	e, err := Sign(c, id, key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWhatWasSignedIsTaken(t *testing.T) {
	anna, private := holder("anna", Admin)
	c, k, err := Verify(sign(t, order(Restart), "anna", private), Keys{"anna": anna}, here)
	if err != nil || c.Command != Restart || string(c.Args) != `{"a":1}` || k.ID != "anna" || k.Role != Admin {
		t.Errorf("%+v %+v %v", c, k, err)
	}
	c, k, err = Verify(sign(t, order(Identify), "", nil), Keys{"anna": anna}, here)
	if err != nil || c.Command != Identify || k.ID != "" || k.Role != "" {
		t.Errorf("unsigned: %+v %+v %v", c, k, err)
	}
}

func TestWhatIsNotRightIsRefused(t *testing.T) {
	anna, private := holder("anna", Admin)
	bert, other := holder("bert", Admin)
	bert.Revoked = true
	keys := Keys{"anna": anna, "bert": bert}
	good := sign(t, order(Restart), "anna", private)
	changed := func(f func(e *message.Envelope)) message.Envelope {
		e := message.Envelope{Key: good.Key, Body: bytes.Clone(good.Body), Signature: bytes.Clone(good.Signature)}
		f(&e)
		return e
	}
	elsewhere, otherwise := order(Restart), order(Restart)
	elsewhere.Station, otherwise.Environment = "1b0a7c3d-52c8-4f6e-8d3b-0c9d5d1e2f33", "production"
	for name, c := range map[string]struct {
		e    message.Envelope
		want error
	}{
		"body changed":            {changed(func(e *message.Envelope) { e.Body = bytes.Replace(e.Body, []byte(`"a":1`), []byte(`"a":2`), 1) }), ErrForged},
		"signature changed":       {changed(func(e *message.Envelope) { e.Signature[3] ^= 1 }), ErrForged},
		"signature missing":       {changed(func(e *message.Envelope) { e.Signature = nil }), ErrForged},
		"signature too long":      {changed(func(e *message.Envelope) { e.Signature = append(e.Signature, 0) }), ErrForged},
		"another's key":           {sign(t, order(Restart), "anna", other), ErrForged},
		"another's name":          {changed(func(e *message.Envelope) { e.Key = "carl" }), ErrUnknown},
		"revoked":                 {sign(t, order(Restart), "bert", other), ErrRevoked},
		"wrong station":           {sign(t, elsewhere, "anna", private), ErrElsewhere},
		"wrong environment":       {sign(t, otherwise, "anna", private), ErrElsewhere},
		"no signature and no key": {message.Envelope{Body: []byte(`{"environment":"test"}`)}, ErrForm},
		"garbage":                 {message.Envelope{Body: []byte("\x00\xff{")}, ErrForm},
		"nothing":                 {message.Envelope{}, ErrForm},
		"too long":                {message.Envelope{Body: make([]byte, mostBody+1)}, ErrForm},
	} {
		if _, k, err := Verify(c.e, keys, here); !errors.Is(err, c.want) || k.ID != "" {
			t.Errorf("%s: %+v %v, want %v", name, k, err, c.want)
		}
	}
}

// A signature of one key id and body is none of another pair that makes up the same bytes, nor of anything else that is signed.
func TestASignatureIsOfIDAndBodyAndPurpose(t *testing.T) {
	anna, private := holder("anna", Admin)
	e := sign(t, order(Restart), "anna", private)
	if _, _, err := Verify(message.Envelope{Key: "anna", Body: e.Body, Signature: ed25519.Sign(private, e.Body)}, Keys{"anna": anna}, here); !errors.Is(err, ErrForged) {
		t.Errorf("the body alone was signed: %v", err)
	}
	if _, err := Sign(order(Restart), "anna\nx", private); err == nil {
		t.Error("a key id of two lines")
	}
}

func TestANonceHasAForm(t *testing.T) {
	for _, nonce := range []string{"", "short", strings.Repeat("x", 65), "0123456789abcde\n", "0123456789abcdeř", "0123456789 abcdef"} {
		c := order(Identify)
		c.Nonce = nonce
		if _, err := Sign(c, "", nil); !errors.Is(err, ErrForm) {
			t.Errorf("%q: %v", nonce, err)
		}
	}
}

func TestRolesMayWhatTheyMay(t *testing.T) {
	got := ""
	for _, name := range Names() {
		need, ok := Needs(name)
		if !ok {
			t.Errorf("nobody may %s", name)
		}
		got += fmt.Sprintf("%s %v%v%v\n", name, Observer.May(need), Operator.May(need), Admin.May(need))
	}
	if n := strings.Count(got, "truetruetrue"); n != 4 {
		t.Errorf("an observer may %d things:\n%s", n, got)
	}
	if n := strings.Count(got, "falsetruetrue"); n != 8 {
		t.Errorf("an operator may %d things more:\n%s", n, got)
	}
	if _, ok := Needs("reboot"); ok || Role("").May(Observer) || Role("root").May(Observer) || Admin.May("root") == Admin.May(Admin) && Role("x").May("x") {
		t.Error("a command or a role that isn't there")
	}
}

func TestReadKeys(t *testing.T) {
	anna, _ := holder("anna", Admin)
	bert, _ := holder("bert", Operator)
	bert.Revoked = true
	file := "# who may\n\n" + anna.String() + "  # since May\n" + bert.String() + "\r\n" +
		"carl admin c2hvcnQ=\n" + "dora chief " + base64.StdEncoding.EncodeToString(anna.Public) + "\n" + "s3cret\n"
	list, err := ReadKeys([]byte(file))
	if err == nil || len(list) != 2 || !list[0].Public.Equal(anna.Public) || list[0].Revoked || !list[1].Revoked || list[1].Role != Operator {
		t.Errorf("%+v %v", list, err)
	}
	for _, want := range []string{"line 5 key carl", "line 6 key dora", "line 7 is no line"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Error("the line is repeated: somebody may have put a private key there")
	}
	twice := anna.String() + "\n" + bert.String() + "\nanna observer " + base64.StdEncoding.EncodeToString(bert.Public) + "\n"
	if list, err := ReadKeys([]byte(twice)); err == nil || len(list) != 1 || list[0].ID != "bert" {
		t.Errorf("an id that stands there twice: %+v %v", list, err)
	}
}

func lines(t *testing.T, keys ...string) []Line {
	t.Helper()
	list, err := ReadKeys([]byte(strings.Join(keys, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTheLastAdminStays(t *testing.T) {
	anna, _ := holder("anna", Admin)
	bert, _ := holder("bert", Admin)
	carl, _ := holder("carl", Operator)
	file := lines(t, anna.String(), carl.String())
	if _, err := (Changes{}).Revoke(file, "anna"); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("revoked: %v", err)
	}
	less := anna
	less.Role = Observer
	if _, err := (Changes{}).Trust(file, less); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("made an observer: %v", err)
	}
	c, err := Changes{}.Trust(file, bert)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = c.Revoke(file, "anna"); err != nil || !c.Over(file)["anna"].Revoked || c.Over(file)["bert"].Revoked {
		t.Errorf("rotated: %+v %v", c.Over(file), err)
	}
	if _, err := c.Revoke(file, "bert"); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("revoked the new one: %v", err)
	}
	if _, err := c.Trust(file, anna); err == nil {
		t.Error("a revoked key came back")
	}
	if _, err := c.Revoke(file, "dora"); err == nil {
		t.Error("revoked a key that isn't there")
	}
}

// What commands said of a key holds until its line in the file changes; that of another key doesn't matter.
func TestWhoEditsTheLineHasTheLastWord(t *testing.T) {
	anna, _ := holder("anna", Admin)
	bert, _ := holder("bert", Admin)
	carl, _ := holder("carl", Admin)
	file := lines(t, anna.String(), bert.String())
	c, err := Changes{}.Revoke(file, "bert")
	if err == nil {
		c, err = c.Trust(file, carl)
	}
	if err != nil {
		t.Fatal(err)
	}
	dora, _ := holder("dora", Observer)
	if k := c.Over(lines(t, anna.String(), bert.String(), dora.String())); !k["bert"].Revoked || k["carl"].Role != Admin || len(k) != 4 {
		t.Errorf("another line came: %+v", k)
	}
	if k := c.Over(lines(t, anna.String(), bert.String()+" # back again", carl.String()+" revoked")); k["bert"].Revoked || !k["carl"].Revoked {
		t.Errorf("their lines changed: %+v", k)
	}
	broken := Changes{"bert": {Line: bert.String(), Key: "bert admin"}, "anna": {Line: anna.String(), Key: carl.String()}}
	if k := broken.Over(file); !k["bert"].Revoked || !k["anna"].Revoked || k["carl"].ID != "" {
		t.Errorf("changes that can't be read: %+v", k)
	}
}

func TestPrivateKeysAreThoseOfOpenSSL(t *testing.T) {
	_, private := holder("anna", Admin)
	text, err := MarshalPrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParsePrivate(text); err != nil || !got.Equal(private) {
		t.Errorf("%v", err)
	}
	const made = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n" // RFC 8032, 7.1, test 1
	got, err := ParsePrivate([]byte(made))
	if err != nil || fmt.Sprintf("%x", got.Public()) != "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" {
		t.Errorf("%x %v", got, err)
	}
	for _, bad := range []string{"", "s3cret", "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n", strings.ReplaceAll(made, "PRIVATE", "PUBLIC")} {
		if _, err := ParsePrivate([]byte(bad)); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestASealedSecretIsForOneStation(t *testing.T) {
	public, private, err := NewPair()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := Seal([]byte("s3cret"), public)
	if err != nil || bytes.Contains(sealed, []byte("s3cret")) {
		t.Fatalf("%q %v", sealed, err)
	}
	if got, err := Open(sealed, public, private); err != nil || string(got) != "s3cret" {
		t.Errorf("%q %v", got, err)
	}
	otherPublic, otherPrivate, _ := NewPair()
	if _, err := Open(sealed, otherPublic, otherPrivate); err == nil {
		t.Error("another station opened it")
	}
	sealed[40] ^= 1
	if _, err := Open(sealed, public, private); err == nil {
		t.Error("it was changed on its way")
	}
}

func TestFingerprint(t *testing.T) {
	if a, b := Fingerprint([]byte("s3cret\n")), Fingerprint([]byte("s3cret")); a != b || len(a) != 16 {
		t.Errorf("%s %s", a, b)
	}
	if Fingerprint([]byte("s3cret")) == Fingerprint([]byte("s3cres")) {
		t.Error("two secrets, one fingerprint")
	}
}
