package binlog

import (
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"station-agent/uplink/capture"
)

// refused tells what it means that the server can't go on with the log (error 1236, and 1153 for one packet): by its number it
// is one error, by its words these are several.
func refused(my *mysql.MyError) error {
	for _, state := range []struct {
		says string
		said []string // by MySQL and MariaDB, older and newer
	}{
		{"", []string{"Could not open log file", "Misconfigured master", "Misconfigured source", "memory"}}, // the server's trouble of the moment
		{"the binary log was purged before it was read to its end", []string{
			"purged", "Could not find first log file name", "Could not find GTID state requested"}},
		{"the server has another history", []string{
			"not in the master's binlog", "GTIDs than the", "has diverged", "position > file size"}},
		{"the binary log was begun anew, or purged, while it was read", []string{"could not find next log"}},
		{"an event is larger than the server sends, or the stored position is not where one begins (if it is too large, as administrator, SET GLOBAL max_allowed_packet = 1073741824); capture goes on behind it",
			[]string{"max_allowed_packet"}},
		{"the stored position is not where an event begins, or the server's binary log is damaged there", []string{
			"impossible position", "bogus data", "truncated in the middle of event", "corrupt", "checksum", "event read from binlog did not pass"}},
		{"the server can't go on from the stored position", []string{""}},
	} {
		for _, part := range state.said {
			switch {
			case !strings.Contains(my.Message, part):
			case state.says == "":
				return my
			default:
				return capture.Gap("%s: %s", state.says, my.Message)
			}
		}
	}
	return my
}
