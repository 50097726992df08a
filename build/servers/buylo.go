package servers

import (
	"context"
	"fmt"
)

// The accounts the agent works under, from any host. CaptureUser has the rights of AgentUser and may read the binlog.
const (
	AgentUser       = "station"
	AgentPassword   = "station-password"
	CaptureUser     = "capture"
	CapturePassword = "capture-password"
)

// CreateBuylo creates what Buylo's bridge provides (Buylo's external integration guide, sections 3 and 4): the schema
// external, its table buylo_products without any index but the key, a table of the bridge that the accounts must not
// see, and the two accounts with their rights to the letter. The name external is a reserved word in MySQL 9.7: statements
// have to quote it, as in `external`.buylo_products.
func (d *Database) CreateBuylo(ctx context.Context) error {
	const products = "CREATE TABLE `external`.buylo_products (" + `
		hash CHAR(32) NOT NULL PRIMARY KEY,
		buylo_product_id VARCHAR(64),
		buylo_name VARCHAR(255),
		buylo_ean VARCHAR(255),
		buylo_active_packing_station_uuid CHAR(36),
		external_package_id VARCHAR(64),
		created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
		updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
	) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4`
	const outbox = "CREATE TABLE `external`.buylo_sync_outbox (" + `
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
		hash CHAR(32) NOT NULL
	) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4`
	statements := []string{"CREATE DATABASE `external` CHARACTER SET utf8mb4", products, outbox}
	for user, password := range map[string]string{AgentUser: AgentPassword, CaptureUser: CapturePassword} {
		statements = append(statements,
			fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", user, password),
			fmt.Sprintf("GRANT SELECT, UPDATE (external_package_id) ON `external`.buylo_products TO '%s'@'%%'", user))
	}
	statements = append(statements, fmt.Sprintf("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '%s'@'%%'", CaptureUser))
	return d.run(ctx, statements)
}

// CreateWorkspace creates the schema external_workspace, which only some contracts include: both accounts have every
// right there.
func (d *Database) CreateWorkspace(ctx context.Context) error {
	return d.run(ctx, []string{
		"CREATE DATABASE external_workspace CHARACTER SET utf8mb4",
		fmt.Sprintf("GRANT ALL PRIVILEGES ON external_workspace.* TO '%s'@'%%', '%s'@'%%'", AgentUser, CaptureUser),
	})
}

func (d *Database) run(ctx context.Context, statements []string) error {
	for _, s := range statements {
		if _, err := d.root.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("run %.60q: %w", s, err)
		}
	}
	return nil
}
