package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/pelletier/go-toml/v2"

	"station-agent/uplink/fleet/message"
)

// A bundle is what support wants to know of a station, as tar.gz: version, status (health, problems, what waits), the configuration that
// counts, the last lines of the log, the last events, and the recording of the bench if there is room. It holds no secret: the
// configuration names files only and lacks the site's command codes, and out of every text are taken the secrets that the station knows,
// should an error repeat one.

const (
	bundleMost = 1 << 20
	bundlePart = 45_000 // bytes of one result, 60,000 in base64
)

// bundlePiece is the data of one result.
type bundlePiece struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`  // of the whole
	SHA256 string `json:"sha256"` // of the whole
	Data   []byte `json:"data"`   // base64 in JSON
}

func (p *parts) orderBundle(ctx context.Context, o *task, tell func(message.Result)) (string, any, error) {
	if _, err := argsOf[struct{}](o); err != nil {
		return "", nil, err
	}
	whole, err := p.bundle(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("make bundle: %w", err)
	}
	sum := sha256.Sum256(whole)
	piece := bundlePiece{Name: fmt.Sprintf("station-agent-%s-%s.tar.gz", p.cfg.Station.UUID, time.Now().UTC().Format("20060102-150405")),
		Bytes: len(whole), SHA256: hex.EncodeToString(sum[:])}
	parts := (len(whole) + bundlePart - 1) / bundlePart
	for part := 1; ; part++ {
		piece.Data = whole[:min(bundlePart, len(whole))]
		whole = whole[len(piece.Data):]
		text := fmt.Sprintf("%s, %d bytes, part %d of %d", piece.Name, piece.Bytes, part, parts)
		data, err := json.Marshal(piece)
		if err != nil {
			return "", nil, err
		}
		r := message.Result{Status: message.Started, Text: text, Part: part, Parts: parts, Data: data}
		if part == parts {
			r.Status = message.Done
			return text, r, nil
		}
		tell(r)
	}
}

// bundle makes it, without the recording if it would be too large with it.
func (p *parts) bundle(ctx context.Context) ([]byte, error) {
	p.scrub.learn(p.cfg)
	files, err := p.bundleFiles(ctx)
	if err != nil {
		return nil, err
	}
	recording, err := ask(ctx, p.control, http.MethodPost, "/recording", nil)
	if err != nil {
		recording = []byte(err.Error() + "\n")
	}
	whole, err := p.pack(append(files, bundled{"recording.jsonl", recording}))
	if err != nil || len(whole) <= bundleMost {
		return whole, err
	}
	note := fmt.Sprintf("left out: with its %d bytes the bundle would be larger than %d\n", len(recording), bundleMost)
	if whole, err = p.pack(append(files, bundled{"recording.txt", []byte(note)})); err == nil && len(whole) > bundleMost {
		err = fmt.Errorf("it has %d bytes, and no more than %d are sent", len(whole), bundleMost)
	}
	return whole, err
}

type bundled struct {
	name string
	text []byte
}

func (p *parts) bundleFiles(ctx context.Context) ([]bundled, error) {
	status, err := ask(ctx, p.look, http.MethodGet, "/status", nil)
	if err != nil {
		return nil, err
	}
	shown, err := toml.Marshal(p.cfg.shown())
	if err != nil {
		return nil, err
	}
	var events bytes.Buffer
	for _, e := range p.events() {
		if err := printJSON(&events, e); err != nil {
			return nil, err
		}
	}
	version := fmt.Sprintf("station-agent %s%s %s\n", version, commit(), platform())
	return []bundled{{"version.txt", []byte(version)}, {"status.json", status}, {"config.toml", shown}, {"events.jsonl", events.Bytes()}, {"log.txt", p.last.text()}}, nil
}

// shown is the configuration without what badges and command codes could be guessed from. Of secrets it names the files alone.
func (c *config) shown() config {
	shown := c.written()
	shown.Packing.CommandPrefix, shown.Packing.CloseCode, shown.Packing.UndoCode = "[left out]", "", ""
	return shown
}

func (p *parts) pack(files []bundled) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	now := time.Now().UTC().Truncate(time.Second)
	for _, f := range files {
		text := p.scrub.clean(f.text)
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o600, Size: int64(len(text)), ModTime: now}); err != nil {
			return nil, err
		}
		if _, err := t.Write(text); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return out.Bytes(), err
}
