// Package binlog follows the binary log of a MySQL or MariaDB server as a replica does. It is a capture.Source, and
// a capture.Retainer: it tells how long the server keeps what is still to be read.
//
//	GTID | BEGIN | TABLE_MAP, ROWS … | XID       one transaction; nothing of it is given out before its XID or COMMIT
//	GTID | QUERY (a statement on the layout)     a transaction without rows
//	GTID | TRANSACTION_PAYLOAD { BEGIN … XID }   the same as the first, compressed (MySQL)
//
// It promises that a position is one behind a whole transaction; that a transaction has the same identity whether it is
// read by GTID or by file and position; that whatever the log doesn't tell in full is an ErrGap with its reason and never
// a guess: files purged, another server or history, a layout that isn't known, statements that change rows without
// row events, two-phase transactions.
//
// It connects once per Run and leaves the repeating to its caller. It never writes to the server and never shows the
// password. It ends no connection but one: the dump that its last stream left behind a broken link. It locks rows only for
// the moment in which it reads them: in a snapshot where the server is MySQL and is read by file and position, and where it
// looks at rows with partial images.
//
// # Layouts
//
// Where the log has the columns' names (binlog_row_metadata=FULL) its own description counts. Else they come from
// information_schema and must fit the log's description in number and types, and a layout is good from the statement that
// made it to the next one that may change the table (history). A layout that is read now is the one of now: rows that lie
// before the end of the log are held back until the stream has come to where the log ended at the reading, and if the table
// was changed once more in between, nobody knows how it was: that is an ErrGap, and nothing of it was given out. Layouts are
// kept in the Memory with the place where they begin, so that a stream that begins before a change names the rows before it
// rightly, also after a restart. A change of the table that the server doesn't log (sql_log_bin=0) can't be seen unless
// number or types differ.
//
// MariaDB doesn't log which columns are unsigned by default; they are taken from information_schema too, the bits in the
// log are the same.
//
// # Partial images
//
// A server whose log has partial images is refused. But a session may switch them on for itself (binlog_row_image,
// binlog_row_value_options). Such a row is looked at when its transaction is over, by its key, and given out with the
// transaction as a state that was found; the complete rows of the transaction stay changes. It may show changes of later
// transactions already: these come as changes all the same, so each has its record, and behind the last of them the row is
// as it was found. A partial delete, and the old key of a row that got another one, are given out as missing. A row that the
// transaction left there and that is gone when it is looked at is not: the log says itself what removed it. What such rows
// were in between is lost; Config.Warn is told what mends it. An image without the key is an ErrGap.
//
// # Statements
//
// A statement is cut into words; only what speaks of the table by its name, in its schema, counts. Statements that change
// rows without saying which are an ErrGap, those that may change columns end the layout, all others pass. One that can't be
// cut into words for certain (a backslash in quotes depends on the session's mode) is judged by its first words.
//
// # Replica id and connection
//
// The replica id is one of a range that the station's identity chooses. If another replica turns out to have it, another one
// is chosen and kept in the Memory. There, too, stands which connection the last stream was. Behind a link that broke without
// a word the server has its dump still; it is ended by its number if that is on a dump of our user, from the same address and
// port, in the same run of the same server. (MariaDB ends by itself one with our replica id.)
//
// # A stream that is stuck
//
// The connection for the log must lead to the server that answers the questions: behind an address that balances over several
// the places in the log, the layouts and the rows would be of two.
//
// A server that falls silent is noticed by its heartbeats. One that has them but sends nothing is noticed by a question: while
// no event comes, it is asked after ten seconds and then once a minute where its log ends; if that went on and still nothing came
// for a minute, the stream ends with an error that says so, and the next one gives no sign of life before something comes. While
// events come, or wait for the store, nothing is asked.
//
// A log that is begun anew (RESET) is not told to who reads it: the server goes on to say that it lives, at the old place. That its
// log ends before this place is an ErrGap at once. While nobody reads, GTIDs, the numbers of the files and the time at which the
// file was begun tell. What stays unnoticed is a history that was begun anew while nobody read, if it has come further than the old
// one both in transactions and in files.
//
// # What the server refuses
//
// Error 1236 is told apart by its words: the log was purged, another history, a log that was begun anew under the reader, an
// event larger than the server sends, a position where no event begins are each an ErrGap of its own name, and capture goes on
// behind what can't be had; a replica id that is another's gets another one; trouble of the moment is tried again. A position in
// the middle of an event is called too large an event by both servers, so that name says both.
package binlog
