package race

import (
	"context"
	"log/slog"
	"net"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/worker"
)

// parse reads the log with the library alone, as its documentation shows, and counts the rows: the work that no program on
// this library can leave out, as long as it lets the library decode.
func parse(ctx context.Context, k Task) error {
	host, port, err := net.SplitHostPort(k.Database)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	m := worker.NewMeter()
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: mysql.MariaDBFlavor, Host: host, Port: uint16(n),
		User: k.User, Password: k.Password, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	events, err := syncer.StartSync(mysql.Position{Name: k.File, Pos: k.Pos})
	if err != nil {
		return err
	}
	for changes := 0; changes < k.N; {
		e, err := events.GetEvent(ctx)
		if err != nil {
			return err
		}
		if r, ok := e.Event.(*replication.RowsEvent); ok {
			changes += len(r.Rows) / 2 // an update has two images
		}
	}
	m.Tell(k.N)
	return nil
}
