package sourcetest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"station-agent/uplink/capture/capturetest"
)

// Catalog are the statements that make product_catalog.products, a table of a customer's own with the key (shop, id). Columns are
// more of its columns, or "".
func Catalog(columns string) []string {
	if columns != "" {
		columns += ", "
	}
	return []string{
		"DROP DATABASE IF EXISTS product_catalog", "CREATE DATABASE product_catalog CHARACTER SET utf8mb4",
		"CREATE TABLE product_catalog.products (shop VARCHAR(20), id INT UNSIGNED, name VARCHAR(100), " + columns + "PRIMARY KEY (shop, id))",
	}
}

// Rows is the statement that puts the products 0 to n-1 there.
func Rows(n int) string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf("('%s', %d, 'n%d')", shop(i), i, i)
	}
	return "INSERT INTO product_catalog.products (shop, id, name) VALUES " + strings.Join(values, ", ")
}

func shop(id int) string { return fmt.Sprintf("s/%d", id%3) }

// Busy are workers that change products.
type Busy struct {
	t    testing.TB
	all  sync.WaitGroup
	done atomic.Int64
}

// Work begins n workers, each of which tries so many random transactions on the products below 1.1 × rows: single rows and
// many, keys that change, and one in six is rolled back.
func Work(t testing.TB, root *sql.DB, rows, workers, times int) *Busy {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	b := &Busy{t: t}
	for n := range workers {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		b.all.Go(func() {
			for range times {
				_ = transaction(t.Context(), r, root, rows+rows/10) // one that fails is none
				b.done.Add(1)
			}
		})
	}
	return b
}

// Did waits until n transactions were tried.
func (b *Busy) Did(n int) {
	b.t.Helper()
	capturetest.Until(b.t, func() (string, bool) {
		did := b.done.Load()
		return fmt.Sprintf("%d transactions were tried, want %d", did, n), did >= int64(n)
	})
}

// Wait waits until the workers are done.
func (b *Busy) Wait() { b.all.Wait() }

func transaction(ctx context.Context, r *rand.Rand, root *sql.DB, ids int) error {
	tx, err := root.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 1 + r.IntN(4) {
		id := r.IntN(ids)
		switch r.IntN(6) {
		case 0:
			_, err = tx.ExecContext(ctx, "DELETE FROM product_catalog.products WHERE id BETWEEN ? AND ?", id, id+r.IntN(3))
		case 1:
			_, err = tx.ExecContext(ctx, "INSERT IGNORE INTO product_catalog.products (shop, id, name) VALUES (?, ?, 'new')", shop(id), id)
		case 2:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET id = id + ? WHERE shop = ? AND id = ?", 2*ids, shop(id), id)
		case 3:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id BETWEEN ? AND ?", fmt.Sprint("w", r.IntN(1e6)), id, id+r.IntN(50))
		default:
			_, err = tx.ExecContext(ctx, "UPDATE product_catalog.products SET name = ? WHERE id = ?", fmt.Sprint("v", r.IntN(1e6)), id)
		}
		if err != nil {
			return err
		}
	}
	if r.IntN(5) == 0 {
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond) // a long transaction: others begin and commit meanwhile
	}
	if r.IntN(6) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}
