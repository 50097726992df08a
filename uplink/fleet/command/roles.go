package command

import "slices"

// Role is how much the holder of a key may do.
type Role string

// The roles; each may do what the one before it may.
const (
	Observer Role = "observer" // look
	Operator Role = "operator" // do what a technician at the station would
	Admin    Role = "admin"    // change what the station is, and whom it obeys
)

// The commands.
const (
	Identify      = "identify"       // the lamps blink
	PublicKey     = "public-key"     // for set-secret
	LampTest      = "lamp-test"      //
	Diagnostics   = "diagnostics"    // a bundle of what support wants to know
	Snapshot      = "snapshot"       // each row is reported once more
	Resync        = "resync"         // the rows are compared with what was reported
	Retry         = "retry"          // refused records are sent again
	Drain         = "drain"          // what waits is sent now
	Pause         = "pause"          // delivery and capture rest
	Resume        = "resume"         //
	LogLevel      = "log-level"      // for a time
	Restart       = "restart"        //
	SetConfig     = "set-config"     // on trial
	ConfirmConfig = "confirm-config" //
	SetSecret     = "set-secret"     //
	TrustKey      = "trust-key"      //
	RevokeKey     = "revoke-key"     //
)

func roles() []Role { return []Role{Observer, Operator, Admin} }

// Names lists the commands, those that take the least first.
func Names() []string {
	return []string{Identify, PublicKey, LampTest, Diagnostics, Snapshot, Resync, Retry, Drain, Pause, Resume, LogLevel, Restart,
		SetConfig, ConfirmConfig, SetSecret, TrustKey, RevokeKey}
}

// Needs is the least role that may give a command; false if there is no such command.
func Needs(name string) (Role, bool) {
	switch name {
	case Identify, PublicKey, LampTest, Diagnostics:
		return Observer, true
	case Snapshot, Resync, Retry, Drain, Pause, Resume, LogLevel, Restart:
		return Operator, true
	case SetConfig, ConfirmConfig, SetSecret, TrustKey, RevokeKey:
		return Admin, true
	}
	return "", false
}

// May tells whether r may do what takes the role of need.
func (r Role) May(need Role) bool {
	return slices.Contains(roles(), r) && slices.Index(roles(), r) >= slices.Index(roles(), need)
}
