package binlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station-agent/build/servers"
	"station-agent/store/record"
	"station-agent/uplink/capture"
)

const (
	stationA = "0a000000-0000-4000-8000-00000000000a"
	stationB = "0b000000-0000-4000-8000-00000000000b"
)

var products = capture.Buylo("external")

// openDB is the database as the capture account sees it.
func openDB(t testing.TB, db *servers.Database) *sql.DB {
	return db.Open(t, servers.CaptureUser, servers.CapturePassword)
}

func source(t testing.TB, db *servers.Database, mode Mode, tables ...*capture.Spec) *Source {
	t.Helper()
	if tables == nil {
		tables = []*capture.Spec{products}
	}
	s, err := New(Config{
		Address: db.Addr, User: servers.CaptureUser, Password: func() (string, error) { return servers.CapturePassword, nil },
		DB: openDB(t, db), Tables: tables, Mode: mode, Station: stationA, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t testing.TB, s *Source) record.Position {
	t.Helper()
	p, _, err := s.Snapshot(t.Context(), []capture.Want{{Table: products}}, "run")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var errEnough = errors.New("enough")

// follow reads from a position until a transaction has a row whose key is last, or an error comes. It calls connected
// once the server answers, beside the reading.
func follow(t testing.TB, s *Source, from record.Position, last string, connected ...func()) ([]capture.Tx, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var txs []capture.Tx
	var beside sync.WaitGroup
	defer beside.Wait()
	err := s.Run(ctx, from, nil, func(tx capture.Tx) error {
		for _, f := range connected {
			beside.Go(f)
		}
		connected = nil
		if tx.ID == "" {
			return nil
		}
		txs = append(txs, tx)
		for _, row := range tx.Rows {
			if row.Op == record.Insert && row.Table.ID(row.After) == last {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return txs, err
}

func mustFollow(t testing.TB, s *Source, from record.Position, last string, connected ...func()) []capture.Tx {
	t.Helper()
	txs, err := follow(t, s, from, last, connected...)
	if err != nil {
		t.Fatalf("after %d transactions: %v", len(txs), err)
	}
	return txs
}

// mark inserts a row to read up to.
func mark(t testing.TB, db *servers.Database, hash string) {
	t.Helper()
	db.Exec(t, insert(hash, ""))
}

func insert(hash, station string) string {
	at := "NULL"
	if station != "" {
		at = "'" + station + "'"
	}
	return fmt.Sprintf("INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean, buylo_active_packing_station_uuid) VALUES ('%s', 'P-1', 'Hrnek modrý', '8590000000017', %s)", hash, at)
}

// lines writes rows as text, to compare with what was done.
func lines(txs []capture.Tx) []string {
	var out []string
	for _, tx := range txs {
		for _, r := range tx.Rows {
			before, after := "-", "-"
			if r.Before != nil {
				before = r.Table.ID(r.Before)
			}
			if r.After != nil {
				after = r.Table.ID(r.After)
			}
			out = append(out, fmt.Sprintf("%s %s %s", r.Op, before, after))
		}
	}
	return out
}

// names lists the identity of every row.
func names(txs []capture.Tx) []string {
	var out []string
	for _, tx := range txs {
		for _, r := range tx.Rows {
			out = append(out, fmt.Sprintf("%s/%d/%d/%d", tx.ID, tx.At.UnixMicro(), tx.Tick, r.Ordinal))
		}
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func openNothing() *sql.DB { return sql.OpenDB(nil) }
