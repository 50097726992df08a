// Package matrix holds that no way of finding changes loses or doubles one, whatever breaks: each way (the binary log by GTID and
// by file and position, the queue table, polling) on each server follows the same random work on a table that has every type,
// while the reader is killed, its connections are cut, the server is killed, the log is purged and reset, the table is
// altered and truncated, and another server takes over.
//
// The work notes what it committed. By the log and the queue each of those changes has exactly one record, in the order of its
// row, but for those that fell into a gap: that is named, and what came of them is recorded. A poll sees states: each that it
// tells was there, none comes out of order, and what stands in the end is told. In all ways no key comes twice, and the last
// record of each row is what SELECT shows, to the byte.
//
// make matrix runs it longer: ROUNDS=10 by default, SEED=n for the work of an earlier run.
package matrix
