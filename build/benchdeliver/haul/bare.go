package haul

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"station-agent/build/worker"
)

const (
	client    = "bench-1"
	userAgent = "station-agent/bench (" + client + ")"
)

// bare posts the bodies in k.Dir, which hold k.N records, one after another over one connection, and does nothing with the
// answers but read them. The client's settings are those of uplink/certyo.
func bare(k Task) error {
	files, err := filepath.Glob(filepath.Join(k.Dir, "*"))
	if err != nil {
		return err
	}
	bodies := make([][]byte, len(files))
	for i, file := range files {
		if bodies[i], err = os.ReadFile(file); err != nil {
			return err
		}
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           4,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	c := &http.Client{Transport: t, Timeout: time.Minute}
	m := worker.NewMeter()
	for _, body := range bodies {
		if err := postBare(c, k, body); err != nil {
			return err
		}
	}
	m.Tell(k.N)
	return nil
}

func postBare(c *http.Client, k Task, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, k.Sink+"/api/v1/records/bulk", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("X-API-Key", k.Key)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("post a body of %d bytes: status %d: %v", len(body), resp.StatusCode, err)
	}
	return nil
}
