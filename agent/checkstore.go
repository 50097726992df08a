package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

func (s *statusConfig) check(r report) {
	r.number("status.recording_kb", s.RecordingKB, 0, 16384)
	if host, _, _ := net.SplitHostPort(s.Metrics); s.Metrics != "" && (!isAddress(s.Metrics) || !loopback(host)) {
		r("status.metrics", fmt.Errorf("%q is no HOST:PORT of this machine itself, such as 127.0.0.1:9188: there is no password, so nobody else may reach it", s.Metrics))
	}
	if !r.need("status.socket", s.Socket) {
		return
	}
	for field, path := range map[string]string{"status.socket": s.Socket, "status.control_socket": s.ControlSocket} {
		r.absolute(field, path)
		if len(path) > 100 {
			r(field, errors.New("is longer than 100 bytes, which no unix socket takes"))
		}
	}
	if filepath.Clean(s.Socket) == filepath.Clean(s.ControlSocket) {
		r("status.control_socket", errors.New("is the same as socket: who may look could change things too"))
	}
}

func (s *storeConfig) check(r report) {
	if r.need("store.folder", s.Folder) {
		r.absolute("store.folder", s.Folder)
	}
	r.number("store.evidence_days", s.EvidenceDays, 1, 3650)
	r.number("store.max_mb", s.MaxMB, 64, 1792) // a 32-bit process can't map more
	r.number("store.reserve_mb", s.ReserveMB, 0, 256)
	if s.ExportFolder == "" {
		return
	}
	r.absolute("store.export_folder", s.ExportFolder)
	if err := s.exportable(); err != nil {
		r("store.export_folder", err)
	}
}

// exportable refuses a folder that is surely wrong. One that isn't there is no error of the configuration: a drive may be
// unplugged, and packing goes on without it.
func (s *storeConfig) exportable() error {
	if inside(s.ExportFolder, s.Folder) {
		return errors.New("lies inside store.folder: what is exported must not share its fate")
	}
	if info, err := os.Stat(s.ExportFolder); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is no folder", s.ExportFolder)
	}
	return nil
}

// inside tells whether path is folder or lies below it.
func inside(path, folder string) bool {
	for _, p := range []*string{&path, &folder} {
		if real, err := filepath.EvalSymlinks(*p); err == nil {
			*p = real
		}
	}
	below, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(below)
}
