package binlog

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// Retention implements capture.Retainer. Servers remove whole files from the oldest on: when they start, and when they
// begin a new file. By age a file goes when its last event is too old. What lies behind a position is younger than the
// position, so it stays at least until the position itself is too old: that much is certain, and all that is promised.
// MariaDB since 11.4 also removes files when all together are too big.
func (s *Source) Retention(ctx context.Context, from record.Position) (capture.Retention, error) {
	sv, err := s.ask(ctx)
	if err != nil {
		return capture.Retention{}, s.about(err)
	}
	byGTID, err := s.resume(ctx, sv, from)
	if err != nil {
		return capture.Retention{}, s.about(err)
	}
	r, err := s.retention(ctx, sv, from, byGTID)
	return r, s.about(err)
}

func (s *Source) retention(ctx context.Context, sv *server, from record.Position, byGTID bool) (none capture.Retention, err error) {
	files, err := s.list(ctx, s.cfg.DB, "SHOW BINARY LOGS")
	if err != nil || len(files) == 0 {
		return none, err
	}
	if all, err := s.readAll(ctx, sv, from, byGTID, files[len(files)-1]); err != nil || all {
		return none, err
	}
	if byGTID && sv.flavor == mysql.MariaDBFlavor {
		if err := s.mariaKept(ctx, files[0][0], from.GTID); err != nil {
			return none, err
		}
	}
	now, err := s.clock(ctx, s.cfg.DB)
	if err != nil {
		return none, err
	}
	r := sv.keeps
	r.Left = r.Kept - now.Sub(from.At)
	r.Size = sizeFrom(files, sv, from)
	return r, nil
}

// readAll tells whether nothing lies behind from. By file, it takes the head of a new file for something.
func (s *Source) readAll(ctx context.Context, sv *server, from record.Position, byGTID bool, last []string) (all bool, err error) {
	switch {
	case !byGTID:
		return last[0] == from.File && last[1] == strconv.FormatUint(from.Pos, 10), nil
	case sv.flavor == mysql.MySQLFlavor:
		return all, s.explain(s.cfg.DB.QueryRowContext(ctx, "SELECT GTID_SUBSET(?, ?)", sv.executed, from.GTID).Scan(&all))
	}
	now, err := parseMaria(sv.executed)
	if err != nil {
		return false, err
	}
	read, err := parseMaria(from.GTID)
	return maps.Equal(now, read), err
}

// mariaKept holds that MariaDB's first file begins no later than where we are, in every domain.
func (s *Source) mariaKept(ctx context.Context, first, read string) error {
	var at sql.NullString
	if err := s.explain(s.cfg.DB.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, 4)", first).Scan(&at)); err != nil {
		return err
	}
	begins, err := parseMaria(at.String)
	if err != nil {
		return err
	}
	had, err := parseMaria(read)
	if err != nil {
		return err
	}
	for domain, gtid := range begins {
		if had[domain].SequenceNumber < gtid.SequenceNumber {
			return capture.Gap("the binary log was purged before it was read to its end: it begins at %q and was read up to %q", at.String, read)
		}
	}
	return nil
}

// sizeFrom adds up the files from the position's on; all of them if it isn't known which that is.
func sizeFrom(files [][]string, sv *server, from record.Position) (size uint64) {
	i := 0
	if from.Server == sv.id {
		i = max(0, slices.IndexFunc(files, func(f []string) bool { return f[0] == from.File }))
	}
	for _, f := range files[i:] {
		n, _ := strconv.ParseUint(f[1], 10, 64) // 0 if the server writes something else
		size += n
	}
	return size
}

var _ capture.Retainer = (*Source)(nil)
