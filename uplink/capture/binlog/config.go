package binlog

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// Mode is how the place in the log is named.
type Mode string

// The modes. Auto goes by GTID where the server has it, else by file and position.
const (
	Auto       Mode = "auto"
	ByGTID     Mode = "gtid"
	ByPosition Mode = "position"
)

const (
	heartbeat    = 2 * time.Second // the server says so often that it lives
	readTimeout  = 4 * heartbeat   // silence after which it doesn't
	serverIDs    = 0x53000000      // replica ids of stations begin here
	serverIDSpan = 1 << 20
	longestHost  = 60 // of the name in the list of replicas
)

// Config of a Source.
type Config struct {
	Address  string                 // host:port
	User     string                 // with REPLICATION SLAVE, REPLICATION CLIENT ON *.* and SELECT on the tables
	Password func() (string, error) // asked at each connect
	Next     *Credential            // what holds after the next rotation; nil for none
	TLS      *tls.Config            // nil: none
	DB       *sql.DB                // the same server, for questions
	Explain  func(error) error      // makes an error of DB one that a person can act on; may be nil
	Tables   []*capture.Spec
	Known    func(collection, after string, n int) ([]string, error) // ids of the Shadow, for sweeps; needed if a table has no stations
	Mode     Mode                                                    // Auto if empty
	Station  string                                                  // UUID; gives the replica id and the name in the list of replicas
	Version  string                                                  // of the program
	Memory   Memory                                                  // over a restart; nil: none
	Warn     func(error)                                             // told what should be mended on the server while capture goes on; nil: nobody

	ServerIDs, ServerIDSpan uint32 // range of replica ids; 0x53000000 and 2²⁰ if both are 0
}

// Credential is an account and where its password is.
type Credential struct {
	User     string
	Password func() (string, error)
}

// Source reads one server's log.
type Source struct {
	cfg     Config
	logins  []Credential // the current one, then the next one if there is any
	host    string
	port    uint16
	clashes atomic.Uint32 // how often the replica id was another's
	refused atomic.Uint32 // how often a login was refused: the other one is tried then
	warned  map[string]time.Time
	look    time.Duration                        // between two looks whether a stream is stuck
	ends    func(context.Context) (place, error) // where the log ends, for that
	stuck   atomic.Bool                          // the last stream was, and nothing has come since
}

// New checks cfg and makes a Source. It doesn't connect.
func New(cfg Config) (*Source, error) {
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("check address of the database %q: it must be host:port", cfg.Address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("check address of the database %q: the port must be a number", cfg.Address)
	}
	if cfg.DB == nil || cfg.Password == nil || len(cfg.Tables) == 0 || cfg.Station == "" {
		return nil, errors.New("check binlog source: database, password, tables and station must be given")
	}
	switch cfg.Mode {
	case "":
		cfg.Mode = Auto
	case Auto, ByGTID, ByPosition:
	default:
		return nil, fmt.Errorf("check binlog source: mode %q is none of auto, gtid, position", cfg.Mode)
	}
	if cfg.ServerIDs == 0 && cfg.ServerIDSpan == 0 {
		cfg.ServerIDs, cfg.ServerIDSpan = serverIDs, serverIDSpan
	}
	cfg.ServerIDSpan = max(cfg.ServerIDSpan, 1)
	if cfg.Memory == nil {
		cfg.Memory = &volatile{}
	}
	s := &Source{cfg: cfg, logins: []Credential{{cfg.User, cfg.Password}}, host: host, port: uint16(n), look: watchEvery}
	s.ends = s.logEnd
	if cfg.Next != nil {
		s.logins = append(s.logins, *cfg.Next)
	}
	return s, nil
}

// login is the credential whose turn it is.
func (s *Source) login() Credential { return s.logins[int(s.refused.Load())%len(s.logins)] }

func (s *Source) syncer(user, password string, sv *server, dial client.Dialer, st *stream) *replication.BinlogSyncer {
	name := fmt.Sprintf("station-agent/%s %s", s.cfg.Version, s.cfg.Station)
	return replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: s.replicaID(), Flavor: sv.flavor,
		Host: s.host, Port: s.port, User: user, Password: password, TLSConfig: s.tls(),
		Localhost:               name[:min(len(name), longestHost)],
		HeartbeatPeriod:         heartbeat,
		DisableRetrySync:        true,
		DiscardGTIDSet:          true, // we keep our own
		EventCacheCount:         64,
		VerifyChecksum:          true,
		Logger:                  slog.New(slog.DiscardHandler),
		Dialer:                  dial,
		Option:                  sv.same,
		SynchronousEventHandler: st,
		RawModeEnabled:          true, // the stream parses
	})
}

// newParser makes the parser of what a stream doesn't read itself. The checksums were looked at before.
func newParser(flavor string, decode func(*replication.RowsEvent, []byte) error) *replication.BinlogParser {
	p := replication.NewBinlogParser()
	p.SetFlavor(flavor)
	p.SetTimestampStringLocation(time.UTC)
	p.SetRenderJSONAsMySQLText(true) // the other form changes numbers
	p.SetRowsEventDecodeFunc(decode)
	return p
}

func (s *Source) tls() *tls.Config {
	if s.cfg.TLS == nil {
		return nil
	}
	c := s.cfg.TLS.Clone()
	if c.ServerName == "" && !c.InsecureSkipVerify {
		c.ServerName = s.host
	}
	return c
}

// dialer opens connections that end with ctx: the library's own waits can't be cut short otherwise.
func dialer(ctx context.Context, plain bool) client.Dialer {
	return func(dialCtx context.Context, network, address string) (net.Conn, error) {
		if err := ctx.Err(); err != nil {
			return nil, err // closing: the library would end the old connection from a new one
		}
		dialCtx, cancel := context.WithCancel(dialCtx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		conn, err := new(net.Dialer).DialContext(dialCtx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if plain {
			return &wary{Conn: &patient{conn}}, nil
		}
		return &patient{conn}, nil
	}
}
