// Package store keeps what must survive a pulled plug: the Journal (scans, intents and how they ended) in an append-only
// segment log, and the DB (outbox, ledger, evidence, shadow, picture) in a log of commits and a file of rows, both bbolt. Beside
// them it tells what the station knows of the package labels that it used, and keeps a map of tags.
//
// It promises
//
//   - Green means on disk: Journal.Append returns only when the entry was flushed to the card.
//   - The position never passes a change: DB.Put takes position, records and shadow in one commit or not at all.
//   - Nothing is forgotten before it is confirmed: an intent leaves the journal by an Outcome only, a record leaves the
//     outbox with a receipt, a refusal or by a person's act only, and a refused one stays listed.
//   - Capture pauses before a scan is refused: DB.Put leaves room on the card, and the journal gives up its reserve and then its
//     history before it gives up an entry.
//   - Damage costs what is damaged: everything else that reads goes on, and what is lost is counted, dated and said.
//
// It never needs one transaction over both, never guesses past damage, never retries a failed flush as if nothing had
// happened, and never logs: every error names the path, the reason and what to do.
//
// The folder:
//
//	lock                   flock of the running agent, with its process id
//	store.json             format, store id, for whom it was made, and whether it moved away
//	reserve                zeros: room for scans on a full card
//	journal/
//	  0000000000000001.seg named by the sequence of its first entry, in hexadecimal
//	  0000000000000c3f.seg.damaged-1   set aside
//	records/
//	  0000000000000001-0000000000000001.db   named by its first commit and the next record's sequence
//	rows.db                shadow and picture
//	labels.db              what is known of used package labels: can be made again from the journal
//	events.log             what the fleet is to be told, and the last warnings
//	map.db                 which tags are on which item, as it was imported
//
// DESIGN.md draws the formats and lists what happens when something breaks.
package store
