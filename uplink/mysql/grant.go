package mysql

import (
	"regexp"
	"strings"
)

// grant names the right that is missing, in the words of GRANT, as far as the server's message tells:
//
//	UPDATE command denied to user 'u'@'h' for column 'buylo_ean' in table 'buylo_products'
//	UPDATE command denied to user 'u'@'h' for table 'buylo_products'                          MySQL
//	UPDATE command denied to user 'u'@'h' for table `external`.`buylo_products`               MariaDB
//
// A server that speaks another language or has stranger names gets the rights of the contract.
func grant(message string) string {
	form := regexp.MustCompile("^([A-Z][A-Z ,]{0,60}) command denied to user .* for (?:column '([\\w$]{1,64})' in )?" +
		"table ['`](?:([\\w$]{1,64})`\\.`)?([\\w$]{1,64})['`]$")
	m := form.FindStringSubmatch(message)
	if m == nil {
		return "SELECT on the table and UPDATE (external_package_id)"
	}
	right, column, schema, table := m[1], m[2], m[3], m[4]
	if right == "UPDATE" && column == "" && table == "buylo_products" {
		column = "external_package_id" // the only one there is to have
	}
	if column != "" {
		right += " (" + column + ")"
	}
	return right + " on " + strings.TrimPrefix(schema+"."+table, ".")
}
