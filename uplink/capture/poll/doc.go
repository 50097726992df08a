// Package poll finds changes by reading rows again and again: the way that needs no more than SELECT. It is a
// capture.Source.
//
//	with stations:     all rows on the station, each second ── those that left it since, by their keys
//	                   └─ the rows that left earlier, some at a time
//	without stations:  rows changed since the last look, less an overlap ── a chunk of the whole table, in turn
//
// It promises less than a log, and says so: what it gives are states that were found, never single changes. A row that went
// from A to B and back between two looks was not seen to change. But every state that lasts is found, and every row that
// stays away: late commits, times that were set by hand and deletes too, since in the end whole tables are compared with the
// Shadow and not times with times.
//
//   - The time that a row carries is when its statement ran. It says nothing of when it was committed: each look goes back by
//     an overlap, which grows when the comparison of the whole table finds a row that came later than that.
//   - A row that isn't found is looked for once more before it counts as deleted. Its record says between which two times of
//     the server it went.
//   - The server pays for each look. Each statement ends at the server after a time limit; one that scans the table or takes
//     long makes the looks rarer, one in five seconds, and the index that is missing is named. Where even that is too much, as
//     many stations scan one table, a look takes the smaller a part of the time the longer it takes (pace), and one that the
//     server ended is said and not repeated for some time.
//   - What is read of a table at once is bounded by its bytes, and columns that no record has are not asked for.
//
// It never writes, locks no row, and compares times of the server with each other only.
package poll
