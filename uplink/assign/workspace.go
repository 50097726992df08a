package assign

import (
	"fmt"
	"strings"
)

// workspaceDDL makes the workspace: {workspace}, {products}, {map} and {view} are names between backticks. No comment in it
// has a quote or a semicolon, at which some clients would cut it.
const workspaceDDL = `-- What the packing stations keep in the schema {workspace}.
-- It needs every right on that schema, and SELECT on {products}. It may be run again at any time: what
-- is in the table stays, and the view is made anew.

-- Which tag is on which item, for the stations, which read it each second. Whoever puts tags on items fills it. An item may
-- have several tags, a tag is on one item.
CREATE TABLE IF NOT EXISTS {map} (
  epc VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the EPC, as hexadecimal digits or as a tag URI',
  hash CHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'the item: buylo_products.hash, to the letter',
  added_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (epc),
  KEY hash (hash)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'tags of items, read by station-agent';

-- Every item with its tag, its station and its package, for people and reports: one line for each tag, and one for an
-- item without a tag. station is where the item is observed now. Whoever reads the view needs SELECT on both tables.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW {view} AS
SELECT
  p.hash,
  m.epc,
  p.buylo_active_packing_station_uuid AS station,
  p.external_package_id AS package_id,
  p.buylo_product_id AS product_id,
  p.buylo_ean AS ean,
  p.buylo_name AS name,
  m.added_at AS tagged_at,
  p.created_at,
  p.updated_at
FROM {products} p
LEFT JOIN {map} m ON {same};
`

// WorkspaceDDL prints the statements that make the map of tags and a view for reports in a schema of our own, for an
// account that has every right there and SELECT on Buylo's table: WorkspaceDDL("external", "external_workspace").
func WorkspaceDDL(schema, workspace string) (string, error) {
	names := []string{"{same}", sameHash}
	for mark, name := range map[string]string{
		"{workspace}": workspace,
		"{products}":  schema + ".buylo_products",
		"{map}":       workspace + ".station_agent_epc",
		"{view}":      workspace + ".station_agent_items",
	} {
		quoted, err := quote(name)
		if err != nil {
			return "", fmt.Errorf("print workspace: %w", err)
		}
		names = append(names, mark, quoted)
	}
	return strings.NewReplacer(names...).Replace(workspaceDDL), nil
}
