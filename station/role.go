package station

import "station-agent/store/record"

// Role is which codes count at a reader.
type Role string

// The roles. What a code is, is told by the code alone; the role only refuses.
const (
	AnyRole     Role = "any" // also the empty one
	ForPackages Role = "package"
	ForItems    Role = "item"
	ForCommands Role = "command" // and badges
)

// Roles lists all of them.
func Roles() []Role { return []Role{AnyRole, ForPackages, ForItems, ForCommands} }

// takes tells whether a reader of role r takes what is for readers of role is.
func (r Role) takes(is Role) bool { return r == "" || r == AnyRole || r == is }

// wrongReader refuses a code that doesn't count where it was read.
func (d *decider) wrongReader(r Role, what string) Decision {
	return d.refuse(record.WrongReader, "code %q is %s, and reader %s takes %s only: scan it at the other reader", d.scan.Code, what, d.scan.Reader,
		map[Role]string{ForPackages: "package labels", ForItems: "items", ForCommands: "commands and badges"}[r])
}
