// Package store keeps what must survive a pulled plug: the Journal (scans, intents and how they ended) in an append-only
// segment log, and the DB (outbox, ledger, shadow, evidence, picture) in one bbolt file.
//
// It promises
//
//   - Green means on disk: Journal.Append returns only when the entry was flushed to the card.
//   - The position never passes a change: DB.Put takes position, records and shadow in one transaction or not at all.
//   - Nothing is forgotten before it is confirmed: an intent leaves the journal by an Outcome only, a record leaves the
//     outbox with a receipt or a refusal only, and a refused one stays listed.
//   - Capture pauses before a scan is refused: DB.Put leaves room on the card and in the file, and the journal gives up its
//     history before it gives up an entry.
//
// It never merges the two files in one transaction, never guesses past damage, never retries a failed flush as if nothing
// had happened, and never logs: every error names the path, the reason and what to do.
//
// The folder:
//
//	lock                   flock of the running agent, with its process id
//	store.json             format, store id and for whom it was made; written once
//	records.db             bbolt: outbox, ledger, shadow, evidence, picture
//	journal/
//	  0000000000000001.seg named by the sequence of its first entry, in hexadecimal
//	  0000000000000c3f.seg
//
// DESIGN.md draws both formats and lists what happens when something breaks.
package store
