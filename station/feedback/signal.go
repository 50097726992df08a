package feedback

import "station-agent/store/record"

// The signals that are no verdict and no step.
const (
	Idle        = "idle"         // stands: nothing is open
	Open        = "package open" // stands
	Offline     = "offline"      // stands: the database can't be reached
	CallBack    = "call-back"    // stands until acknowledged
	Broken      = "fault"        // stands, and is the verdict of that name
	NotEmpty    = "table not empty"
	Count       = "count"        // the items of a package just closed
	CountListed = "count listed" // the rows that the second scan will take
	Second      = "second scan"  // the same label is waited for
	Awaits      = "awaits"       // a command waits for its scan
	Overridable = "override"     // the conflict may be overridden
	Asks        = "asks"         // a question waits for its answer
	Refused     = "refused"      // the last scan was, and nothing was scanned since
	Identify    = "identify"     // stands while somebody far away asks which station this is
	LampTest    = "lamp test"
)

// Of is the signal of a scan: its verdict where that is not green; else its step, and where there is none but the adding of an
// item the kind of green.
func Of(s record.Scan) string {
	switch {
	case !s.Verdict.Green(), s.Step == record.None, s.Step == record.Added:
		return string(s.Verdict)
	case s.Step == record.Opened && s.NotEmpty > 0:
		return NotEmpty
	default:
		return string(s.Step)
	}
}
