package capture

import (
	"testing"
	"time"
)

func TestKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want Retention
	}{
		"for ever":       {map[string]string{"binlog_expire_logs_seconds": "0", "expire_logs_days": "0.000000"}, Retention{}},
		"MySQL":          {map[string]string{"binlog_expire_logs_seconds": "2592000", "binlog_expire_logs_auto_purge": "ON"}, Retention{Kept: 30 * day, Names: "binlog_expire_logs_seconds"}},
		"MySQL, off":     {map[string]string{"binlog_expire_logs_seconds": "2592000", "binlog_expire_logs_auto_purge": "OFF"}, Retention{}},
		"MySQL 8.0":      {map[string]string{"binlog_expire_logs_seconds": "3600", "expire_logs_days": "7"}, Retention{Kept: time.Hour, Names: "binlog_expire_logs_seconds"}},
		"MySQL 8.0 days": {map[string]string{"binlog_expire_logs_seconds": "0", "expire_logs_days": "7"}, Retention{Kept: 7 * day, Names: "expire_logs_days"}},
		"MariaDB 10.5":   {map[string]string{"expire_logs_days": "10"}, Retention{Kept: 10 * day, Names: "expire_logs_days"}},
		"MariaDB 11.4": {map[string]string{"binlog_expire_logs_seconds": "43200", "expire_logs_days": "0.500000", "max_binlog_total_size": "1073741824"},
			Retention{Kept: day / 2, Bytes: 1 << 30, Names: "binlog_expire_logs_seconds and max_binlog_total_size"}},
	} {
		if got := Keeps(c.vars); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
