package capture

import (
	"strconv"
	"strings"
	"time"
)

// Keeps reads from a server's variables how long its binary log is kept. MySQL before 8.0 and MariaDB before 10.6 know days
// only; where both are known, the seconds count, and the days if there are none.
func Keeps(vars map[string]string) (r Retention) {
	var names []string
	for _, v := range []struct {
		name string
		unit time.Duration
	}{{"binlog_expire_logs_seconds", time.Second}, {"expire_logs_days", 24 * time.Hour}} {
		if n, err := strconv.ParseFloat(vars[v.name], 64); err == nil && n > 0 && r.Kept == 0 && vars["binlog_expire_logs_auto_purge"] != "OFF" {
			r.Kept = time.Duration(n * float64(v.unit))
			names = append(names, v.name)
		}
	}
	if n, err := strconv.ParseUint(vars["max_binlog_total_size"], 10, 64); err == nil && n > 0 {
		r.Bytes = n
		names = append(names, "max_binlog_total_size")
	}
	r.Names = strings.Join(names, " and ")
	return r
}
