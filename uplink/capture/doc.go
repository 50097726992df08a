// Package capture turns the committed changes of the rows that concern this station into records for anchoring.
//
//	Source --Tx--> [whose change?] --> [canonical JSON] --> group --> Store.Put(position + records + shadow)
//
// There are three Sources: the binary log (package binlog), a table that triggers fill (queue), and reading the rows again and
// again (poll). The first two give each change; the last gives states that were found, and its records never say more. A Runner
// moves the changes of the tables that are found by one Source; each has a stream of its own in the store.
//
// It promises:
//
//   - The position never passes a change that is not in the store: position, records and Shadow of a group of whole
//     transactions enter in one Put, and after any failure reading goes on from what is stored.
//   - One change, one key, one owner. The key comes only from what the source says, so it is the same after every crash,
//     re-read and other grouping, and at every station; the owner follows from the row's images and the Shadow alone.
//   - What was missed is said: after a gap the rows are compared with the Shadow, differences and deletes become records,
//     and one record in the collection station_agent_gaps names the gap. That is so whatever a Spec says of its beginning: it
//     can only ask for more (Restate).
//     The same follows when the store says that it lost records; then everything that stands here is reported once more.
//   - While the store refuses a group, the group is held and the source waits: nothing is read twice for a full card, there
//     is one alarm, and what is about to leave the source's log meanwhile is said (Purge).
//   - The same row gives the same bytes, whichever way it was read: there is one type table (Column) for all.
//
// It never writes to the database, never follows a table it wasn't given and never the agent's own: what the agent says
// about anchoring can't become a change that is anchored.
//
// # Keys
//
//	b:<transaction>/<commit time, µs>/<ordinal>[a|b]     a change that was seen to happen, in the binary log
//	q:<id of the entry>[a|b]                             a change that a trigger wrote down
//	p:<collection>/<id>/<time, µs>/<digest>/<digest>     a state that a poll found: the time of the row, what it is, and what and
//	                                                     which version it was before
//	s:<run>/<collection>/<id>                            a state that was found by a snapshot, a sweep or a reconciliation
//	s:<run>-/<collection>/<id>                           a row that a sweep didn't find any more
//	g:<digest>                                           that a row was observed missing, and between which times
//
// The transaction is its GTID with tag, or server, file and position of its start where the server gives no GTID. The
// commit time is in the key because MariaDB gives the same GTIDs at the same positions again after RESET MASTER. The
// ordinal counts the rows of the transaction over all tables. A change of the primary key is two records, the delete of
// the old id (a) and the insert of the new one (b).
//
// # Versions
//
// recordVersion is max(version of the row in the Shadow + 1, tick), tick being the commit time in µs (MySQL), or seconds ×
// 10⁶ + GTID sequence mod 10⁶ (MariaDB, whose log has whole seconds). It rises with every record of a row. Shadow and
// position enter the store together, so a re-read finds the Shadow it found before and gives the same versions. A queue's tick
// is the time of the trigger, a poll's the server's time of the look. What is not covered: a row that is deleted and comes back
// under the same id after the server's clock was set back, or within the second in which MariaDB's sequence began anew (RESET
// MASTER); and a row that wanders between stations which find changes by different ways, as a poll's times and a log's are not
// the same to the second.
//
// # Tables
//
// A Spec says what of a table is captured. One with a column for the station is captured row by row as the Scope says; of one
// without, all rows are this station's. The first may be read as a whole in one go: it has as many rows as lie on a bench. The
// second is swept, a chunk at a time beside its changes (Sweep), at the beginning and after a gap.
package capture
