package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"station-agent/uplink/fleet/message"
)

// unpacked gives the files of a bundle, put together from its parts.
func unpacked(t *testing.T, results []message.Result) map[string]string {
	t.Helper()
	var whole []byte
	var piece bundlePiece
	for i, r := range results {
		if line, err := json.Marshal(r); err != nil || len(line) > 64<<10 {
			t.Errorf("part %d has %d bytes: %v", i+1, len(line), err)
		}
		if err := json.Unmarshal(r.Data, &piece); err != nil || r.Part != i+1 || r.Parts != len(results) {
			t.Fatalf("part %d of %d: %v", r.Part, r.Parts, err)
		}
		whole = append(whole, piece.Data...)
	}
	sum := sha256.Sum256(whole)
	if len(whole) != piece.Bytes || hex.EncodeToString(sum[:]) != piece.SHA256 {
		t.Fatalf("%d bytes, want %d", len(whole), piece.Bytes)
	}
	z, err := gzip.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(z); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		files[head.Name] = string(text)
	}
}

// bundling is a station whose bundle is asked for.
func bundling(t *testing.T, recording []byte) (*place, *parts) {
	p, s := secretPlace(t)
	look, control := http.NewServeMux(), http.NewServeMux()
	look.HandleFunc("GET /status", answer(func(w http.ResponseWriter, _ *http.Request) error {
		return writeJSON(w, map[string]string{"text": "connect: user:certyo sent \"1\" at http://anna:pw@proxy:3128"})
	}))
	control.HandleFunc("POST /recording", answer(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write(recording)
		return err
	}))
	return p, &parts{cfg: p.cfg, look: look, control: control, sealed: s, scrub: &scrub{}, last: &lastLines{},
		events: func() []message.Event { return []message.Event{{Seq: 7, Text: "refused certyo-key-of-before"}} }}
}

func bundleOf(t *testing.T, p *parts) map[string]string {
	t.Helper()
	var results []message.Result
	_, last, err := p.orderBundle(context.Background(), &task{}, func(r message.Result) { results = append(results, r) })
	if err != nil {
		t.Fatal(err)
	}
	return unpacked(t, append(results, last.(message.Result)))
}

// A secret is in no file of a bundle, though somebody put one into the text of an error: neither one in use nor one of before.
func TestABundleHoldsNoSecret(t *testing.T) {
	at, p := bundling(t, []byte(`{"note":"mysql of the file"}`))
	write(t, at.path("certyo-key"), "certyo-key-of-before\n")
	if _, err := at.sendSecret(p.sealed, "certyo.key_file", "sent-at-first"); err != nil {
		t.Fatal(err)
	}
	p.scrub.learn(p.cfg) // as before each set-secret
	if _, err := at.sendSecret(p.sealed, "certyo.key_file", `certyo sent "1"`); err != nil {
		t.Fatal(err)
	}
	secrets := []string{`certyo sent "1"`, "mysql of the file", "certyo-key-of-before", "sent-at-first"}
	for _, s := range secrets {
		quoted, _ := json.Marshal(s)
		fmt.Fprintf(p.last, "level=WARN err=%q url=%s key=%s body=%s\n", "refused "+s, url.QueryEscape(s), s, quoted)
		fmt.Fprintf(p.last, "b64=%s\n", base64.StdEncoding.EncodeToString([]byte(s)))
	}
	files := bundleOf(t, p)
	for _, name := range strings.Fields("version.txt status.json config.toml events.jsonl log.txt recording.jsonl") {
		if files[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
	for name, text := range files {
		for _, s := range append(secrets, "anna:pw", samplePrefix) {
			quoted, _ := json.Marshal(s)
			for _, form := range []string{s, string(quoted[1 : len(quoted)-1]), url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s))} {
				if strings.Contains(text, form) {
					t.Errorf("%s holds %q:\n%s", name, form, text)
				}
			}
		}
	}
	if !strings.Contains(files["config.toml"], "certyo-key") || !strings.Contains(files["log.txt"], "refused [secret]") {
		t.Errorf("too much is left out:\n%s\n%s", files["config.toml"], files["log.txt"])
	}
}

func TestABundleIsBounded(t *testing.T) {
	noise := make([]byte, 2<<20)
	for i, sum := 0, sha256.Sum256(nil); i < len(noise); i += len(sum) {
		sum = sha256.Sum256(sum[:])
		copy(noise[i:], sum[:])
	}
	_, p := bundling(t, noise)
	for range 10_000 {
		fmt.Fprintln(p.last, strings.Repeat("x", 100))
	}
	files := bundleOf(t, p)
	if !strings.Contains(files["recording.txt"], "left out") || files["recording.jsonl"] != "" {
		t.Errorf("the recording: %q", files["recording.txt"])
	}
	if n := len(files["log.txt"]); n > mostLast || n < mostLast/2 {
		t.Errorf("%d bytes of log", n)
	}
	_, p = bundling(t, noise[:600<<10])
	if files = bundleOf(t, p); len(files["recording.jsonl"]) != 600<<10 {
		t.Errorf("a recording that fits: %d bytes", len(files["recording.jsonl"]))
	}
}
