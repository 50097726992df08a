package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station-agent/store"
	"station-agent/store/proof"
	"station-agent/store/record"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
	"station-agent/uplink/uplinktest"
)

var packed = time.Date(2026, 5, 19, 11, 0, 0, 0, time.UTC)

// goodsRow is a change of an item so many minutes after packed.
func goodsRow(n int, item, pkg string) record.Record {
	v, _ := json.Marshal(map[bool]any{true: nil, false: pkg}[pkg == ""])
	return record.Record{Database: "external", Collection: goods, ID: item, Version: fmt.Sprint(1000 + n), Op: record.Update, At: packed.Add(time.Duration(n) * time.Minute),
		Key: fmt.Sprint("key-", n), Payload: fmt.Appendf(nil, `{"hash":%q,"buylo_name":"Mug","buylo_ean":"8590000000017","external_package_id":%s}`, item, v)}
}

// packs makes a store in which two items were packed by scans into PKG-1; one was cleared again, the other moved to PKG-2. A third one
// waits for the database.
func (p *place) packs(t *testing.T) {
	t.Helper()
	st := p.open()
	defer st.Close()
	wish := func(item string, was, now record.Value) record.Intent {
		e, err := st.Journal.Append(record.Entry{Scan: &record.Scan{Tag: record.Tag{Reader: "scanner", Code: "code of " + item, Raw: []byte("raw bytes")}, Verdict: record.Accepted,
			Step: record.Added, Package: "PKG-1", Hash: item, Badge: &record.Badge{Pseudonym: "8f2c", Shift: 3}, Text: "in"},
			Intents: []record.Intent{{Hash: item, Package: now, Replaces: []record.Value{was}}}})
		if err != nil {
			t.Fatal(err)
		}
		return e.Intents[0]
	}
	put := func(n int, item, pkg string, i *record.Intent) {
		if err := st.DB.Put(record.Group{Records: []record.Record{goodsRow(n, item, pkg)}}); err != nil {
			t.Fatal(err)
		}
		if i != nil {
			if err := st.Journal.Settle(record.Outcome{Intent: i.ID, Result: record.Settled}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, item := range []string{"aa", "bb"} {
		i := wish(item, nil, record.Package("PKG-1"))
		put(n+1, item, "PKG-1", &i)
	}
	i := wish("bb", record.Package("PKG-1"), nil)
	put(3, "bb", "", &i)
	put(4, "aa", "PKG-2", nil)
	wish("cc", nil, record.Package("PKG-1"))
	if _, err := st.Journal.Append(record.Entry{Scan: &record.Scan{Verdict: record.Conflict, Package: "PKG-7", Hash: "aa"}}); err != nil {
		t.Fatal(err)
	}
	gap := record.Record{Database: "external", Collection: proof.Gaps, ID: "g", Version: "1", Op: record.Insert, At: packed, Key: "g", Payload: []byte(`{"collection":"buylo_products","reason":"the log was purged"}`)}
	if err := st.DB.Put(record.Group{Records: []record.Record{gap}}); err != nil {
		t.Fatal(err)
	}
}

// A running agent and the store of a stopped one tell the same of a package and of an item, now and as of a time.
func TestProofOfAPackageAndOfAnItem(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.packs(t)
		if running {
			p.agent()
		}
		out := p.want(0, []string{"Package PKG-1\n", "NOT PROVEN: it is empty.", "anchored: 0 of 2", "aa: put into package PKG-1", "aa: moved from package PKG-1 to package PKG-2",
			"bb: cleared, out of package PKG-1", `"code of aa" at reader scanner`, "badge 8f2c, shift 3", "waiting: not sent to Certyo yet", "Scanned, but the table doesn't show it",
			"cc into package PKG-1", "the log was purged"}, "proof", "PKG-1")
		if strings.Contains(out, "raw bytes") {
			t.Errorf("raw bytes: %s", out)
		}
		p.want(0, []string{"Package PKG-1 as of ", "NOT PROVEN: it holds 2 items.", "  aa  Mug, EAN 8590000000017\n"}, "proof", "PKG-1", "--at", "2026-05-19T11:02:30Z")
		p.want(0, []string{"it holds 1 item.", "  aa  Mug"}, "proof", "PKG-1", "--at", "2026-05-19T11:03:00Z")
		p.want(0, []string{"Package PKG-2", "it holds 1 item.", "moved from package PKG-1 to package PKG-2"}, "proof", "PKG-2")
		p.want(0, []string{"Item bb", "it is in no package."}, "proof", "bb")
		p.want(0, []string{"Item bb as of ", "it is in package PKG-1."}, "proof", "bb", "--at", "2026-05-19T11:02:30Z")
		p.want(0, []string{"Item cc", "no row shows it", "it waits for the database"}, "proof", "cc")
		p.want(exitFailed, []string{`prove "PKG-9"`, "no record and no scan", "evidence_days"}, "proof", "PKG-9")
		p.want(exitFailed, []string{`prove "PKG-1"`, "no record and no scan"}, "proof", "PKG-1", "--item")
		p.want(exitFailed, []string{`prove "bb"`, "until 2026-05-19T10:00:00Z"}, "proof", "bb", "--at", "2026-05-19T10:00:00Z")
		p.want(exitUsage, []string{"is no time"}, "proof", "PKG-1", "--at", "noon")
		p.want(exitUsage, []string{"name one package or item"}, "proof")
	}
}

// A file of proof --json or evidence export checks without a configuration, and tells the same; a changed one is found.
func TestFilesOfEvidence(t *testing.T) {
	for _, running := range []bool{true, false} {
		p := newPlace(t)
		p.packs(t)
		if running {
			p.agent()
		}
		one, all, zipped := p.path("one"), p.path("all"), p.path("all.gz")
		text := p.want(0, nil, "proof", "PKG-1", "--json")
		write(t, one, text)
		p.want(0, []string{"5 records and 5 scans are in " + all}, "evidence", "export", all)
		p.want(0, nil, "evidence", "export", zipped)
		p.want(0, []string{"2 records and "}, "evidence", "export", p.path("part"), "--since", "2026-05-19T11:02:00Z", "--until", "2026-05-19T11:04:00Z")
		p.want(exitFailed, []string{"export evidence to " + all, "name a new file"}, "evidence", "export", all)
		p.want(exitFailed, []string{"export evidence to /nowhere/file"}, "evidence", "export", "/nowhere/file")
		for _, file := range []string{one, all, zipped} {
			wantCommand(t, 0, []string{"the file is whole", "payloads that are the bytes", "Certyo was not asked", "proves nothing by itself"}, "proof", "verify", file)
		}
		wantCommand(t, 0, []string{"Package PKG-1\n", "NOT PROVEN: it is empty."}, "proof", "show", one)
		wantCommand(t, exitFailed, []string{"line 2", "it isn't written as station-agent"}, "proof", "verify", changedFile(t, one, `"verdict":"accepted"`, `"Verdict":"accepted"`))
		wantCommand(t, exitFailed, []string{"counts or checksum don't fit"}, "proof", "verify", changedFile(t, one, `8590000000017`, `8590000000018`))
		wantCommand(t, exitFailed, []string{"no such file"}, "proof", "verify", p.path("none"))
		if left, _ := filepath.Glob(p.path(".evidence-*")); len(left) > 0 {
			t.Errorf("left over: %q", left)
		}
		if !strings.Contains(text, `"verdict":"conflict"`) {
			t.Errorf("a scan that was refused is missing")
		}
		if strings.Contains(text, "cmF3IGJ5dGVz") || strings.Contains(text, "raw bytes") {
			t.Errorf("what the reader sent is in the file")
		}
	}
}

func wantCommand(t *testing.T, code int, words []string, args ...string) string {
	t.Helper()
	out, errs, got := command(t, args...)
	for _, w := range words {
		if got != code || !strings.Contains(out+errs, w) {
			t.Errorf("%v: exit %d, want %d with %q: %s%s", args, got, code, w, out, errs)
		}
	}
	return out
}

// changedFile is a copy in which something else stands.
func changedFile(t *testing.T, file, from, to string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), from) {
		t.Fatal(err, from)
	}
	changed := filepath.Join(t.TempDir(), "changed")
	write(t, changed, strings.Replace(string(b), from, to, 1))
	return changed
}

// Certyo's word counts: it confirms what it anchored, contradicts what was changed however well, and nothing is said for it while it
// can't be asked.
func TestCertyoIsAskedAnew(t *testing.T) {
	const key = "certyo_sk_test_1"
	cloud, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "t", Keys: []string{key}, FlushAfter: time.Millisecond, AnchorAfter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	p := newPlace(t)
	p.cfg.Certyo.VerifyAfter, p.cfg.Certyo.Tenant = []duration{"10ms"}, "t"
	p.packs(t)
	p.deliver(t, cloud.Addr(), key)
	p.agent()
	p.want(0, []string{"PROVEN: it holds 1 item. Certyo anchored it."}, "proof", "PKG-2")
	one, keyFile := p.path("one"), p.path("key")
	write(t, one, p.want(0, nil, "proof", "PKG-1", "--json"))
	write(t, keyFile, key+"\n")
	ask := []string{"proof", "verify", one, "--certyo", "http://" + cloud.Addr(), "--key-file", keyFile, "--per-minute", "60000"}
	wantCommand(t, 0, []string{"recordHash is the SHA-256 of the payload: 5", "Certyo confirms 5 of 5 records as anchored; 0 were never sent there"}, ask...)
	wantCommand(t, exitFailed, []string{"refused the key in " + keyFile, `for tenant "other"`}, append(ask, "--tenant", "other")...)
	forged := p.path("forged")
	write(t, forged, forge(t, one, `"buylo_name":"Mug"`, `"buylo_name":"Cup"`))
	ask[2] = forged
	wantCommand(t, exitFailed, []string{"but not here", "what Certyo has differs from what is in the file", "NOT to be relied on"}, ask...)
	ask[2] = one
	cloud.Switch(func(s *uplinktest.Switches) { s.VerifyLatest = true })
	wantCommand(t, 0, []string{"(buylo_products aa, version 1001): Certyo answers for a later change of the row", "confirms 3 of 5"}, ask...)
	cloud.Switch(func(s *uplinktest.Switches) { s.VerifyLatest = false })
	cloud.Switch(func(s *uplinktest.Switches) {
		s.Mismatch = func(r uplinktest.Received) bool { return r.Version == "1004" }
	})
	wantCommand(t, exitFailed, []string{"(buylo_products aa, version 1004): what Certyo has differs", "confirms 4 of 5"}, ask...)
	empty, err := uplinktest.NewCertyo(uplinktest.CertyoConfig{Tenant: "t", Keys: []string{key}})
	if err != nil {
		t.Fatal(err)
	}
	ask[4] = "http://" + empty.Addr()
	wantCommand(t, exitFailed, []string{`the file says that it is anchored, Certyo says "missing"`, "confirms 0 of 5"}, ask...)
	empty.Close()
	wantCommand(t, exitFailed, []string{"verify buylo_products/aa"}, ask...)
	wantCommand(t, exitUsage, []string{"must begin with https://"}, "proof", "verify", one, "--certyo", "http://example.com", "--key-file", keyFile)
	wantCommand(t, exitUsage, []string{"wants --key-file"}, "proof", "verify", one, "--certyo", "https://example.com")
	wantCommand(t, exitUsage, []string{"are for --certyo"}, "proof", "verify", one, "--key-file", keyFile)
}

// deliver has all that waits anchored.
func (p *place) deliver(t *testing.T, addr, key string) {
	t.Helper()
	st := p.open()
	defer st.Close()
	n := uint64(st.DB.Stats().QueueRecords)
	client := certyo.New(certyo.Config{URL: "http://" + addr, Tenant: "t", Key: func() (string, error) { return key, nil }, UserAgent: "test"})
	courier := deliver.New(deliver.Config{Schedule: []time.Duration{10 * time.Millisecond}, Budget: deliver.Budget{PerMinute: 60_000}},
		st.DB, ledger{st.DB}, client, deliver.Conditions{Delivery: noted{t}, Verification: noted{t}, Anchoring: noted{t}, Integrity: noted{t}, Presence: noted{t}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- courier.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); st.DB.Stats().Anchored < n && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil || st.DB.Stats().Anchored < n {
		t.Fatal(err, st.DB.Stats())
	}
}

// forge changes the payload of the first record that holds from, and makes every checksum anew.
func forge(t *testing.T, file, from, to string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var b strings.Builder
	w, count, done := proof.NewWriter(&b), (*proof.Count)(nil), false
	err = proof.Read(in, func(_ int, line any) error {
		switch l := line.(type) {
		case *proof.Header:
			count = proof.NewCount(l.Subject, rowOf)
			return w.Header(*l)
		case *proof.Record:
			a := &record.Account{Seq: l.Seq, Record: l.Record(), Fate: l.State, Receipt: &record.Receipt{Hash: l.Receipt.Hash, AcceptedAt: l.Receipt.AcceptedAt, Snapshot: l.Receipt.Snapshot}, Accepted: *l.Accepted, Answer: json.RawMessage(*l.Answer), Answered: *l.Answered, Stored: l.Stored}
			if text := string(a.Record.Payload); !done && strings.Contains(text, from) {
				a.Record.Payload, done = []byte(strings.Replace(text, from, to, 1)), true
			}
			count.Add(a)
			return w.Record(a)
		case *proof.Contents:
			return w.Contents(count.Contents(l.At))
		case *proof.End:
			return w.End()
		}
		return nil // scans and intents are left out
	})
	if err != nil || !done {
		t.Fatal(err, done)
	}
	return b.String()
}

// What an item did since another station took it over is in no record of this one, so it isn't proven to be here now.
func TestProofOfWhatAnotherStationTookOver(t *testing.T) {
	p := newPlace(t)
	p.packs(t)
	shadow := func(rows ...record.ShadowRow) {
		st := p.open()
		defer st.Close()
		if err := st.DB.Put(record.Group{Shadow: rows}); err != nil {
			t.Fatal(err)
		}
	}
	row := func(item string) record.ShadowRow {
		r := goodsRow(4, item, "PKG-2")
		return record.ShadowRow{Collection: goods, ID: item, Version: r.Version, Payload: r.Payload}
	}
	gone := row("aa")
	gone.Gone = true
	said := "What became of 1 of 1 since isn't known here"
	shadow(row("aa"), row("other"))
	if out := p.want(0, []string{"it holds 1 item."}, "proof", "PKG-2"); strings.Contains(out, said) {
		t.Error(out)
	}
	shadow(gone)
	p.want(0, []string{"it holds 1 item.", said}, "proof", "PKG-2")
	p.want(0, []string{"it is in package PKG-2.", said}, "proof", "aa")
	if out := p.want(0, []string{"it holds 1 item."}, "proof", "PKG-1", "--at", "2026-05-19T11:03:00Z"); strings.Contains(out, "isn't known here") {
		t.Error(out)
	}
	p.want(0, []string{`"elsewhere":["aa"]`}, "proof", "PKG-2", "--json")
	st := p.open()
	_, err := st.DB.BeginSnapshot()
	if err = errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	if out := p.want(0, []string{"it holds 1 item."}, "proof", "PKG-2"); strings.Contains(out, said) {
		t.Error(out) // its row is yet to be read
	}
}

// A file as of a time is not accused because the row changed later: Certyo may answer for that change.
func TestALaterChangeThatTheFileLacks(t *testing.T) {
	l := &proof.Record{Type: "record", Seq: 1, Collection: goods, ID: "aa", Version: "1001", State: record.Fate(record.Anchored), Receipt: &proof.Receipt{Hash: "h1"}}
	for answer, wrong := range map[string]bool{
		`{"verified":true,"anchoredOnChain":true,"recordId":"aa","recordVersion":"1004"}`: false,
		`{"verified":true,"anchoredOnChain":true,"recordVersion":1004}`:                   false,
		`{"verified":true,"anchoredOnChain":true,"recordId":"bb","recordVersion":"1004"}`: true,
		`{"verified":true,"anchoredOnChain":true,"recordVersion":"999"}`:                  true,
		`{"verified":true,"anchoredOnChain":true,"snapshotHash":"h2"}`:                    true,
	} {
		var out strings.Builder
		w := &witness{checker: proof.NewChecker(rowOf, certyo.Weigh), report: &proof.Report{}, out: &out}
		says, _, _ := certyo.Weigh(l.Unproven(), json.RawMessage(answer))
		if err := w.hear(l, says, json.RawMessage(answer), nil); err != nil || (w.against > 0) != wrong || w.confirmed > 0 || says != record.Overtaken {
			t.Errorf("%s: %v %q, %s", answer, err, says, out.String())
		}
	}
}

// An asker who goes away ends the answer at once, however long it would have been.
func TestAnAskerWhoGoesAway(t *testing.T) {
	f := &dossier{Header: proof.Header{Subject: proof.Subject{Item: "aa"}}}
	for n := range 40_000 {
		f.accounts = append(f.accounts, &record.Account{Seq: uint64(n), Record: goodsRow(n, "aa", "P"), Fate: record.Waits})
	}
	c, from := f.contents(), time.Now()
	proofDesk{}.write(gone{http.Header{}}, f, c)
	if took := time.Since(from); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// gone is an asker who takes nothing.
type gone struct{ header http.Header }

func (g gone) Header() http.Header       { return g.header }
func (g gone) WriteHeader(int)           {}
func (g gone) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What people type as a time.
func TestTimesThatPeopleType(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for text, want := range map[string]string{
		"2026-05-19T11:41:02Z": "2026-05-19T11:41:02Z", "2026-05-19T11:41:02.5+02:00": "2026-05-19T09:41:02.5Z", "2026-05-19 13:41": "2026-05-19T11:41:00Z",
		"2026-05-19T13:41:05": "2026-05-19T11:41:05Z", "2026-05-19": "2026-05-19T21:59:59.999999999Z", "13:41": "", "": "",
	} {
		got, err := readTime(text, zone)
		if (err != nil) != (want == "") || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v %v, want %s", text, got, err, want)
		}
	}
}

// An answer that breaks off must not pass for a whole one, and what the agent couldn't read is said.
func TestHalfAProofIsNone(t *testing.T) {
	p := newPlace(t)
	p.packs(t)
	text := p.want(0, nil, "proof", "PKG-1", "--json")
	half := text[:strings.LastIndex(strings.TrimSpace(text), "\n")+1]
	var b strings.Builder
	if err := copyEvidence(&b, strings.NewReader(half)); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Error(err)
	}
	if err := copyEvidence(&b, strings.NewReader(half+`{"error":"`+store.ErrDamaged.Error()+"\"}\n")); err == nil || err.Error() != store.ErrDamaged.Error() {
		t.Error(err)
	}
}
