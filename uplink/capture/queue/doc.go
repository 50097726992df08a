// Package queue finds changes in a table that triggers fill: the way for a table of the customer's own, on a server whose
// binary log is not to be had. It is a capture.Source.
//
//	INSERT, UPDATE, DELETE ──trigger, same transaction──► queue table ──read, stored, marked──► records
//
// Each entry has all columns of the row before and after, as text that depends on no setting of the session that wrote, and
// an id of its own: the key of its change. A number only says in which order the changes of one row came.
//
// It promises:
//
//   - An entry is marked only once its record is in the store; what is stored and not marked yet stands in the position, so
//     that nothing is taken twice after a crash. What is committed late is found late: entries are looked for by their mark,
//     not by their number.
//   - One agent reads a queue table at a time: it holds a named lock of the server, others stand by.
//   - Marked entries are removed after a day, some at a time.
//
// It writes nothing but marks. Rows that a foreign key cascades to fire no trigger: Check finds such keys.
package queue
