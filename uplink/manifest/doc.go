// Package manifest says of each package what was in it when it was closed, as a record of its own: a row's record proves one
// item, a manifest proves "this set and no other".
//
//	journal --Follow--> what each entry does to packages --> waits until the rows show it --Put(record, mark)--> outbox
//
// It promises:
//
//   - Each closing has one manifest, and so has each later change of a closed package (cleared, an item moved out of it, a step undone,
//     an assignment that ended otherwise after all), unless nothing changed. What was open before and goes on has none.
//   - It claims what the rows say. An item is in Hashes once its row showed the package to this station. A closing waits for that
//     (Config.Wait); what isn't settled by then stands under Open, what ended otherwise under Conflict, and another manifest follows
//     when that changes.
//   - Once, also through a crash between journal and outbox: the mark up to which the journal was read enters the store in
//     the transaction of the record, and a manifest that is made again has the same key.
//   - Nothing of a person: a badge is its pseudonym, an item its hash.
//
// It never writes to the database and never makes anybody wait. While the store refuses what comes in for want of room, it waits.
//
// A manifest is about what this station put into the package. Two stations that pack into one have a manifest each:
//
//	collection  station_agent_manifests
//	recordId    <package>@<station>
//	version     max(version of the one before + 1, time of the closing in µs if the clock was right): rises per package and station, also
//	            when a store was lost and its sequences began anew. Without a time it is above that of all others, as the one before may
//	            be forgotten
//	key         m:<store>/<sequence of the journal's entry>/<digest of the package and the entry's moment>
//
// What it knows of a package is the manifest before, in the Shadow, and what entries did since. A package that was closed
// before manifests were made, or longer ago than Config.Keep, gets its first one when it is closed, assigned or cleared again.
package manifest
