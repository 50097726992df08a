// Package station is the bench: a tag comes in, the operator is told a verdict, and what was accepted becomes an intent.
//
//	Reader ──Read──▶ Bench ──▶ presence ──▶ Decide ──▶ Journal.Append ──▶ Panel.Show
//	 serial+codec,     ▲        (tags)      (pure)        (fsync)          feedback, log
//	 evdev, gpio       │                    ▲  ▲
//	 outcomes ─Ended───┤                    │  └ Labels: what this station used before
//	 time ─────Tick────┘                 Picture ◀──Replace── rows of this station, read each second
//
// The session is a pure state machine: Decide answers a tag and Tick the time, from a State, the Rules and the World to a
// Decision. One file a subject: label.go (opening, assigning, sweeping), item.go and naming.go (which row a code means),
// command.go, badge.go, tick.go. What went on last is kept on a Tape (tape.go), and Replay runs it again.
//
// It promises
//
//   - Green means on disk: "accepted" is shown only after Journal.Append returned without an error.
//   - Never guess an item: two candidates are refused, unless they are units of one product and the site said that any
//     will do.
//   - Never overwrite another package: an intent names the values that it may replace, and those are the value that the
//     operator's row showed and what this station itself wants of the row. Another package is among them only after the
//     override command, which names the item that was refused.
//   - Nothing joins by accident: no tag joins a closed or unopened package, what lies on the antenna when a package opens
//     doesn't count, and after a restart or another badge the label is asked for again.
//   - What a step did to packages and items is undone by the next scan, if it is undo.
//   - The network never delays the bench: deciding needs the tag, the session, the Picture and the labels, all in memory or
//     one look into a file. The one thing waited for is the journal's flush.
//
// It never talks to a database, never writes a code into a package column that does not match the package pattern (but puts
// back what an override replaced, unless it was the empty text), and never changes a code: codes are compared byte by byte. A GTIN compares by its 14 digits and an EPC by its bits, as both are
// written in several ways. A badge's code is not kept, only its pseudonym.
package station
