package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

// TestProof packs, clears and moves, and asks for what was in the packages at times between: of the running agent, of the store of a
// stopped one, and of files, which are checked without either, against Certyo too; a changed one is found.
func TestProof(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	s.started()
	items := s.stock(1, 3)
	a, b, c := items[0], items[1], items[2]
	s.pack("PKG-2026-0001", a, b)
	s.rows("PKG-2026-0001", a, b)
	packed := s.between()
	s.move(a, "PKG-2026-0002")
	moved := s.between()
	s.step(bed.ClearCode, "armed")
	s.step("PKG-2026-0001", "cleared")
	s.rows("", b)
	cleared := s.between()
	s.pack("PKG-2026-0001", c)
	s.rows("PKG-2026-0001", c)

	s.until("all is anchored", func() bool {
		status := s.status()
		return status["queue_records"] == 0.0 && status["unanchored"] == 0.0 && strings.Contains(s.command(0, "proof", "PKG-2026-0001"), "\nPROVEN: it holds 1 item.")
	})
	s.holds("PKG-2026-0001", packed, a, b)
	s.holds("PKG-2026-0001", moved, b)
	s.holds("PKG-2026-0001", cleared)
	s.holds("PKG-2026-0001", time.Time{}, c)
	s.holds("PKG-2026-0002", packed)
	s.holds("PKG-2026-0002", moved, a)
	told := s.command(0, "proof", a)
	for _, want := range []string{"it is in package PKG-2026-0002", "moved from package PKG-2026-0001 to package PKG-2026-0002", "by scan ", `at reader scanner`, "record hash ", "found anchored "} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is missing in\n%s", want, told)
		}
	}
	t.Logf("\n%s", s.command(0, "proof", "PKG-2026-0001"))

	file, all := filepath.Join(s.Dir, "proof.json"), filepath.Join(s.Dir, "all.json.gz")
	text := s.command(0, "proof", "PKG-2026-0001", "--json")
	s.must(os.WriteFile(file, []byte(text), 0o600))
	s.command(0, "evidence", "export", all)
	s.stop()
	if again := s.command(0, "proof", "PKG-2026-0001"); !strings.Contains(again, "\nPROVEN: it holds 1 item.") {
		t.Errorf("of a stopped agent:\n%s", again)
	}
	s.must(os.RemoveAll(filepath.Join(s.Dir, "store"))) // the auditor has neither store nor configuration
	ask := []string{"--certyo", s.Cloud.URL(), "--key-file", filepath.Join(s.Dir, "certyo-key"), "--per-minute", "60000"}
	for _, path := range []string{file, all} {
		said := s.verified(0, append([]string{path}, ask...)...)
		if !strings.Contains(said, "which follow from the records: 1") && path == file || !strings.Contains(said, "; 0 were never sent there") {
			t.Errorf("%s:\n%s", path, said)
		}
	}
	t.Logf("\n%s", s.verified(0, append([]string{file}, ask...)...))
	for n, from := range []string{a, "PKG-2026-0002", "anchored", "sha256", `"scans":`} {
		changed := filepath.Join(s.Dir, "changed.json")
		at := strings.LastIndex(text, from)
		s.must(os.WriteFile(changed, []byte(text[:at]+string(text[at]^1)+text[at+1:]), 0o600))
		if said := s.verified(1, changed); n == 0 && !strings.Contains(said, "checksum") {
			t.Errorf("%s", said)
		}
	}
}

// between is a time with nothing of the same second on either side: the database's clock may tell whole seconds only.
func (s *site) between() time.Time {
	s.t.Helper()
	var at time.Time
	for range 2 {
		s.must(s.DB.Root().QueryRowContext(s.ctx, "SELECT SLEEP(1.1)").Err())
		if at.IsZero() {
			at = time.Now()
		}
	}
	return at
}

// move puts an item of another package into one.
func (s *site) move(item, label string) {
	s.t.Helper()
	s.scan(label, "accepted")
	s.scan(item, "conflict")
	s.scan(bed.OverrideCode, "accepted")
	s.scan(bed.CloseCode, "accepted")
	s.rows(label, item)
}

// holds wants a package to have held items at a time, now if that is zero.
func (s *site) holds(label string, at time.Time, items ...string) {
	s.t.Helper()
	args := []string{"proof", label}
	if !at.IsZero() {
		args = append(args, "--at", at.Format(time.RFC3339Nano))
	}
	told := s.command(0, args...)
	head, _, _ := strings.Cut(told, "What happened")
	var got []string
	for line := range strings.SplitSeq(head, "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			got = append(got, f[0])
		}
	}
	slices.Sort(got)
	slices.Sort(items)
	if !slices.Equal(got, items) || len(items) > 0 && !strings.Contains(head, "\nPROVEN: ") {
		s.t.Errorf("%v: it held %q, want %q, proven:\n%s", args, got, items, told)
	}
}

// verified runs proof verify without a configuration.
func (s *site) verified(code int, args ...string) string {
	s.t.Helper()
	out, errs, got, err := s.Agent.Command(s.ctx, append([]string{"proof", "verify"}, args...)...)
	s.must(err)
	if got != code {
		s.t.Fatalf("verify %v: exit %d, want %d: %s%s", args, got, code, out, errs)
	}
	return out + errs
}
