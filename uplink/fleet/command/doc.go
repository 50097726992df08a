// Package command makes sure that what the fleet wants of a station comes from somebody who may want it, is meant for this
// station and is done once.
//
//	message.Command as JSON ──Sign──▶ message.Envelope ──broker──▶ Verify ──▶ Taken or Challenges ──▶ done
//	                                  key id, body to the byte,    who, where,   not late, not twice
//	                                  signature                    in form
//
// Signed is the text
//
//	station-agent command 1 \n key id \n body
//
// with Ed25519 (RFC 8032). The body is never encoded again, so nothing has to agree on a canonical form of JSON. A key id has no
// line end, so that no two pairs of id and body make one text.
//
// It promises
//
//   - A command of a key that isn't known, or is revoked, changed on its way, or made for another station or environment is refused.
//   - A command is taken once. It ends ten minutes after it was signed at most, and until then its nonce is remembered; the
//     remembering is the caller's to keep on disk. What was forgotten can't come again, whatever the clock does: nothing that
//     expires before something that was forgotten is taken.
//   - Without a trusted clock a command needs a challenge that this station gave its key within the last minute; each opens once.
//   - A secret for a station is sealed to its public key as libsodium's crypto_box_seal does, and can be opened by it alone.
//
// It has no clock, no disk and no network of its own.
package command
