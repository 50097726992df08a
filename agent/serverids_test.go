package main

import "testing"

func TestServerIDs(t *testing.T) {
	for text, want := range map[idRange][2]uint32{"": {0, 0}, "1000-1999": {1000, 1000}, "5 - 5": {5, 1}, "1-4294967295": {1, 4294967295}} {
		c := captureConfig{ServerIDs: text}
		c.checkServerIDs(func(field string, err error) { t.Errorf("%q: %v", text, err) })
		if first, count := c.replicaIDs(); first != want[0] || count != want[1] {
			t.Errorf("%q: %d ids from %d", text, count, first)
		}
	}
	for _, text := range []idRange{"0-5", "7", "9-8", "1-4294967296", "-5", "a-b", "1-2-3"} {
		said := ""
		(&captureConfig{ServerIDs: text}).checkServerIDs(func(field string, _ error) { said = field })
		if said != "capture.server_ids" {
			t.Errorf("%q is taken", text)
		}
	}
	one := captureConfig{ServerID: 42}
	if first, count := one.replicaIDs(); first != 42 || count != 1 {
		t.Errorf("%d ids from %d", count, first)
	}
}
