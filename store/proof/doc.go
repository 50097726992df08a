// Package proof tells people what a package held at a time, or where an item was, and whether that is proven; it writes what that
// rests on into a file, and checks such a file. It reads and writes nothing but what it is handed: no store, no network.
//
// A file of evidence is lines of JSON, UTF-8, each ended by a line feed, each with a "type":
//
//	header    one, first: format "station-agent evidence", version 1, who made it when, of what: a package, an item, or all;
//	          "elsewhere": items whose rows this station doesn't follow any more
//	scan      what a reader read and what the packer was told; "at" says whether the clock was trusted
//	intent    what was scanned and isn't in the table (yet)
//	record    one change of a row as it was sent to Certyo: "payload" is a JSON string that holds the very bytes; receipt, last
//	          answer of Certyo ("answer" likewise), and how the record stands ("state")
//	contents  what the package held, or where the item was, by the records before; not if the file is of all
//	end       one, last: how many scans and records there are, and the SHA-256 of all lines before it
//
// Times are RFC 3339 in UTC. A record's "changed" is the commit time by the database's clock; "stored", "accepted", "answered" and
// "refused" are by the station's, each with whether that clock was trusted. There is no secret in it: a badge is a pseudonym, and
// what a reader sent is left out but for the code.
//
// A file proves nothing by itself: whoever can change it can make its checksum anew. It holds what to ask Certyo with, whose
// word is the proof.
package proof
