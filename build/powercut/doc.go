// Package powercut pulls the plug of a station's card at every moment of its work, and looks whether the store kept its
// promises.
//
// A small Linux in QEMU (see guest) works through the Script with the store package on an ext4 file system. QEMU writes
// down every write and every flush that reaches the card, in order. The guest says when a step is done, and waits until its
// host has noted how long that log is at this moment. That is once, a few seconds:
//
//	guest   step 1 │  step 2 │   step 3   │ ...
//	log     w w F  w  w F  F │ w w w  F   │ ...
//	marks          ^ 1 done  ^ 2 done     ^ 3 done
//
// From then on no guest is needed. A card may lose what was not flushed, or any part of it, sector by sector. So each place
// of the log is a power cut with these crash states:
//
//	none   all writes before the last flush, and nothing behind it
//	all    those, and all writes up to that place
//	torn   those, and any sectors of the writes between
//
// Every state becomes the image of a card, its file system is recovered, its store is taken out and opened by the store
// package again. What was done by then must be there, at most the one step that was under way besides, nothing else, and the
// store must go on. Some things may come late, because losing them costs nothing: the outcome of an intent until the next
// flush of the journal, and receipts, looks, shadow and picture for some seconds (see promise).
//
// Opening a store after a power cut writes too. So some torn states go to a guest again, which only opens the store, and the
// power is cut in that.
//
// The control is a second log of the same work by a guest whose fsync does nothing. The same check must find that work was
// lost, else it sees nothing.
//
// The package needs no root, no loop device and no mount. QEMU, the kernel and the tools of ext4 are Debian packages in the
// cache, and nothing of the host is changed. What it does not show: a card that lies about its flushes, or that damages
// blocks which were not being written.
package powercut
