package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"station-agent/uplink/capture"
)

const again = "connections that are open keep the old value: end those of the bridge, or restart it"

// binlog finds what following the binary log needs.
func (j *judge) binlog() {
	j.log()
	j.schemas()
	j.partialJSON()
	j.selects()
}

// log finds what is the same for every table.
func (j *judge) log() {
	j.logs()
	j.rows()
	j.metadata()
	j.gtid()
	j.chain()
	j.retention()
	j.follower()
}

// logs finds whether there is a log at all.
func (j *judge) logs() {
	f := Finding{
		Code: "log_bin", State: state(j.Vars["log_bin"] == "ON", Fault), Fact: "log_bin is " + j.value("log_bin"),
		Why:    "without a binary log there is nothing to follow",
		Config: []string{"log_bin = binlog", "server_id = " + j.serverID()}, Advice: "restart the server: log_bin can't be switched on while it runs",
	}
	j.add(f)
	if j.Vars["server_id"] == "0" {
		f := Finding{Code: "server_id", State: Fault, Fact: "server_id is 0", Why: "a server without an id sends its log to nobody"}
		j.add(f.mend(j.Server, "server_id", "1"))
	}
}

func (j *judge) serverID() string {
	if id := j.Vars["server_id"]; id != "" && id != "0" {
		return id
	}
	return "1"
}

// value is a variable for a person.
func (j *judge) value(name string) string {
	v, known := j.Vars[name]
	switch {
	case !known:
		return "not there"
	case v == "":
		return "empty"
	}
	return v
}

// rows finds whether the log has whole rows. A variable that the server doesn't know has one way only.
func (j *judge) rows() {
	format := Finding{Code: "row_format", State: state(j.fits("binlog_format", "ROW"), Fault), Fact: "binlog_format is " + j.value("binlog_format"),
		Why: "in another format the log has statements instead of rows, and nobody can tell what they changed", Advice: again}
	j.add(format.mend(j.Server, "binlog_format", "ROW"))
	image := Finding{Code: "row_image", State: state(j.fits("binlog_row_image", "FULL"), Fault), Fact: "binlog_row_image is " + j.value("binlog_row_image"),
		Why: "the log has parts of rows only, and a record holds the whole row", Advice: again}
	j.add(image.mend(j.Server, "binlog_row_image", "FULL"))
}

// partialJSON finds whether the log has whole documents.
func (j *judge) partialJSON() {
	if options, known := j.Vars["binlog_row_value_options"]; known {
		f := Finding{Code: "partial_json", State: OK, Fact: "binlog_row_value_options is " + j.value("binlog_row_value_options"),
			Why: "of a JSON document the log has differences only: such a change can't be read, and is a gap", Advice: again}
		if strings.Contains(options, "PARTIAL_JSON") {
			f.State = Warning
		}
		if f.State == Warning && j.hasJSON() {
			f.State = Fault
		}
		j.add(f.mend(j.Server, "binlog_row_value_options", ""))
	}
}

func (j *judge) fits(name, want string) bool {
	v := j.Vars[name]
	return v == "" || v == want
}

func (j *judge) hasJSON() bool {
	return slices.ContainsFunc(j.Columns, func(c Column) bool { return strings.EqualFold(c.Type, "json") })
}

// metadata finds what the log says of the columns.
func (j *judge) metadata() {
	v, known := j.Vars["binlog_row_metadata"]
	f := Finding{Code: "row_metadata", State: OK, Fact: "binlog_row_metadata is " + j.value("binlog_row_metadata"),
		Why: "the log doesn't say which columns are unsigned; information_schema is asked, which knows the table of now and not that of then"}
	if !known || v == "NO_LOG" {
		f.State = Warning
	}
	switch {
	case known:
		f = f.mend(j.Server, "binlog_row_metadata", "MINIMAL")
	case j.Server.MariaDB:
		f.Advice = "MariaDB has it since 10.5"
	default: // MySQL has always logged it
		f.State = OK
	}
	j.add(f)
}

// gtid finds whether a place in the log has a name that holds on another server, too.
func (j *judge) gtid() {
	if j.Server.MariaDB {
		j.add(Finding{Code: "gtid", State: OK, Fact: "every transaction has a GTID; gtid_strict_mode is " + j.value("gtid_strict_mode")})
		return
	}
	mode := j.value("gtid_mode")
	f := Finding{
		Code: "gtid", State: state(mode == "ON", Warning), Fact: fmt.Sprintf("gtid_mode is %s, enforce_gtid_consistency is %s", mode, j.value("enforce_gtid_consistency")),
		Why:    "without GTIDs a place in the log means nothing on another server: after a failover all rows are compared instead",
		Advice: "the last step waits for what has no GTID: SHOW GLOBAL STATUS LIKE 'Ongoing_anonymous_transaction_count' must be 0 on every server of the chain",
	}
	if f.State == Warning && j.wanted.ByGTID {
		f.State, f.Why = Fault, "the configuration demands GTIDs (capture.mode)"
	}
	if j.Vars["enforce_gtid_consistency"] != "ON" {
		f = f.mend(j.Server, "enforce_gtid_consistency", "ON")
	}
	steps := []string{"OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"}
	for _, next := range steps[max(0, slices.Index(steps, mode))+1:] {
		fix, config := j.Server.set("gtid_mode", next)
		f.Fix = append(f.Fix, fix...)
		if next == "ON" {
			f.Config = append(f.Config, config...)
		}
	}
	j.add(f)
}

// chain finds whether the log of a replica has what its source did.
func (j *judge) chain() {
	name := "log_slave_updates"
	if _, known := j.Vars["log_replica_updates"]; known {
		name = "log_replica_updates"
	}
	if j.Vars[name] != "OFF" {
		j.add(Finding{Code: "replica", State: OK, Fact: name + " is " + j.value(name)})
		return
	}
	f := Finding{Code: "replica", State: OK, Fact: "the server is no replica", Why: "a replica's own log lacks what came from its source: the log is silent, and nobody notices",
		Config: []string{name + " = ON"}, Advice: "restart the server; or name its source in mysql.address"}
	switch {
	case j.Replica == nil:
		f.State, f.Fact = Unknown, name+" is OFF, and whether the server is a replica isn't known"
	case *j.Replica:
		f.State, f.Fact = Fault, name+" is OFF, and the server is a replica"
	}
	j.add(f)
}

// schemas finds whether the schema is kept out of the log.
func (j *judge) schemas() {
	if j.Logged == nil {
		return // without a log, or without the right to ask, which is a fault of its own
	}
	f := Finding{Code: "filter", State: OK, Fact: "changes of every schema are logged", Why: "changes of the table are not in the log, and nobody notices",
		Advice: "take the line out of the server's configuration and restart it"}
	in := func(list string) bool { return slices.ContainsFunc(strings.Split(list, ","), j.isSchema) }
	switch {
	case j.Logged.Only != "":
		f.State, f.Fact = state(in(j.Logged.Only), Fault), "only changes of "+j.Logged.Only+" are logged (binlog_do_db)"
	case j.Logged.Except != "":
		f.State, f.Fact = state(!in(j.Logged.Except), Fault), "changes of "+j.Logged.Except+" are not logged (binlog_ignore_db)"
	}
	j.add(f)
}

func (j *judge) isSchema(name string) bool { return j.sameName(strings.TrimSpace(name), j.spec.Schema) }

// retention finds whether the log outlasts the longest outage.
func (j *judge) retention() {
	keeps := capture.Keeps(j.Vars)
	f := Finding{Code: "retention", State: OK, Fact: "the server keeps its log until somebody removes it",
		Why: fmt.Sprintf("a station that was away for %s finds the log gone, and what happened meanwhile can only be found by comparing", hours(j.wanted.Outage))}
	if keeps.Kept > 0 {
		f.State = state(keeps.Kept >= j.wanted.Outage, Fault)
		f.Fact = fmt.Sprintf("the server keeps its log for %s (%s)", hours(keeps.Kept), keeps.Names)
		f = j.keepLonger(f)
	}
	j.add(f)
	if keeps.Bytes > 0 {
		f := Finding{Code: "retention_size", State: Warning, Fact: fmt.Sprintf("the server removes its log beyond %d bytes (max_binlog_total_size)", keeps.Bytes),
			Why: "on a busy day that may be sooner than a station comes back", Advice: "see that the disk has room for it"}
		j.add(f.mend(j.Server, "max_binlog_total_size", "0"))
	}
}

// keepLonger is by seconds where the server knows them.
func (j *judge) keepLonger(f Finding) Finding {
	f.Advice = "see that the disk has room for it"
	if _, known := j.Vars["binlog_expire_logs_seconds"]; known {
		return f.mend(j.Server, "binlog_expire_logs_seconds", fmt.Sprint(int64((j.wanted.Outage+time.Second-1)/time.Second)))
	}
	const day = 24 * time.Hour
	return f.mend(j.Server, "expire_logs_days", fmt.Sprint(int64((j.wanted.Outage+day-1)/day)))
}

// hours is a duration in days, if it is whole in them, or in hours.
func hours(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%day == 0 && d > day:
		return fmt.Sprintf("%d days", d/day)
	case d%time.Hour == 0 && d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.String()
}

// follower finds whether the account may follow the log, and ask about it.
func (j *judge) follower() {
	if j.unread("grants", "grant_slave", "whether the account may follow the log") {
		return
	}
	follow := j.mayFollow()
	j.add(Finding{Code: "grant_slave", State: state(follow, Fault), Fact: fmt.Sprintf("%s %s REPLICATION SLAVE", j.account(), has(follow)),
		Why: "without it the server sends its log to nobody", Fix: []string{j.grant("REPLICATION SLAVE", "*.*")}})
	asks := j.mayAskLog()
	j.add(Finding{Code: "grant_client", State: state(asks, Fault), Fact: fmt.Sprintf("%s %s %s", j.account(), has(asks), j.Server.replicationClient()),
		Why: "without it nobody can ask where the log is and how much of it is left", Fix: []string{j.grant(j.Server.replicationClient(), "*.*")}})
}
