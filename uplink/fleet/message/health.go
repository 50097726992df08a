package message

// Health is the payload of the health topic.
type Health struct {
	Session           uint64    `json:"session"`
	Version           string    `json:"version"`
	System            string    `json:"system"`   // kernel and board, for people
	UptimeS           float64   `json:"uptime_s"` // of the agent
	BootS             float64   `json:"boot_s"`   // of the board
	RSSMB             float64   `json:"rss_mb"`   // resident memory of the agent
	ClockTrusted      bool      `json:"clock_trusted"`
	Scans             uint64    `json:"scans"`
	LastScanS         *float64  `json:"last_scan_s"`
	CallBacks         int       `json:"call_backs_waiting"` // packages whose packer has to look again
	IntentsOpen       int       `json:"intents_open"`       // assignments not yet in the database
	IntentsParked     int       `json:"intents_parked"`     // assignments that need a person
	LastSettledS      *float64  `json:"last_settled_s"`
	RowsAgeS          *float64  `json:"rows_age_s"`    // how long ago the rows of the station were read
	CaptureLagS       *float64  `json:"capture_lag_s"` // age of the last change taken in, behind the database
	Capture           []Way     `json:"capture"`       // how the changes of each table are found
	QueueRecords      int       `json:"queue_records"` // records not yet sent
	QueueBytes        int64     `json:"queue_bytes"`
	OldestUnsentS     float64   `json:"oldest_unsent_s"`      // 0 if there is none
	Lanes             []Lane    `json:"lanes"`                // of the queue
	Unanchored        int       `json:"unanchored"`           // records sent and not yet proven
	OldestUnanchoredS float64   `json:"oldest_unanchored_s"`  // 0 if there is none
	Anchoring         Anchoring `json:"anchoring"`            // how those stand
	Unverified        uint64    `json:"unverified"`           // records sent and given up unproven, ever
	Replayed          uint64    `json:"replayed"`             // records that Certyo had already, as the first answer was lost, ever
	Doubled           uint64    `json:"possibly_doubled"`     // records that Certyo may have twice: sent again after a day, ever
	Passed            uint64    `json:"passed"`               // found states that were not sent, as a newer change of the row was, ever
	DeadLetters       int       `json:"dead_letters"`         // records refused for good
	OldestDeadS       float64   `json:"oldest_dead_letter_s"` // how long the one waits for a person that waits longest; 0 if there is none
	StoreBytes        int64     `json:"store_bytes"`          // what the store takes on the card
	DiskFreeBytes     *int64    `json:"disk_free_bytes"`      // on the card
	WrittenTodayBytes *int64    `json:"written_today_bytes"`  // by the agent, to the card, since midnight or its start
	TemperatureC      *float64  `json:"temperature_c"`        // of the processor
	Undervoltage      *bool     `json:"undervoltage"`         // now or since boot; null: the board doesn't tell
	Throttled         *bool     `json:"throttled"`            // now or since boot; null: the board doesn't tell
	Readers           []Reader  `json:"readers"`
	Problems          []Problem `json:"problems"`
}

// Reader is one reader, button row or keyboard of the configuration.
type Reader struct {
	Name      string   `json:"name"`
	OK        bool     `json:"ok"`
	LastReadS *float64 `json:"last_read_s"`
	BadFrames uint64   `json:"bad_frames"` // damaged ones, since the start
}

// Lane is one of the queues of records; the first is sent first.
type Lane struct {
	Lane    string `json:"lane"` // "changes" or "found"
	Records int    `json:"records"`
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

// Mode is the state that h stands for.
func (h Health) Mode() Mode {
	if len(h.Problems) > 0 {
		return Alert
	}
	return Ready
}
