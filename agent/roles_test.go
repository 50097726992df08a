package main

import (
	"strings"
	"testing"

	"station-agent/station"
)

// TestCheckTellsWhatNobodyCanDo at a bench whose configuration is sound.
func TestCheckTellsWhatNobodyCanDo(t *testing.T) {
	scanner, mat, pad := readerConfig{Kind: "barcode", Role: "any"}, readerConfig{Kind: "rfid", Role: "any"}, readerConfig{Kind: "buttons", Role: "any"}
	labels := readerConfig{Kind: "barcode", Role: "package"}
	for _, c := range []struct {
		readers []readerConfig
		buttons int
		want    string
	}{
		{[]readerConfig{scanner}, 0, ""},
		{[]readerConfig{mat}, 1, "no reader can open a package"},
		{[]readerConfig{mat, pad}, 0, "no reader can open a package"},
		{[]readerConfig{labels, mat}, 0, "nobody can close"},
		{[]readerConfig{labels, mat}, 1, ""},
		{[]readerConfig{labels, mat, pad}, 0, ""},
	} {
		list := (&config{Readers: c.readers, Buttons: make([]buttonConfig, c.buttons)}).lacking()
		if got := strings.Join(list, "|"); c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || len(list) > 1 {
			t.Errorf("%+v: %s, want %s", c.readers, got, c.want)
		}
	}
}

// TestRolesReachTheBench by the readers' names, and their settings the readers.
func TestRolesReachTheBench(t *testing.T) {
	power := 20.0
	c := &config{Readers: []readerConfig{{Name: "s", Role: "package", Protocol: "line"}, {Name: "m", Role: "item", Protocol: "r2000", Power: &power, Region: "eu"},
		{Name: "l", Role: "any", Protocol: "r2000", Listen: true}}}
	r, err := c.rules()
	if err != nil || r.Roles["s"] != station.ForPackages || r.Roles["m"] != station.ForItems {
		t.Errorf("%v, %v", r.Roles, err)
	}
	if s := c.Readers[1].settings(); s == nil || *s.Power != 20 || s.Region != "eu" || c.Readers[0].settings() != nil || c.Readers[2].settings() != nil {
		t.Errorf("%+v", s)
	}
}
