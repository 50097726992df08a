package binlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dumpNote keeps which of the server's connections the last stream was. Behind a link that broke without a word the server
// has it still: it would be ended some time, and until then it costs a thread and holds back the purge of old files.
const dumpNote = "dump"

type dump struct {
	Server string    `json:"server"`
	Began  time.Time `json:"began"`  // when the server did
	Thread string    `json:"thread"` // the connection's id
	User   string    `json:"user"`
	Host   string    `json:"host"` // address and port of our end, as the server sees it
}

// sameStart is how exactly it is known when a server began: it tells how long ago that is in whole seconds.
const sameStart = 2 * time.Second

// is tells whether a line of the server's list of connections is that dump, of the same run of the server.
func (d *dump) is(server string, began time.Time, line []string) bool {
	return d.Server == server && began.Sub(d.Began).Abs() <= sameStart && len(line) > 4 && line[0] == d.Thread && line[1] == d.User &&
		line[2] == d.Host && d.Host != "" && strings.HasPrefix(line[4], "Binlog Dump")
}

// endStale ends the dump that the last stream left behind, if it is still there, and nothing else. A server that doesn't
// answer these questions keeps it: that is no reason not to read.
func (s *Source) endStale(ctx context.Context, sv *server) {
	var d dump
	if known, err := recall(s.cfg.Memory, dumpNote, &d); !known || err != nil || d.Server != sv.id {
		return
	}
	began, lines, err := s.connections(ctx)
	if err != nil {
		return
	}
	for _, line := range lines {
		if d.is(sv.id, began, line) {
			s.cfg.DB.ExecContext(ctx, "KILL "+line[0]) // if it can't be, it ended by itself
		}
	}
}

// noteDump keeps which connection the stream is. If that fails the next stream leaves it alone.
func (s *Source) noteDump(ctx context.Context, sv *server, thread uint32) {
	began, lines, err := s.connections(ctx)
	if err != nil {
		return
	}
	for _, line := range lines {
		if id := fmt.Sprint(thread); line[0] == id && len(line) > 4 {
			_ = remember(s.cfg.Memory, dumpNote, dump{Server: sv.id, Began: began, Thread: id, User: line[1], Host: line[2]})
		}
	}
}

// connections lists the server's connections, those of our user at least (number, user, host, schema, command …), and tells
// when the server began.
func (s *Source) connections(ctx context.Context) (began time.Time, lines [][]string, err error) {
	up, err := s.list(ctx, s.cfg.DB, "SHOW GLOBAL STATUS LIKE 'Uptime'")
	if err != nil || len(up) == 0 || len(up[0]) < 2 {
		return began, nil, cmp.Or(err, errors.New("the server doesn't say how long it runs"))
	}
	seconds, err := strconv.ParseInt(up[0][1], 10, 64)
	if err != nil {
		return began, nil, err
	}
	now, err := s.clock(ctx, s.cfg.DB)
	if err != nil {
		return began, nil, err
	}
	lines, err = s.list(ctx, s.cfg.DB, "SHOW PROCESSLIST")
	return now.Add(-time.Duration(seconds) * time.Second), lines, err
}
