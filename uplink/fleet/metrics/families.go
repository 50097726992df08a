package metrics

import "station-agent/uplink/fleet/message"

// The kinds of metrics.
const (
	gauge   = "gauge"
	counter = "counter"
)

// family is one metric, and how its samples come from a station or its health.
type family struct {
	name, kind, help string
	health           func(*writer, *message.Health)
	station          func(*writer, *Station)
}

// families are all metrics of a station, in the order in which they are written.
var families = []family{
	{"info", gauge, "Always 1: the station's name for people and the version of its agent.", nil,
		func(w *writer, s *Station) { w.value(1, "name", s.Name, "version", s.Version) }},
	{"standing", gauge, "How the station stands: 1 for one standing, 0 for the others.", nil,
		func(w *writer, s *Station) {
			for _, name := range Standings {
				w.yes(name == s.Standing, "standing", name)
			}
		}},
	{"open", gauge, "Whether it is within the opening hours of the station.", nil, func(w *writer, s *Station) { w.yes(s.Open) }},
	{"maintenance", gauge, "Whether a person put the station under maintenance.", nil, func(w *writer, s *Station) { w.yes(s.Maintenance) }},
	{"session", gauge, "Number of the agent's start.", nil, func(w *writer, s *Station) { w.value(float64(s.Session)) }},
	{"event_gaps", gauge, "Pieces of the sequence of events that did not come.", nil, func(w *writer, s *Station) { w.value(float64(s.Gaps)) }},
	{"alarm", gauge, "Always 1: an alarm that stands.", nil,
		func(w *writer, s *Station) {
			for i, a := range s.Alarms {
				if !again(s.Alarms[:i], a) {
					w.value(1, "code", a.Code, "thing", a.Name, "severity", string(a.Severity), "acknowledged", map[bool]string{true: "yes", false: "no"}[a.Acknowledged])
				}
			}
		}},
	{"alarm_age_seconds", gauge, "For how long an alarm stands.", nil,
		func(w *writer, s *Station) {
			for i, a := range s.Alarms {
				if !again(s.Alarms[:i], a) {
					w.value(a.ForS, "code", a.Code, "thing", a.Name)
				}
			}
		}},
	{"alarm_left_seconds", gauge, "Time left until something is lost for what an alarm is about.", nil,
		func(w *writer, s *Station) {
			for i, a := range s.Alarms {
				if !again(s.Alarms[:i], a) {
					w.maybe(a.LeftS, "code", a.Code, "thing", a.Name)
				}
			}
		}},
	{"health_age_seconds", gauge, "How long ago the station told its health.", nil,
		func(w *writer, s *Station) {
			if s.Health != nil {
				w.value(s.HealthAgeS)
			}
		}},

	{"uptime_seconds", gauge, "For how long the agent runs.", func(w *writer, h *message.Health) { w.value(h.UptimeS) }, nil},
	{"boot_age_seconds", gauge, "For how long the board runs.", func(w *writer, h *message.Health) { w.value(h.BootS) }, nil},
	{"resident_memory_bytes", gauge, "Resident memory of the agent.", func(w *writer, h *message.Health) { w.value(h.RSSMB * 1e6) }, nil},
	{"clock_trusted", gauge, "Whether the clock of the board is synchronised.", func(w *writer, h *message.Health) { w.yes(h.ClockTrusted) }, nil},

	{"scans_total", counter, "Scans since the store was made.", func(w *writer, h *message.Health) { w.value(float64(h.Scans)) }, nil},
	{"last_scan_age_seconds", gauge, "How long ago the last scan was.", func(w *writer, h *message.Health) { w.maybe(h.LastScanS) }, nil},
	{"call_backs_waiting", gauge, "Packages whose packer has to look again.", func(w *writer, h *message.Health) { w.value(float64(h.CallBacks)) }, nil},
	{"intents_open", gauge, "Assignments not yet in the database.", func(w *writer, h *message.Health) { w.value(float64(h.IntentsOpen)) }, nil},
	{"intents_parked", gauge, "Assignments that need a person.", func(w *writer, h *message.Health) { w.value(float64(h.IntentsParked)) }, nil},
	{"last_settled_age_seconds", gauge, "How long ago an assignment was settled in the database.", func(w *writer, h *message.Health) { w.maybe(h.LastSettledS) }, nil},
	{"rows_age_seconds", gauge, "How long ago the rows of the station were read.", func(w *writer, h *message.Health) { w.maybe(h.RowsAgeS) }, nil},

	{"capture_lag_seconds", gauge, "How far the last change taken in is behind the database.", func(w *writer, h *message.Health) { w.maybe(h.CaptureLagS) }, nil},
	{"capture_table_lag_seconds", gauge, "The same of one table, with the way in which its changes are found.", ways(func(w *writer, v *message.Way) {
		w.maybe(v.LagS, "table", v.Table, "way", v.Way)
	}), nil},
	{"capture_queue_entries", gauge, "Entries of a queue table that nobody took, 100000 at most.", ways(func(w *writer, v *message.Way) {
		if v.Waiting != nil {
			w.value(float64(*v.Waiting), "table", v.Table)
		}
	}), nil},
	{"capture_queue_age_seconds", gauge, "Age of the oldest of them.", ways(func(w *writer, v *message.Way) { w.maybe(v.OldestS, "table", v.Table) }), nil},

	{"queue_records", gauge, "Records not yet sent to Certyo.", func(w *writer, h *message.Health) { w.value(float64(h.QueueRecords)) }, nil},
	{"queue_bytes", gauge, "What they take.", func(w *writer, h *message.Health) { w.value(float64(h.QueueBytes)) }, nil},
	{"lane_records", gauge, "Records not yet sent to Certyo, by lane.", func(w *writer, h *message.Health) {
		for i, l := range h.Lanes {
			if !seen(i, func(j int) bool { return h.Lanes[j].Lane == l.Lane }) {
				w.value(float64(l.Records), "lane", l.Lane)
			}
		}
	}, nil},
	{"oldest_unsent_age_seconds", gauge, "For how long the oldest unsent record waits, 0 if none does.", func(w *writer, h *message.Health) { w.value(h.OldestUnsentS) }, nil},
	{"unanchored_records", gauge, "Records sent and not yet proven.", func(w *writer, h *message.Health) { w.value(float64(h.Unanchored)) }, nil},
	{"oldest_unanchored_age_seconds", gauge, "For how long the oldest of them waits, 0 if none does.", func(w *writer, h *message.Health) { w.value(h.OldestUnanchoredS) }, nil},
	{"anchoring_records", gauge, "How the records stand that are not yet proven.", func(w *writer, h *message.Health) {
		a := h.Anchoring
		for _, k := range []struct {
			as string
			n  int
		}{{"pending", a.Pending}, {"superseded", a.Superseded}, {"mismatch", a.Mismatch}, {"missing", a.Missing}, {"unclear", a.Unclear}} {
			w.value(float64(k.n), "as", k.as)
		}
	}, nil},
	{"unverified_records_total", counter, "Records given up unproven.", func(w *writer, h *message.Health) { w.value(float64(h.Unverified)) }, nil},
	{"replayed_records_total", counter, "Records that Certyo had already, as the first answer was lost.", func(w *writer, h *message.Health) { w.value(float64(h.Replayed)) }, nil},
	{"possibly_doubled_records_total", counter, "Records that Certyo may have twice.", func(w *writer, h *message.Health) { w.value(float64(h.Doubled)) }, nil},
	{"passed_records_total", counter, "Found states not sent, as a newer change was.", func(w *writer, h *message.Health) { w.value(float64(h.Passed)) }, nil},
	{"dead_letters", gauge, "Records that Certyo refused for good.", func(w *writer, h *message.Health) { w.value(float64(h.DeadLetters)) }, nil},
	{"oldest_dead_letter_age_seconds", gauge, "For how long the oldest of them waits for a person, 0 if none does.", func(w *writer, h *message.Health) { w.value(h.OldestDeadS) }, nil},

	{"store_bytes", gauge, "What the store takes on the card.", func(w *writer, h *message.Health) { w.value(float64(h.StoreBytes)) }, nil},
	{"disk_free_bytes", gauge, "What is free on the card.", func(w *writer, h *message.Health) { w.whole(h.DiskFreeBytes) }, nil},
	{"written_today_bytes", gauge, "What the agent wrote to the card since midnight or its start.", func(w *writer, h *message.Health) { w.whole(h.WrittenTodayBytes) }, nil},
	{"temperature_celsius", gauge, "Of the processor.", func(w *writer, h *message.Health) { w.maybe(h.TemperatureC) }, nil},
	{"undervoltage", gauge, "Whether the supply was too weak, now or since boot.", func(w *writer, h *message.Health) { w.told(h.Undervoltage) }, nil},
	{"throttled", gauge, "Whether the processor was slowed down, now or since boot.", func(w *writer, h *message.Health) { w.told(h.Throttled) }, nil},

	{"reader_ok", gauge, "Whether a reader works.", readers(func(w *writer, r *message.Reader) { w.yes(r.OK, "reader", r.Name) }), nil},
	{"reader_last_read_age_seconds", gauge, "How long ago it read something.", readers(func(w *writer, r *message.Reader) { w.maybe(r.LastReadS, "reader", r.Name) }), nil},
	{"reader_bad_frames_total", counter, "Damaged frames of it since the start.", readers(func(w *writer, r *message.Reader) { w.value(float64(r.BadFrames), "reader", r.Name) }), nil},
}

// again tells whether an alarm is among those before it: two samples with the same labels break the whole answer.
func again(before []Alarm, a Alarm) bool {
	for _, b := range before {
		if b.Code == a.Code && b.Name == a.Name {
			return true
		}
	}
	return false
}

// seen tells whether one of the first n is the same.
func seen(n int, same func(int) bool) bool {
	for j := range n {
		if same(j) {
			return true
		}
	}
	return false
}

// readers gives each reader once.
func readers(each func(*writer, *message.Reader)) func(*writer, *message.Health) {
	return func(w *writer, h *message.Health) {
		for i := range h.Readers {
			if !seen(i, func(j int) bool { return h.Readers[j].Name == h.Readers[i].Name }) {
				each(w, &h.Readers[i])
			}
		}
	}
}

// ways gives each captured table once.
func ways(each func(*writer, *message.Way)) func(*writer, *message.Health) {
	return func(w *writer, h *message.Health) {
		for i := range h.Capture {
			if !seen(i, func(j int) bool { return h.Capture[j].Table == h.Capture[i].Table }) {
				each(w, &h.Capture[i])
			}
		}
	}
}

// whole writes a number that is known.
func (w *writer) whole(v *int64) {
	if v != nil {
		w.value(float64(*v))
	}
}

// told writes a yes or no that is known.
func (w *writer) told(v *bool) {
	if v != nil {
		w.yes(*v)
	}
}
