package feedback

import (
	"time"

	"station-agent/store/record"
)

// Priorities of the defaults: what stands lies below what happens. What stays of an event lies between, so that a fault or a
// call-back is seen although the last scan was refused.
const (
	prioIdle     = 0
	prioOffline  = 5
	prioOpen     = 10
	prioStays    = 20
	prioIdentify = 30
	prioCallBack = 40
	prioFault    = 50
	prioEvent    = 100
	prioTest     = 200
)

const ms = time.Millisecond

// window is how long the agent waits for what a command, a conflict or a listing needs.
const window = 10 * time.Second

// Defaults lists the pattern of every signal. Where two of them ask for the same act they may be alike: unknown, ambiguous and
// contradiction say that it isn't known which item this is.
func Defaults() []Pattern {
	return []Pattern{
		// It counts: green, one high tone.
		{Signal: string(record.Accepted), Green: "600", Sound: "80@2700", Lasts: 600 * ms, Priority: prioEvent},
		{Signal: string(record.AcceptedOffline), Green: "600", Blue: "0 700 150", Sound: "80@2700 60 40@2700", Lasts: 850 * ms, Priority: prioEvent},
		{Signal: string(record.Unverified), Green: "600", Blue: "0 700 150 150 150", Sound: "80@2700 60 40@2700 60 40@2700", Lasts: 1150 * ms, Priority: prioEvent},

		// Nothing to do: yellow.
		{Signal: string(record.Waiting), Yellow: "300 300 repeat", Sound: "30@1800", Lasts: 4 * time.Second, Priority: prioEvent},
		{Signal: string(record.Duplicate), Yellow: "150 150 150", Sound: "80@1800 80 80@1800", Lasts: 500 * ms, Priority: prioEvent},
		{Signal: string(record.TimedOut), Yellow: "1000", Sound: "300@900 100 300@900", Lasts: time.Second, Priority: prioEvent},

		// It does not count: red, low.
		{Signal: string(record.Misread), Red: "150 150 150", Sound: "120@900 80 120@900", Lasts: 600 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Unknown), Red: "200 150 200 150 200", Sound: "600@500", Lasts: 1050 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Ambiguous), Red: "200 150 200 150 200", Sound: "600@500", Lasts: 1050 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Contradiction), Red: "200 150 200 150 200", Sound: "600@500", Lasts: 1050 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Conflict), Red: "200 150 200 150 200", Blue: "0 700 600", Sound: "600@500 100 80@1800", Lasts: 1300 * ms, Then: Overridable, Priority: prioEvent},
		{Signal: string(record.LabelUsed), Red: "500 200 500", Yellow: "0 500 200", Sound: "300@500 100 300@500", Lasts: 1200 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.NoPackage), Red: "400", Blue: "0 600 400", Sound: "300@500 200 80@900", Lasts: time.Second, Then: Refused, Priority: prioEvent},
		{Signal: string(record.WrongReader), Red: "150 150 150", Yellow: "0 150 150 150 150", Sound: "120@900 80 120@1800", Lasts: 700 * ms, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Stale), Red: "800", Yellow: "800", Sound: "300@900", Lasts: time.Second, Then: Refused, Priority: prioEvent},
		{Signal: string(record.Question), Yellow: "400 200 400", Blue: "400 200 400", Sound: "120@1800 80 120@900 80 120@1800", Lasts: 1200 * ms, Then: Asks, Priority: prioEvent},

		// Steps.
		{Signal: string(record.Opened), Green: "150 150 300", Sound: "60@1800 40 60@2700", Lasts: 600 * ms, Priority: prioEvent},
		{Signal: NotEmpty, Green: "150 150 300", Yellow: "0 600 200 150 200", Sound: "60@1800 40 60@2700 400 200@900", Lasts: 1200 * ms, Priority: prioEvent},
		{Signal: string(record.Reopened), Green: "150 150 150 150 300", Sound: "60@1800 40 60@1800 40 60@2700", Lasts: 900 * ms, Priority: prioEvent},
		{Signal: string(record.Resumed), Green: "300 150 150", Sound: "60@1800 40 120@2700", Lasts: 700 * ms, Priority: prioEvent},
		{Signal: string(record.Removed), Green: "250", Yellow: "0 250 250", Sound: "60@2700 100 120@1800", Lasts: 500 * ms, Priority: prioEvent},
		{Signal: string(record.Closed), Green: "1000", Sound: "60@2700 40 60@2700 40 200@1800", Lasts: 1200 * ms, Then: Count, Priority: prioEvent},
		{Signal: string(record.Assigned), Green: "1000", Blue: "1000", Sound: "60@2700 40 60@2700 40 60@2700 40 200@1800", Lasts: 1200 * ms, Then: Count, Priority: prioEvent},
		{Signal: string(record.Listed), Blue: "600 200 200", Sound: "60@1800 40 60@1800 40 60@1800", Lasts: 1200 * ms, Then: CountListed, Priority: prioEvent},
		{Signal: string(record.Cleared), Green: "250", Yellow: "0 250 700", Sound: "60@2700 40 60@1800 40 200@900", Lasts: time.Second, Priority: prioEvent},
		{Signal: string(record.Cancelled), Yellow: "700", Sound: "60@1800 60 120@900", Lasts: 700 * ms, Priority: prioEvent},
		{Signal: string(record.Undone), Yellow: "250 150 250", Sound: "60@2700 60 120@900", Lasts: 700 * ms, Priority: prioEvent},
		{Signal: string(record.Armed), Blue: "150", Sound: "40@1800", Lasts: 300 * ms, Then: Awaits, Priority: prioEvent},
		{Signal: string(record.SetAside), Yellow: "400", Sound: "150@1800", Lasts: 500 * ms, Priority: prioEvent},
		{Signal: string(record.Told), Blue: "400 200 400", Sound: "80@2700 120 80@1800", Lasts: time.Second, Priority: prioEvent},
		{Signal: string(record.Acknowledged), Green: "150", Sound: "40@2700", Lasts: 300 * ms, Priority: prioEvent},
		{Signal: string(record.SignedOn), White: "900", Green: "0 600 300", Sound: "60@900 40 60@1800 40 60@2700 40 60@2700", Lasts: 900 * ms, Priority: prioEvent},
		{Signal: string(record.SignedOff), White: "500", Sound: "60@2700 40 60@1800 40 60@900 40 60@900 40 60@900", Lasts: 900 * ms, Priority: prioEvent},

		// What follows an event.
		{Signal: Count, Blue: "250", Lasts: 500 * ms, Counts: true, Priority: prioEvent},
		{Signal: CountListed, Blue: "250", Sound: "30@1800", Lasts: 500 * ms, Counts: true, Then: Second, Priority: prioEvent},
		{Signal: Second, Blue: "700 300 repeat", Lasts: window, Priority: prioStays},
		{Signal: Awaits, Blue: "150 450 repeat", Lasts: window, Priority: prioStays},
		{Signal: Overridable, Red: "on", Blue: "400 400 repeat", Lasts: window, Then: Refused, Priority: prioStays},
		{Signal: Asks, Yellow: "800 200 repeat", Blue: "200 800 repeat", Priority: prioStays},
		{Signal: Refused, Red: "2800 200 repeat", Priority: prioStays},

		// What stands.
		{Signal: Idle, White: "50 2950 repeat", Priority: prioIdle},
		{Signal: Open, White: "50 250 50 2650 repeat", Priority: prioOpen},
		{Signal: Offline, White: "50 2950 repeat", Blue: "0 600 600 1800 repeat", Priority: prioOffline},
		{Signal: CallBack, Red: "500 500 repeat", Blue: "500 500 repeat", Sound: "200@900 100 200@1800 100 200@900 9200 repeat", Priority: prioCallBack},
		{Signal: Broken, Red: "500 500 repeat", Yellow: "0 500 500 repeat", Sound: "300@500 150 300@500 150 300@500 8600 repeat", Priority: prioFault},

		// Which station is this? All lamps at a time, as nothing else does for long, and no sound: nobody at the bench has to act.
		{Signal: Identify, Red: "250 250 repeat", Yellow: "250 250 repeat", Green: "250 250 repeat", Blue: "250 250 repeat", White: "250 250 repeat", Priority: prioIdentify},

		// One lamp after another from the top, then all of them, then the buzzer.
		{Signal: LampTest, Red: "500 2000 800", Yellow: "0 500 500 1500 800", Green: "0 1000 500 1000 800", Blue: "0 1500 500 500 800",
			White: "0 2000 1300", Sound: "0 3300 100@2700 100 100@500", Lasts: 3600 * ms, Priority: prioTest},
	}
}
