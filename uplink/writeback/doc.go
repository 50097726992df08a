// Package writeback shows in MySQL how the records that Certyo accepted stand: in a table of the agent's own, or in the three
// tracking columns of Certyo's MySQL guide in a customer's own table.
//
//	store's log ──Standings(mark)──► batches ──► Target (one transaction each) ──► mark
//
// It promises
//
//   - Nothing is kept for it: what is to be written is read from the store's log of receipts and verifications, behind a mark that
//     moves only after the write. With MySQL down nothing is lost, and after a restart, or with the mark lost, it is written again.
//     Writing twice is writing once. What left the store before it was written (it keeps evidence for days) is never written.
//   - Delivery and verification never wait for it: it has connections of its own and only reads what is on the card.
//   - A row of a customer's is written only if it still is what was sent, its time of change and our columns aside; that is looked
//     at and written in one transaction, which holds the row.
//
// It never writes into Buylo's table, and never captures anything: the agent's tables are refused by capture, and the tracking
// columns are in no payload there (capture.Spec.Tracked).
package writeback
