// Package station is the bench: a tag comes in, the operator is told a verdict, and what was accepted becomes an intent.
//
//	Reader ──Read──▶ Bench ──▶ Decide ──▶ Journal.Append ──▶ Panel.Show
//	 serial+codec      ▲      (pure)        (fsync)             lamps, log
//	                   │         ▲
//	 outcomes ─Ended───┘      Picture ◀──Replace── rows of this station, read each second
//
// It promises
//
//   - Green means on disk: "accepted" is shown only after Journal.Append returned without an error.
//   - Never guess an item: two candidates are refused.
//   - Never overwrite another package: an intent names the values that it may replace, and those are the value that the
//     operator's row showed and what this station itself wants of the row.
//   - The network never delays the bench: deciding needs the tag, the session and the Picture, all in memory. The one thing
//     waited for is the journal's flush.
//
// It never talks to a database, never writes a code into a package column that does not match the package pattern, and
// never changes a code: codes are compared byte by byte.
package station
