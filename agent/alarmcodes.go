package main

import (
	"strings"

	"station-agent/uplink/fleet/message"
)

// alarmKind is one kind of thing that the board knows: what the fleet is told of it besides the text of the moment. Codes are
// for machines and never change their meaning. A hint is what to do whatever the reason; the reason is in the text.
type alarmKind struct {
	name     string // of the condition, or how it begins if there are several: "reader "
	code     string
	severity message.Severity
	hint     string
}

// alarmKinds is every condition there is; a test reads the code and finds one that is missing.
var alarmKinds = []alarmKind{
	// The bench.
	{"journal", "journal_failed", message.Critical, "Scans are refused. See that the card has room; restart the agent, and replace the card if it happens again."},
	{"room for scans", "scan_room_short", message.Critical, "Make room on the card now: scans are refused when what is left is spent."},
	{"reader ", "reader_lost", message.Critical, "See to the reader's cable and power supply; station-agent devices shows what is plugged in."},
	{"button ", "button_lost", message.Warning, "See to the button's pin in the configuration and who else uses it."},
	{outputThing, "output_lost", message.Warning, "See to the lamp's or buzzer's pin in the configuration; try it with station-agent lamptest."},
	{"picture", "picture_unsaved", message.Warning, "See that the card has room. Until then the items known offline are those of before."},
	{"assignments", "assignments_parked", message.Critical, "Have somebody look at the items: station-agent intents list, then retry or drop."},

	// The database.
	{"mysql", "mysql_away", message.Critical, "See to the network and the database. Packing goes on with the rows last read; nothing is lost."},
	{"assign", "assign_failing", message.Critical, "See to the database and the account's right to update external_package_id. Assignments wait on the card."},
	{"map of tags", "tag_map_unread", message.Warning, "See that the table of tags is there and the account may read it; station-agent check tells."},
	{"way of capture", "capture_way_undecided", message.Critical, "Some table's changes are not found: station-agent capture shows the ways, station-agent check what each lacks."},
	{"capture of ", "capture_standing", message.Critical, "Changes of this table are not recorded now: station-agent check tells what is missing."},
	{"capture", "capture_standing", message.Critical, "Changes of the rows are not recorded now: station-agent check tells what is missing."},
	{"binary log", "binlog_purge_near", message.Critical, "Make capture go on, or have the server keep its log for longer, before it removes what was not read."},
	{"flapping rows", "rows_flapping", message.Warning, "Find out who changes these rows again and again."},
	{"cost of polling", "polling_costly", message.Warning, "Have an index added as station-agent check says, or access to the binary log granted."},
	{"write-back into ", "writeback_failing", message.Warning, "See to the table and the account's rights; what is to be written waits."},

	// Certyo.
	{"certyo", "certyo_away", message.Critical, "See to the network, the proxy and the key. Records wait on the card in their order."},
	{"verification", "verification_failing", message.Warning, "Records are sent, and nobody knows yet that they are anchored: see to the network and to Certyo."},
	{"anchoring", "anchoring_late", message.Warning, "Ask Certyo why records are not anchored; station-agent outbox and status show which."},
	{"integrity", "hash_mismatch", message.Critical, "Certyo has another content than was sent: keep the evidence and ask Certyo."},
	{"missing records", "records_missing", message.Critical, "Certyo accepted records and doesn't know them: keep the evidence and ask Certyo."},
	{"refused records", "dead_letters", message.Critical, "See why with station-agent outbox list --refused, then retry, drop or export them."},
	{"unverified records", "records_unverified", message.Warning, "Find out why Certyo proves so little, then station-agent store acknowledge."},
	{"dropped records", "dead_letters_dropped", message.Critical, "See to the other refused records, then station-agent store acknowledge."},
	{"key window", "key_window_ending", message.Warning, "Make delivery go on: see to certyo. Later Certyo may take a record twice whose answer was lost."},
	{"manifests", "manifest_failing", message.Warning, "See to the manifests' configuration and the card; they are made as soon as it works."},

	// The station.
	{"store", "card_failing", message.Critical, "Replace the card soon: station-agent store export, then station-agent store acknowledge."},
	{"room on the card", "card_filling", message.Warning, "Make room on the card, or see why records don't go out."},
	{"evidence export", "export_failing", message.Warning, "See that the export folder is there and has room."},
	{"list of events", "events_unsaved", message.Warning, "Events are told, and would not survive a power cut: see to the card and restart the agent."},
	{"power supply", "undervoltage", message.Warning, "Use the board's own power supply and a short cable; fewer devices on USB."},
	{"heat", "throttled", message.Warning, "The processor is slowed down: give the board air, and see to its power supply."},
	{"status socket", "status_socket_failed", message.Warning, "See that the folder of status.socket is there and the agent may write it."},
	{"metrics address", "metrics_address_failed", message.Warning, "See that nobody else listens at the address of metrics."},
	{"control socket", "control_socket_failed", message.Warning, "See that the folder of status.control_socket is there and the agent may write it."},

	// The fleet.
	{"broker", "broker_away", message.Warning, "See to the network and the broker. The bench doesn't need it; events are told late."},
	{"fleet keys", "fleet_keys_unread", message.Warning, "See to the file of the fleet's keys: until then nobody's commands are taken."},
	{"fleet commands", "fleet_commands_failing", message.Warning, "See the text. Commands are refused while it can't be noted on the card which were done."},
	{"pause", "work_paused", message.Warning, "Delivery and capture rest, as a command of the fleet said: the command resume ends it, and so does a restart."},
	{"twin", "twin_station", message.Critical, "Two agents have this station's uuid: find the other one and give it its own."},
}

// unlisted is what nobody listed: the fleet is told of it all the same.
var unlisted = alarmKind{code: "other", severity: message.Warning, hint: "See the text."}

// alarmKindOf finds the kind of a condition by its name. The condition of another table is told by what comes before " of ".
func alarmKindOf(name string) alarmKind {
	stem, _, _ := strings.Cut(name, " of ")
	for _, k := range alarmKinds {
		whole := !strings.HasSuffix(k.name, " ")
		if name == k.name || !whole && strings.HasPrefix(name, k.name) {
			return k
		}
	}
	for _, k := range alarmKinds {
		if stem == k.name {
			return k
		}
	}
	return unlisted
}
