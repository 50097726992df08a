package model

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A value is a package, or one of these.
const (
	null = "NULL"   // the row is in no package
	gone = "no row" // there is no such row
)

func valueOf(s *string) string {
	if s == nil {
		return null
	}
	return *s
}

// change is one committed change of a row's package; also that the row came or went.
type change struct {
	id       int64 // grows with the changes of one row
	at       time.Time
	by       string // the account
	hash     string
	from, to string
}

// audit is the database's own account of every committed change, kept by triggers in a schema that the stations can't see.
// Which of them wrote is told by its account.
type audit struct{ root *sql.DB }

// begin empties the table and begins to keep account.
func (a audit) begin(ctx context.Context) error {
	const insert = "INSERT INTO audit.packages (writer, at, hash, was, now, had, has) VALUES (USER(), UNIX_TIMESTAMP(SYSDATE(6)), "
	// an insert shows as "had no row", a delete as "has no row"; what changes no package is no change here
	const when = "CREATE TRIGGER `external`.model_%s AFTER %[1]s ON `external`.buylo_products FOR EACH ROW "
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS audit",
		"DROP TRIGGER IF EXISTS `external`.model_insert", "DROP TRIGGER IF EXISTS `external`.model_update", "DROP TRIGGER IF EXISTS `external`.model_delete",
		"DELETE FROM `external`.buylo_products",
		"CREATE DATABASE audit CHARACTER SET utf8mb4",
		"CREATE TABLE audit.packages (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer VARCHAR(255), at DECIMAL(20, 6), hash CHAR(32), " +
			"was VARCHAR(64), now VARCHAR(64), had BOOL, has BOOL)",
		fmt.Sprintf(when, "insert") + insert + "NEW.hash, NULL, NEW.external_package_id, FALSE, TRUE)",
		fmt.Sprintf(when, "delete") + insert + "OLD.hash, OLD.external_package_id, NULL, TRUE, FALSE)",
		fmt.Sprintf(when, "update") + "IF NOT (CAST(OLD.external_package_id AS BINARY) <=> CAST(NEW.external_package_id AS BINARY)) THEN " +
			insert + "NEW.hash, OLD.external_package_id, NEW.external_package_id, TRUE, TRUE); END IF",
	} {
		if _, err := a.root.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("set up audit: %.80q: %w", statement, err)
		}
	}
	return nil
}

// changes gives all changes, by row in order.
func (a audit) changes(ctx context.Context) (by map[string][]change, err error) {
	rows, err := a.root.QueryContext(ctx, "SELECT id, writer, CAST(ROUND(at * 1000000) AS SIGNED), hash, was, now, had, has FROM audit.packages ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	by = map[string][]change{}
	for rows.Next() {
		var c change
		var micros int64
		var was, now *string
		var had, has bool
		if err := rows.Scan(&c.id, &c.by, &micros, &c.hash, &was, &now, &had, &has); err != nil {
			return nil, fmt.Errorf("read audit: %w", err)
		}
		c.by, _, _ = strings.Cut(c.by, "@")
		c.at, c.from, c.to = time.UnixMicro(micros), gone, gone
		if had {
			c.from = valueOf(was)
		}
		if has {
			c.to = valueOf(now)
		}
		by[c.hash] = append(by[c.hash], c)
	}
	return by, rows.Err()
}
