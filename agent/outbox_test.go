package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"station-agent/store"
	"station-agent/store/record"
)

// TestOutboxCommands asks a running agent and the store of a stopped one for the same things.
func TestOutboxCommands(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.fill(150)
		if running {
			p.agent()
		}
		out := p.want(0, []string{"3: 2025-03-01T12:00:00Z update item 3 of buylo_products, 16 bytes, key key-3", "... of 150: --limit 0 lists all"}, "outbox", "list")
		if n := strings.Count(out, "key-"); n != 100 {
			t.Errorf("%d records listed", n)
		}
		all := letters(t, p.want(0, nil, "outbox", "list", "--json", "--limit", "0"))
		if len(all) != 150 || all[0].Seq != 3 || all[149].Key != "key-152" || all[0].Payload != nil {
			t.Errorf("%d records, first %+v", len(all), all[0])
		}
		p.want(0, []string{"2: 2025-03-01", "key-2", "refused 2", "no such tenant"}, "outbox", "list", "--refused")
		p.want(0, []string{"key         key-2", "refusal     no such tenant", `payload     {"name": "<ř>"}`}, "outbox", "show", "2")
		var l letter
		if err := json.Unmarshal([]byte(p.want(0, nil, "outbox", "show", "3", "--json")), &l); err != nil || string(l.Payload) != `{"name": "<ř>"}` || l.Refusal != "" {
			t.Errorf("%v %+v", err, l)
		}
		p.want(exitFailed, []string{"no such record"}, "outbox", "show", "1")
		p.want(exitFailed, []string{"record 9999", "no such record"}, "outbox", "drop", "9999", "--yes")
		p.want(exitUsage, nil, "outbox", "show", "x")
		p.want(exitUsage, nil, "outbox", "list", "--limit", "-1")
	}
}

// TestOutboxActs holds that a record comes back under its old number and key, and that nothing is dropped without a word.
func TestOutboxActs(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.fill(3) // 3, 4 and 5 wait, 2 was refused
		if running {
			p.agent()
		}
		p.want(exitUsage, []string{"never be anchored", "--yes"}, "outbox", "drop", "3")
		p.want(exitUsage, nil, "outbox", "retry")
		p.want(exitUsage, nil, "outbox", "retry", "2", "--all")
		p.want(exitUsage, nil, "outbox", "retry", "--all", "--refusal", "tenant")
		p.wantSeqs("2 refused", "--refused")
		p.wantSeqs("3 4 5")
		p.want(0, []string{"0 records are sent again"}, "outbox", "retry", "--refusal", "schema")
		p.want(0, []string{"1 records are sent again"}, "outbox", "retry", "--refusal", "such ten")
		p.wantSeqs("2 3 4 5")
		p.want(0, []string{"0 records are sent again"}, "outbox", "retry", "--all")
		p.want(0, []string{"2 records are dropped", "never be anchored"}, "outbox", "drop", "2", "4", "--yes")
		p.wantSeqs("3 5")
		p.want(exitFailed, []string{"record 4", "1 were done before it", "no such record"}, "outbox", "drop", "5", "4", "--yes")
		p.want(exitFailed, []string{"record 3", "no such record"}, "outbox", "retry", "3") // it waits already
		p.wantSeqs("3")
	}
}

// wantSeqs wants the numbers that outbox list gives.
func (p *place) wantSeqs(want string, args ...string) {
	p.t.Helper()
	var got []string
	for _, l := range letters(p.t, p.want(0, nil, append([]string{"outbox", "list", "--json"}, args...)...)) {
		got = append(got, fmt.Sprint(l.Seq))
		if l.Key != fmt.Sprint("key-", l.Seq) {
			p.t.Errorf("record %d has key %s", l.Seq, l.Key)
		}
		if l.Refusal != "" {
			got = append(got, "refused")
		}
	}
	if strings.Join(got, " ") != want {
		p.t.Errorf("%q are listed, want %s", got, want)
	}
}

// TestWhoMayLookMayNotChange holds that the two rights are two sockets, and that a refusal says who may.
func TestWhoMayLookMayNotChange(t *testing.T) {
	p := newPlace(t)
	p.fill(1)
	p.agent()
	look := p.cfg.Status.Socket
	if err := os.Rename(look, p.cfg.Status.ControlSocket); err != nil { // as if looking were enough
		t.Fatal(err)
	}
	p.want(exitFailed, nil, "outbox", "drop", "3", "--yes")
	if err := os.Rename(p.cfg.Status.ControlSocket, look); err != nil {
		t.Fatal(err)
	}
	p.wantSeqs("3")
	dir := t.TempDir()
	for name, c := range map[string]struct {
		mode os.FileMode
		want string
	}{"only": {0o600, "only user "}, "group": {0o660, " and group "}} {
		write(t, dir+"/"+name, "")
		if err := os.Chmod(dir+"/"+name, c.mode); err != nil {
			t.Fatal(err)
		}
		if got := whoMay(dir + "/" + name); !strings.Contains(got, c.want) || !strings.Contains(got, "sudo -u") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// broken breaks off in the middle.
type broken struct{ *store.DB }

func (b broken) Waiting(f func(record.Queued) error) error {
	if err := f(record.Queued{Seq: 1}); err != nil {
		return err
	}
	return store.ErrDamaged
}

// TestAListThatBreaksOffSaysSo: half a list must not pass for a whole one.
func TestAListThatBreaksOffSaysSo(t *testing.T) {
	p := newPlace(t)
	p.fill(1)
	st := p.open()
	d := desk{st, broken{st.DB}, p.cfg.Store.Folder, nil}
	req, err := newRequest(t.Context(), "GET", "/outbox?limit=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	res := direct(answer(d.list), req, st)
	n, err := printList(res.Body, io.Discard, false)
	if n != 1 || err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(n, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
}
