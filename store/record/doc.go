// Package record is the vocabulary of the agent: what a reader saw (Tag), what became of it (Scan, Verdict), what is
// wanted of a row (Intent) and how that ended (Outcome), what changed in the database (Change) and the form in which it
// is anchored (Record, Receipt, Anchoring). It also holds the three classes that every error of the agent falls into.
//
// The package imports the standard library only and does no I/O, so that the bench, the store and the uplink can talk
// of the same things without knowing one another.
package record
