package binlog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

const (
	codeReplicaClash = 4052 // MariaDB; MySQL says it by 1236
	grants           = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.*"
)

// explain makes an error of the question connection one that a person can act on.
func (s *Source) explain(err error) error {
	if err != nil && s.cfg.Explain != nil {
		return s.cfg.Explain(err)
	}
	return err
}

// about names the thing that an error is about.
func (s *Source) about(err error) error {
	if err == nil || errors.Is(err, capture.ErrGap) {
		return err
	}
	return fmt.Errorf("read binary log of %s: %w", s.cfg.Address, err)
}

// classify says what an error of the stream means.
func (s *Source) classify(err error) error {
	if unreadable, ok := errors.AsType[*replication.EventError](err); ok {
		return capture.Gap("an event of the binary log can't be read: %s", firstLine(unreadable.Err))
	}
	if strings.HasPrefix(err.Error(), "panic ") {
		return capture.Gap("an event of the binary log can't be read: %s", firstLine(err.Error()))
	}
	my, ok := errors.AsType[*mysql.MyError](err)
	if !ok {
		return err
	}
	clash := my.Code == codeReplicaClash || strings.Contains(my.Message, "with the same server_uuid/server_id")
	switch {
	case clash:
		return s.clash(my)
	case my.Code == mysql.ER_ACCESS_DENIED_ERROR:
		user := s.login().User
		s.refused.Add(1)
		return fmt.Errorf("user %s is refused: check its password, and as administrator %s TO it: %w", user, grants, my)
	case my.Code == mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return fmt.Errorf("user %s may not read the binary log: as administrator %s TO it: %w", s.login().User, grants, my)
	case my.Code == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG, my.Code == mysql.ER_NET_PACKET_TOO_LARGE:
		return refused(my)
	}
	return my
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 200)]
}
