package binlog

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/capture"
)

func TestTheServerMustLogWholeRows(t *testing.T) {
	good := map[string]string{"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL"}
	if err := fit(good); err != nil {
		t.Error(err)
	}
	if err := fit(map[string]string{"log_bin": "ON"}); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"log_bin": "OFF", "binlog_format": "MIXED", "binlog_row_image": "NOBLOB"} {
		bad := map[string]string{"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL"}
		bad[name] = value
		if err := fit(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestALogThatIsOffIsSaidAndHeals(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		mark(t, db, "before")
		if err := db.Restart(t.Context(), "--skip-log-bin"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Snapshot(t.Context(), []capture.Want{{Table: products}}, "run"); err == nil || !strings.Contains(err.Error(), "log_bin") {
			t.Fatalf("start: %v", err)
		}
		if _, err := follow(t, s, from, "end"); err == nil || errors.Is(err, capture.ErrGap) || !strings.Contains(err.Error(), db.Addr) {
			t.Fatalf("run: %v", err)
		}
		if err := db.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		mark(t, db, "end")
		same(t, lines(mustFollow(t, s, from, "end")), []string{"insert - before", "insert - end"})
	})
}

func TestMySQLWithoutGTID(t *testing.T) {
	db := servers.MySQL(t)
	if err := db.Restart(t.Context(), "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := source(t, db, ByGTID).Snapshot(t.Context(), []capture.Want{{Table: products}}, "run"); err == nil || !strings.Contains(err.Error(), "gtid_mode") {
		t.Fatalf("by GTID: %v", err)
	}
	s := source(t, db, Auto)
	from := start(t, s)
	if from.GTID != "" {
		t.Fatalf("%+v", from)
	}
	want := workload(t, db)
	txs := mustFollow(t, s, from, "end")
	if got := lines(txs); len(got) < len(want) {
		t.Fatalf("got %v", got)
	}
	if id := txs[0].ID; !strings.HasPrefix(id, from.Server+"/"+from.File+":") {
		t.Errorf("identity %s", id)
	}
	db.Exec(t, "FLUSH BINARY LOGS")
	for i := range txs[:len(txs)-1] {
		same(t, names(mustFollow(t, s, txs[i].Position, "end")), names(txs[i+1:]))
	}
}

func TestCompressedTransactionsAreTheSame(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		if db.Flavor == "mysql" {
			db.Exec(t, "SET GLOBAL binlog_transaction_compression = ON")
		} else {
			db.Exec(t, "SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10")
		}
		byGTID, byPosition := source(t, db, ByGTID), source(t, db, ByPosition)
		from, fromFile := start(t, byGTID), start(t, byPosition)
		workload(t, db)
		events, err := byGTID.list(t.Context(), byGTID.cfg.DB, "SHOW BINLOG EVENTS IN '"+fromFile.File+"'")
		if err != nil {
			events, err = (&Source{cfg: Config{DB: db.Root()}}).list(t.Context(), db.Root(), "SHOW BINLOG EVENTS IN '"+fromFile.File+"'")
		}
		if !slices.ContainsFunc(events, func(e []string) bool {
			return strings.Contains(e[2], "Transaction_payload") || strings.Contains(e[2], "compressed")
		}) {
			t.Fatalf("nothing was compressed: %v", err)
		}
		all, files := mustFollow(t, byGTID, from, "end"), mustFollow(t, byPosition, fromFile, "end")
		same(t, names(files), names(all))
		for i := range all[:len(all)-1] {
			same(t, names(mustFollow(t, byGTID, all[i].Position, "end")), names(all[i+1:]))
			same(t, names(mustFollow(t, byPosition, files[i].Position, "end")), names(files[i+1:]))
		}
	})
}

func TestTaggedGTID(t *testing.T) {
	db := servers.MySQL(t)
	s := source(t, db, ByGTID)
	from := start(t, s)
	db.Exec(t, "SET SESSION gtid_next = 'AUTOMATIC:buylo'", insert("a", stationA), insert("b", ""))
	mark(t, db, "end")
	txs := mustFollow(t, s, from, "end")
	same(t, lines(txs), []string{"insert - a", "insert - b", "insert - end"})
	if !strings.Contains(txs[0].ID, ":buylo:") {
		t.Errorf("identity %s", txs[0].ID)
	}
	same(t, names(mustFollow(t, s, txs[0].Position, "end")), names(txs[1:]))
	same(t, names(mustFollow(t, source(t, db, ByPosition), txs[0].Position, "end")), names(txs[1:]))
}

func TestRefusals(t *testing.T) {
	servers.Databases(t, func(t *testing.T, db *servers.Database) {
		s := source(t, db, Auto)
		from := start(t, s)
		db.Exec(t, "REVOKE REPLICATION SLAVE ON *.* FROM '"+servers.CaptureUser+"'@'%'")
		if _, err := follow(t, s, from, "end"); err == nil || !strings.Contains(err.Error(), "GRANT REPLICATION SLAVE") {
			t.Errorf("without the right: %v", err)
		}
		db.Exec(t, "GRANT REPLICATION SLAVE ON *.* TO '"+servers.CaptureUser+"'@'%'")
		s.logins[0].Password = func() (string, error) { return "wrong-secret", nil }
		if _, err := follow(t, s, from, "end"); err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("wrong password: %v", err)
		}
		s.logins[0].Password = func() (string, error) { return "", errors.New("no file") }
		if _, err := follow(t, s, from, "end"); err == nil || !strings.Contains(err.Error(), "no file") {
			t.Errorf("no password: %v", err)
		}
	})
}

// Two sources with one replica id get on: the loser takes another id.
func TestReplicaIDClash(t *testing.T) {
	db := servers.MariaDB(t)
	m := &volatile{}
	a, b := again(t, db, m), source(t, db, Auto)
	from := start(t, a)
	if a.replicaID() != b.replicaID() {
		t.Fatal("the id is not the station's")
	}
	done := make(chan error, 1)
	_, err := follow(t, a, from, "end", func() {
		go func() {
			_, err := follow(t, b, from, "end")
			done <- err
		}()
	})
	if err == nil || !strings.Contains(err.Error(), "another replica has our id") {
		t.Fatalf("first: %v", err)
	}
	if a.replicaID() == b.replicaID() {
		t.Error("it keeps the id")
	}
	mark(t, db, "end")
	if err := <-done; err != nil {
		t.Errorf("second: %v", err)
	}
	mustFollow(t, a, from, "end")
	next := again(t, db, m) // another run of the program
	mustFollow(t, next, from, "end")
	if next.replicaID() != a.replicaID() {
		t.Error("the new id was not kept")
	}
}

func TestReplicaIDs(t *testing.T) {
	why := errors.New("why")
	s := &Source{cfg: Config{Station: stationA, ServerIDs: 7, ServerIDSpan: 2, Memory: &volatile{}}}
	for range 20 {
		old := s.replicaID()
		if err := s.clash(why); !errors.Is(err, why) || s.replicaID() == old || s.replicaID() < 7 || s.replicaID() > 8 {
			t.Fatalf("%d after %d: %v", s.replicaID(), old, err)
		}
	}
	other := &Source{cfg: s.cfg}
	if err := other.recallReplica(); err != nil || other.replicaID() != s.replicaID() {
		t.Errorf("%d, not %d: %v", other.replicaID(), s.replicaID(), err)
	}
	other = &Source{cfg: s.cfg}
	other.cfg.Station = stationB
	if err := other.recallReplica(); err != nil || other.clashes.Load() != 0 {
		t.Errorf("another station's clashes: %v", err)
	}
	s.cfg.ServerIDSpan = 1
	if err := s.clash(why); !strings.Contains(err.Error(), "give the station another one") {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	good := Config{Address: "h:1", Password: func() (string, error) { return "", nil }, DB: openNothing(), Tables: []*capture.Spec{products}, Station: stationA}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"address": func(c *Config) { c.Address = "h" }, "port": func(c *Config) { c.Address = net.JoinHostPort("h", "x") },
		"mode": func(c *Config) { c.Mode = "x" }, "tables": func(c *Config) { c.Tables = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
