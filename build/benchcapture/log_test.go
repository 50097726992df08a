package benchcapture

import (
	"context"
	"fmt"
	"testing"

	"station-agent/build/bed"
	"station-agent/build/servers"
)

const (
	rows     = 5000 // on the station
	together = 100  // rows in a large transaction
	packages = "PKG-2026-"
)

// table is a database with the rows of one station.
type table struct {
	*servers.Database
	ctx context.Context
	t   testing.TB
}

// newTable puts n rows on the station: the rows bed.Hash(0) to bed.Hash(n-1).
func newTable(ctx context.Context, t testing.TB, db *servers.Database, n int) *table {
	b := &table{db, ctx, t}
	b.fill(n)
	return b
}

func (b *table) exec(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.Root().ExecContext(b.ctx, statement, args...); err != nil {
		b.t.Fatalf("%.60s: %v", statement, err)
	}
}

func (b *table) fill(n int) {
	names := []string{"Čokoláda hořká 70 %", "Müsli Früchte", "Żurek śląski", "Café moulu", "Tričko bílé L", "Smörgåsrån", "Olivový olej", "Kabel USB-C 2 m"}
	tx, err := b.Root().BeginTx(b.ctx, nil)
	must(b.t, err)
	defer tx.Rollback()
	const insert = "INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean, buylo_active_packing_station_uuid) VALUES (?, ?, ?, ?, ?)"
	for i := range n {
		_, err := tx.Exec(insert, bed.Hash(i), fmt.Sprintf("P-%08d", i), names[i%len(names)], fmt.Sprintf("859%010d", i*104729), bed.Station)
		must(b.t, err)
	}
	must(b.t, tx.Commit())
}

// The n-th change, counted from 1, puts a row into the package with that number, one row after the other. The server makes
// them by itself, as nothing of that is measured.
const (
	single = `CREATE PROCEDURE bench.single(first INT, last INT)
		WHILE first <= last DO
			UPDATE external.buylo_products SET external_package_id = CONCAT('%[1]s', first) WHERE hash = MD5(CONCAT('item ', (first - 1) %% %[2]d));
			SET first = first + 1;
		END WHILE`
	// every other transaction is one statement, the others have one for each row
	large = `CREATE PROCEDURE bench.large(first INT, last INT)
		WHILE first <= last DO
			START TRANSACTION;
			IF first DIV %[3]d %% 2 = 0 THEN
				UPDATE external.buylo_products
					SET external_package_id = CONCAT('%[1]s', first - (first - 1) %% %[2]d + CAST(SUBSTR(buylo_product_id, 3) AS INT))
					WHERE CAST(SUBSTR(buylo_product_id, 3) AS INT) DIV %[3]d = (first - 1) %% %[2]d DIV %[3]d;
				SET first = first + %[3]d;
			ELSE
				CALL bench.single(first, first + %[3]d - 1);
				SET first = first + %[3]d;
			END IF;
			COMMIT;
		END WHILE`
)

// position is a place in the binary log.
type position struct {
	File string
	Pos  uint32
}

func (b *table) position() (p position) {
	b.t.Helper()
	var ignore any
	must(b.t, b.Root().QueryRowContext(b.ctx, "SHOW MASTER STATUS").Scan(&p.File, &p.Pos, &ignore, &ignore))
	return p
}

// prepare makes what change needs.
func (b *table) prepare() {
	b.t.Helper()
	b.exec("CREATE DATABASE bench")
	for _, procedure := range []string{single, large} {
		b.exec(fmt.Sprintf(procedure, packages, rows, together))
	}
}

// change makes n changes: the first half of them one a transaction, the others a hundred.
func (b *table) change(n int) {
	b.t.Helper()
	b.exec("CALL bench.single(1, ?)", n/2)
	b.exec("CALL bench.large(?, ?)", n/2+1, n)
}
