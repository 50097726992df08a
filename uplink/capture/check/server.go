package check

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Server is what the server says it is.
type Server struct {
	MariaDB bool   `json:"mariadb"`
	Version string `json:"version"`
	number  [3]int
}

// newServer reads a version: "9.7.4-2", "10.11.19-MariaDB-0+deb12u1-log", and "5.5.5-10.11.19-MariaDB", with which MariaDB
// passes for an old MySQL.
func newServer(version string) Server {
	s := Server{MariaDB: strings.Contains(version, "MariaDB"), Version: version}
	m := regexp.MustCompile(`(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(strings.TrimPrefix(version, "5.5.5-"))
	for i := range min(3, max(0, len(m)-1)) {
		s.number[i], _ = strconv.Atoi(m[i+1])
	}
	return s
}

// String names it for a person.
func (s Server) String() string {
	if s.MariaDB {
		return "MariaDB " + s.Version
	}
	return "MySQL " + s.Version
}

func (s Server) atLeast(major, minor, patch int) bool {
	want := [3]int{major, minor, patch}
	for i, n := range s.number {
		if n != want[i] {
			return n > want[i]
		}
	}
	return true
}

// persists tells whether SET PERSIST is there, which outlasts a restart. Without it a line in the configuration file has to.
func (s Server) persists() bool { return !s.MariaDB && s.atLeast(8, 0, 0) }

// set gives what changes a variable now and for good.
func (s Server) set(name, value string) (fix, config []string) {
	literal := value
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		literal = quoteText(value)
	}
	if s.persists() {
		return []string{fmt.Sprintf("SET PERSIST %s = %s", name, literal)}, nil
	}
	return []string{fmt.Sprintf("SET GLOBAL %s = %s", name, literal)}, []string{name + " = " + value}
}

// replicationClient is what the right to ask about the binary log is called: MariaDB 10.5.2 split it up and renamed it.
func (s Server) replicationClient() string {
	if s.MariaDB && s.atLeast(10, 5, 2) {
		return "BINLOG MONITOR"
	}
	return "REPLICATION CLIENT"
}
