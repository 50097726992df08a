package benchcapture

import (
	"log/slog"
	"net"
	"strconv"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/build/servers"
)

// parse reads the log with the library alone, as its documentation shows, and counts the rows: the work that no program on
// this library can leave out, as long as it lets the library decode.
func parse(t *testing.T, k task) {
	host, port, err := net.SplitHostPort(k.Database)
	must(t, err)
	n, err := strconv.ParseUint(port, 10, 16)
	must(t, err)
	m := newMeter()
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: mysql.MariaDBFlavor, Host: host, Port: uint16(n),
		User: servers.CaptureUser, Password: servers.CapturePassword, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	events, err := syncer.StartSync(mysql.Position{Name: k.From.File, Pos: k.From.Pos})
	must(t, err)
	for changes := 0; changes < k.N; {
		e, err := events.GetEvent(t.Context())
		must(t, err)
		if r, ok := e.Event.(*replication.RowsEvent); ok {
			changes += len(r.Rows) / 2 // an update has two images
		}
	}
	m.tell(k.N)
}
