// Package check tells before the first parcel whether a database fits the ways in which a station uses it:
//
//	packing   the rows on the station are read, and their package is written
//	binlog    changes are read from the binary log
//	polling   changes are found by reading the rows again
//
// and whether a table of the customer's own fits those two, or a queue: one that triggers fill.
//
// Look asks the server, as the account that is to work with it; Judge and JudgeOwn are functions of the answers. A Finding
// says what was seen, why it matters and what mends it: the exact statements for this server and this account, for its
// administrator to run.
//
// It promises that it only reads, that no password and no hash of one leaves it (SHOW GRANTS of MariaDB has them), and that
// what the server didn't answer is Unknown and never a guess.
//
// Rights are told as SHOW GRANTS prints them, those of active roles with them, so that a right too many is seen as well as one
// too few: a station's card can be stolen, and what its account may do the thief may do.
package check
