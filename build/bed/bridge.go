package bed

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
)

// Bridge plays Buylo's bridge: it alone inserts and deletes rows and writes the buylo_* columns.
type Bridge struct{ db *sql.DB }

// ErrUnchanged says that no row was changed: there is none, or it shows the value already.
var ErrUnchanged = errors.New("no row was changed")

// Hash gives the hash of the n-th item: 32 hexadecimal digits, as opaque as the real ones.
func Hash(n int) string {
	sum := md5.Sum(fmt.Appendf(nil, "item %d", n))
	return hex.EncodeToString(sum[:])
}

// Insert registers an item that no station observes.
func (b *Bridge) Insert(ctx context.Context, hash, name, ean string) error {
	return b.do(ctx, "INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean) VALUES (?, ?, ?, ?)",
		hash, "P-"+ean, name, ean)
}

// Arrive lets a station observe the item.
func (b *Bridge) Arrive(ctx context.Context, hash, station string) error {
	return b.do(ctx, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ? WHERE hash = ?", station, hash)
}

// Leave ends the observation.
func (b *Bridge) Leave(ctx context.Context, hash string) error {
	return b.do(ctx, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = NULL WHERE hash = ?", hash)
}

// Rename changes the item's name.
func (b *Bridge) Rename(ctx context.Context, hash, name string) error {
	return b.do(ctx, "UPDATE `external`.buylo_products SET buylo_name = ? WHERE hash = ?", name, hash)
}

// Delete removes the item.
func (b *Bridge) Delete(ctx context.Context, hash string) error {
	return b.do(ctx, "DELETE FROM `external`.buylo_products WHERE hash = ?", hash)
}

// Pack writes a package as another writer would, whatever the row holds.
func (b *Bridge) Pack(ctx context.Context, hash, pkg string) error {
	return b.do(ctx, "UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = ?", pkg, hash)
}

// Unpack takes an item out of its package, as another writer would.
func (b *Bridge) Unpack(ctx context.Context, hash string) error {
	return b.do(ctx, "UPDATE `external`.buylo_products SET external_package_id = NULL WHERE hash = ?", hash)
}

// Package reads the package of an item, nil for NULL.
func (b *Bridge) Package(ctx context.Context, hash string) (*string, error) {
	var p *string
	err := b.db.QueryRowContext(ctx, "SELECT external_package_id FROM `external`.buylo_products WHERE hash = ?", hash).Scan(&p)
	return p, err
}

// Here counts the items that a station observes.
func (b *Bridge) Here(ctx context.Context, station string) (n int, err error) {
	err = b.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM `external`.buylo_products WHERE buylo_active_packing_station_uuid = ?", station).Scan(&n)
	return n, err
}

func (b *Bridge) do(ctx context.Context, statement string, args ...any) error {
	res, err := b.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("play bridge: %w", err)
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return fmt.Errorf("play bridge: %w: %v", ErrUnchanged, args)
	}
	if err == nil && n != 1 {
		return fmt.Errorf("play bridge: %d rows instead of one: %s %v", n, statement, args)
	}
	return nil
}
