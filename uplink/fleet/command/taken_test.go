package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ends(nonce string, at time.Time) message.Command {
	c := order(Restart)
	c.Nonce, c.Expires = nonce, at
	return c
}

// take takes a command, through the disk.
func take(t *testing.T, on Taken, c message.Command, now time.Time) (Taken, error) {
	t.Helper()
	if err := on.Check("anna", c, now); err != nil {
		return on, err
	}
	text, err := json.Marshal(on.With("anna", c, now))
	if err != nil {
		t.Fatal(err)
	}
	var kept Taken
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	return kept, nil
}

func TestACommandIsTakenOnceAndInTime(t *testing.T) {
	on, err := take(t, Taken{}, ends("a", noon.Add(time.Minute)), noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		c    message.Command
		now  time.Time
		want error
	}{
		"again":                  {ends("a", noon.Add(time.Minute)), noon, ErrReplayed},
		"again, to end later":    {ends("a", noon.Add(5*time.Minute)), noon, ErrReplayed},
		"another":                {ends("b", noon.Add(time.Minute)), noon, nil},
		"ended":                  {ends("b", noon), noon, ErrLate},
		"in ten minutes":         {ends("b", noon.Add(Ahead)), noon, nil},
		"in more than that":      {ends("b", noon.Add(Ahead+time.Second)), noon, ErrAhead},
		"never":                  {ends("b", time.Time{}), noon, ErrLate},
		"at the end of all days": {ends("b", time.Unix(1<<60, 0)), noon, ErrAhead},
	} {
		if err := on.Check("anna", c.c, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := on.Check("bert", ends("a", noon.Add(time.Minute)), noon); err != nil {
		t.Errorf("another key may use the nonce: %v", err)
	}
}

// What was forgotten as its time was over can't come again when the clock is set back.
func TestAClockThatJumpsBackOpensNothing(t *testing.T) {
	on, _ := take(t, Taken{}, ends("a", noon.Add(time.Minute)), noon)
	ahead := noon.Add(24 * time.Hour)
	on, err := take(t, on, ends("b", ahead.Add(time.Minute)), ahead)
	if err != nil || on.Has("anna", "a") {
		t.Fatalf("%+v %v", on, err)
	}
	if _, err := take(t, on, ends("a", noon.Add(time.Minute)), noon); !errors.Is(err, ErrFloor) {
		t.Errorf("one that was forgotten: %v", err)
	}
	if _, err := take(t, on, ends("b", ahead.Add(time.Minute)), ahead); !errors.Is(err, ErrReplayed) {
		t.Errorf("one that is remembered: %v", err)
	}
	if _, err := take(t, on, ends("c", noon.Add(2*time.Minute)), noon); err != nil {
		t.Errorf("a new one: %v", err)
	}
}

func TestAFloodIsBoundedAndNothingComesTwice(t *testing.T) {
	on := Taken{}
	var first message.Command
	for i := range mostTaken + 10 {
		c := ends(fmt.Sprint("n", i), noon.Add(time.Minute+time.Duration(i)*time.Millisecond))
		if i == 0 {
			first = c
		}
		if err := on.Check("anna", c, noon); err != nil {
			t.Fatal(err)
		}
		on = on.With("anna", c, noon)
	}
	if len(on.List) != mostTaken || on.Check("anna", first, noon) == nil {
		t.Errorf("%d are remembered; the first: %v", len(on.List), on.Check("anna", first, noon))
	}
}

func TestAChallengeOpensOnceAndNotForLong(t *testing.T) {
	var c Challenges
	cmd := ends("a", time.Time{})
	cmd.Challenge = c.Give("anna", "a", noon)
	if c.Give("anna", "a", noon) != cmd.Challenge || c.Give("bert", "a", noon) == cmd.Challenge || len(cmd.Challenge) < 20 {
		t.Errorf("challenge %q", cmd.Challenge)
	}
	other := ends("b", time.Time{}) // signed anew
	other.Challenge = cmd.Challenge
	if c.Use("bert", cmd, noon) == nil {
		t.Error("it opened for another key")
	}
	if err := c.Use("anna", other, noon.Add(ChallengeFor)); err != nil {
		t.Errorf("in time: %v", err)
	}
	if c.Use("anna", cmd, noon.Add(ChallengeFor)) == nil {
		t.Error("it opened twice")
	}
	cmd.Challenge = c.Give("anna", "a", noon)
	if c.Use("anna", cmd, noon.Add(ChallengeFor+time.Second)) == nil {
		t.Error("it was too old")
	}
	cmd.Challenge = ""
	if c.Use("anna", cmd, noon) == nil {
		t.Error("no challenge at all")
	}
	for i := range 10 * mostGiven {
		c.Give("anna", fmt.Sprint(i), noon)
	}
	if len(c.given) > mostGiven {
		t.Errorf("%d challenges", len(c.given))
	}
}

// FuzzEnvelope holds that no bytes of the broker do harm, and none is taken that wasn't signed.
func FuzzEnvelope(f *testing.F) {
	anna, private := holder("anna", Admin)
	good, _ := Sign(order(Restart), "anna", private)
	plain, _ := Sign(order(Identify), "", nil)
	for _, e := range []message.Envelope{good, plain, {Key: "anna"}, {Body: []byte("null")}, {Key: "anna", Body: good.Body, Signature: make([]byte, 64)}} {
		text, _ := json.Marshal(e)
		f.Add(text)
	}
	f.Add([]byte(`{"key":["anna"],"body":"bnVsbA==","signature":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := message.Decode[message.Envelope](payload)
		if err != nil {
			return
		}
		Claims(e)
		c, k, err := Verify(e, Keys{"anna": anna}, here)
		if err != nil {
			return
		}
		if k.ID != "" && string(e.Body) != string(good.Body) {
			t.Errorf("taken as signed by %s: %q", k.ID, e.Body)
		}
		if c.Station != here.Station || len(c.Nonce) < leastWord {
			t.Errorf("taken: %+v", c)
		}
	})
}
