package bed

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"station-agent/build/servers"
)

// Audit is the database's own account of every committed change of buylo_products, kept by triggers in a schema that the
// agent's accounts can't see. It is the oracle: neither the binary log nor the agent has a part in it.
type Audit struct{ db *sql.DB }

// image is one side of a change.
type image struct{ hash, station, pkg, name *string }

// Change is one row change as the triggers saw it.
type Change struct {
	ID            int64
	Op            string // insert, update, delete
	before, after image
	ByAgent       bool // written under one of the agent's accounts
}

func newAudit(ctx context.Context, db *sql.DB) (*Audit, error) {
	columns := []string{"hash", "buylo_active_packing_station_uuid", "external_package_id", "buylo_name"}
	side := func(row string) string {
		if row == "" {
			return "NULL, NULL, NULL, NULL"
		}
		return row + "." + strings.Join(columns, ", "+row+".")
	}
	// a statement that sets what is there already fires the trigger but changes no row
	var same []string
	for _, c := range columns {
		same = append(same, fmt.Sprintf("CAST(OLD.%s AS BINARY) <=> CAST(NEW.%s AS BINARY)", c, c))
	}
	trigger := func(op, before, after string) string {
		where := ""
		if op == "update" {
			where = " WHERE NOT (" + strings.Join(same, " AND ") + ")"
		}
		return fmt.Sprintf("CREATE TRIGGER `external`.audit_%s AFTER %s ON `external`.buylo_products FOR EACH ROW "+
			"INSERT INTO audit.changes SELECT NULL, '%s', USER(), %s, %s FROM DUAL%s", op, strings.ToUpper(op), op, side(before), side(after), where)
	}
	for _, statement := range []string{
		"CREATE DATABASE audit CHARACTER SET utf8mb4",
		"CREATE TABLE audit.changes (id BIGINT AUTO_INCREMENT PRIMARY KEY, op VARCHAR(8), writer VARCHAR(255), " +
			"hash0 CHAR(32), station0 CHAR(36), package0 VARCHAR(64), name0 VARCHAR(255), " +
			"hash1 CHAR(32), station1 CHAR(36), package1 VARCHAR(64), name1 VARCHAR(255))",
		trigger("insert", "", "NEW"), trigger("update", "OLD", "NEW"), trigger("delete", "OLD", ""),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("set up audit: %w", err)
		}
	}
	return &Audit{db}, nil
}

// Changes lists everything that was committed, in an order that is right for each row.
func (a *Audit) Changes(ctx context.Context) ([]Change, error) {
	rows, err := a.db.QueryContext(ctx, "SELECT id, op, writer, hash0, station0, package0, name0, hash1, station1, package1, name1 "+
		"FROM audit.changes ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	defer rows.Close()
	var list []Change
	for rows.Next() {
		var c Change
		var writer string
		b, f := &c.before, &c.after
		if err := rows.Scan(&c.ID, &c.Op, &writer, &b.hash, &b.station, &b.pkg, &b.name, &f.hash, &f.station, &f.pkg, &f.name); err != nil {
			return nil, fmt.Errorf("read audit: %w", err)
		}
		user, _, _ := strings.Cut(writer, "@")
		c.ByAgent = user == servers.AgentUser || user == servers.CaptureUser
		list = append(list, c)
	}
	return list, rows.Err()
}

// Expected is one record that must be anchored.
type Expected struct{ Hash, Op, Station, Package, Name string } // "NULL" for NULL

func expected(op string, i image) Expected {
	text := func(s *string) string {
		if s == nil {
			return "NULL"
		}
		return *s
	}
	return Expected{text(i.hash), op, text(i.station), text(i.pkg), text(i.name)}
}

// ExpectedOf gives the records that station owes for changes, by row in order: a change belongs to the station that the
// row is on afterwards, else to the one it was on before, else to the one that had it last.
func ExpectedOf(changes []Change, station string) map[string][]Expected {
	owed, holder := map[string][]Expected{}, map[string]string{}
	owe := func(op string, key *string, shown image, owner string) {
		if owner == station {
			owed[*key] = append(owed[*key], expected(op, shown))
		}
	}
	for _, c := range changes {
		key := c.after.hash
		if key == nil {
			key = c.before.hash
		}
		last := holder[*key]
		if c.before.hash != nil {
			last = holder[*c.before.hash]
		}
		owner := last
		if c.after.station != nil {
			owner = *c.after.station
		} else if c.before.station != nil {
			owner = *c.before.station
		}
		holder[*key] = owner
		switch {
		case c.Op == "delete":
			owe("delete", c.before.hash, c.before, owner)
			delete(holder, *c.before.hash)
		case c.Op == "update" && *c.before.hash != *c.after.hash:
			owe("delete", c.before.hash, c.before, owner)
			owe("insert", c.after.hash, c.after, owner)
			delete(holder, *c.before.hash)
		default:
			owe(c.Op, c.after.hash, c.after, owner)
		}
	}
	return owed
}
