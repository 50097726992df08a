package fleet

import "time"

// Mode is the state of a station in one word.
type Mode string

// The modes. See the package comment for their order.
const (
	Init         Mode = "init"         // the agent has just started
	Ready        Mode = "ready"        // the work goes on and nothing is wrong
	Alert        Mode = "alert"        // the work goes on as far as it can; Health names what is wrong
	Disconnected Mode = "disconnected" // the agent was stopped
	Lost         Mode = "lost"         // said by the broker: no word from the agent
)

// State is the payload of the state topic.
type State struct {
	State       Mode      `json:"state"`
	Session     uint64    `json:"session"` // number of the agent's start, increasing
	At          time.Time `json:"at"`      // since when; for lost: when the connection that was lost began
	Version     string    `json:"version"`
	Station     string    `json:"station"` // uuid
	Environment string    `json:"environment"`
	Name        string    `json:"name"` // for people
}

// Health is the payload of the health topic. Times ago and ages are in seconds; null is "never" or "not known".
type Health struct {
	Version           string    `json:"version"`
	UptimeS           float64   `json:"uptime_s"` // of the agent
	RSSMB             float64   `json:"rss_mb"`   // resident memory of the agent, 1e6 bytes
	ClockTrusted      bool      `json:"clock_trusted"`
	Scans             uint64    `json:"scans"`
	LastScanS         *float64  `json:"last_scan_s"`
	IntentsOpen       int       `json:"intents_open"`   // assignments not yet in the database
	IntentsParked     int       `json:"intents_parked"` // assignments that need a person
	LastSettledS      *float64  `json:"last_settled_s"`
	RowsAgeS          *float64  `json:"rows_age_s"`    // how long ago the rows of the station were read
	CaptureLagS       *float64  `json:"capture_lag_s"` // age of the last change taken in, behind the database
	Capture           []Way     `json:"capture"`       // how the changes of each table are found
	QueueRecords      int       `json:"queue_records"` // records not yet sent
	QueueBytes        int64     `json:"queue_bytes"`
	OldestUnsentS     float64   `json:"oldest_unsent_s"`      // 0 if there is none
	Unanchored        int       `json:"unanchored"`           // records sent and not yet proven
	OldestUnanchoredS float64   `json:"oldest_unanchored_s"`  // 0 if there is none
	Anchoring         Anchoring `json:"anchoring"`            // how those stand
	Unverified        uint64    `json:"unverified"`           // records sent and given up unproven, ever
	Replayed          uint64    `json:"replayed"`             // records that Certyo had already, as the first answer was lost, ever
	Doubled           uint64    `json:"possibly_doubled"`     // records that Certyo may have twice: sent again after a day, ever
	Passed            uint64    `json:"passed"`               // found states that were not sent, as a newer change of the row was, ever
	DeadLetters       int       `json:"dead_letters"`         // records refused for good
	OldestDeadS       float64   `json:"oldest_dead_letter_s"` // how long the one waits for a person that waits longest; 0 if there is none
	Problems          []Problem `json:"problems"`
}

// Anchoring counts the records that are sent and not yet proven by how they stand.
type Anchoring struct {
	Pending    int `json:"pending"`
	Superseded int `json:"superseded"` // the answer may be about a later change of the row
	Mismatch   int `json:"mismatch"`   // Certyo's hash differs
	Missing    int `json:"missing"`    // Certyo accepted it and doesn't know it
	Unclear    int `json:"unclear"`
}

// Way is how the changes of one table are found.
type Way struct {
	Table string   `json:"table"`
	Way   string   `json:"way"`   // binlog, queue or polling
	Why   string   `json:"why"`   // for people
	Cost  string   `json:"cost"`  // to the server, for people
	LagS  *float64 `json:"lag_s"` // null: nothing was read yet

	Waiting *int     `json:"waiting,omitempty"`  // entries of a queue table that nobody took, 100,000 at most
	OldestS *float64 `json:"oldest_s,omitempty"` // age of the oldest of them
}

// Problem is one thing that is away or wrong now.
type Problem struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Text  string    `json:"text"`  // the thing, the reason and what to do
	Count uint64    `json:"count"` // failures since then
}

// mode is the state that h stands for.
func (h Health) mode() Mode {
	if len(h.Problems) > 0 {
		return Alert
	}
	return Ready
}
