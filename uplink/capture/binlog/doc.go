// Package binlog follows the binary log of a MySQL or MariaDB server as a replica does. It is a capture.Source, and
// a capture.Retainer: it tells how long the server keeps what is still to be read.
//
//	GTID | BEGIN | TABLE_MAP, ROWS … | XID       one transaction; nothing of it is given out before its XID or COMMIT
//	GTID | QUERY (a statement on the layout)     a transaction without rows
//	GTID | TRANSACTION_PAYLOAD { BEGIN … XID }   the same as the first, compressed (MySQL)
//
// It promises that a position is one behind a whole transaction; that a transaction has the same identity whether it is
// read by GTID or by file and position; that whatever the log doesn't tell in full is an ErrGap with its reason and never
// a guess: files purged, another server or history, a layout that doesn't fit the rows, partial images, statements that
// change rows without row events, two-phase transactions.
//
// It connects once per Run and leaves the repeating to its caller. It never writes to the server, never ends another
// connection and never shows the password. It locks rows only where the server is MySQL and is read by file and position:
// for the moment in which a snapshot reads them.
//
// Columns are named by information_schema, read at each connect and again after every statement that may have changed
// the table, and must fit the log's own description of the table in number and types; where the log has the
// names (binlog_row_metadata=FULL) its own description counts. MariaDB doesn't log which columns are unsigned
// by default; they are taken from information_schema too, the bits in the log are the same.
package binlog
