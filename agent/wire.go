package main

import (
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/assign"
	"station-agent/uplink/capture"
	"station-agent/uplink/capture/binlog"
	"station-agent/uplink/capture/poll"
	"station-agent/uplink/certyo"
	"station-agent/uplink/deliver"
	"station-agent/uplink/fleet"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/mysql"
)

// askedRarely ends the connection for capture's questions soon after one: a station that idles has three, for the rows, for
// assignments and for the binary log.
const askedRarely = 2 * time.Second

// wire is the list of parts. Deleting one line of it disables exactly one thing.
func wire(c *config, log *slog.Logger, how logging, t *trials) (_ *parts, err error) {
	clk, err := newClock()
	if err != nil {
		return nil, err
	}
	p := &parts{cfg: c, log: log, clock: clk, board: newBoard(log), moving: newMoving(), panel: station.LogPanel{Log: log}, lag: func() (time.Duration, bool) { return 0, false },
		ways: func() []message.Way { return []message.Way{} }, choose: func(string, string) error { return errNotCaptured }, snapshot: func(string) error { return errNotCaptured }, resync: func(string) error { return errNotCaptured },
		look: http.NewServeMux(), control: http.NewServeMux(), again: make(chan string, 1), trials: t, level: how.level, last: how.last,
		sealed: &sealed{cfg: c}, scrub: &scrub{}, events: func() []message.Event { return nil }}
	p.pause = &pausing{cond: p.board.condition("pause")}
	if p.store, err = store.Open(c.storeConfig(clk.now)); err != nil {
		return nil, err
	}
	if n := p.store.Journal.Torn(); n > 0 {
		log.Info("cut off what was being written when the power failed", "bytes", n)
	}
	for _, add := range []func() error{
		p.addAlarms,
		p.addFeedback,
		p.addBench,
		p.addReaders,
		p.addButtons,
		p.addDatabase,
		p.addCertyo,
		p.addManifests,
		p.addWriteback,
		p.addFleet,
		p.addTrial,
		p.addStatus,
		p.addMetrics,
		p.addHousekeeping,
	} {
		if err := add(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// storeConfig is the store of this configuration.
func (c *config) storeConfig(now func() record.Stamp) store.Config {
	reserve := int64(c.Store.ReserveMB) << 20
	if reserve == 0 {
		reserve = -1 // none
	}
	return store.Config{
		Dir: c.Store.Folder, Now: now, Probe: probe, MaxBytes: int64(c.Store.MaxMB) << 20, Reserve: reserve,
		EvidenceDays: c.Store.EvidenceDays, ExportDir: c.Store.ExportFolder, FirstLook: c.Certyo.VerifyAfter[0].value(), MaxUnproven: c.Certyo.MaxUnproven,
		MaxRefused: c.Certyo.MaxRefused, RefusedBytes: int64(c.Certyo.RefusedMB) << 20,
		Identity:  store.Identity{Environment: c.Environment, Station: c.Station.UUID, Database: c.MySQL.Address + "/" + c.MySQL.Schema},
		PackageOf: packageOf,
	}
}

// packageOf reads the package of a row of buylo_products.
func packageOf(r record.Record) (pkg record.Value, ok bool) {
	if r.Collection != goods {
		return nil, false
	}
	var row struct {
		Package record.Value `json:"external_package_id"`
	}
	err := json.Unmarshal(r.Payload, &row)
	return row.Package, err == nil
}

// addBench adds what the operator works with: it needs the store and nothing else.
func (p *parts) addBench() error {
	rules, err := p.cfg.rules()
	if err != nil {
		return err
	}
	for _, w := range p.cfg.renamed() {
		p.log.Warn("old field", "text", w)
	}
	refresh := p.cfg.MySQL.Refresh.value()
	p.picture = station.NewPicture(max(3*refresh, 3*time.Second))
	p.tape = p.cfg.tape()
	p.bench = station.NewBench(station.Config{
		Rules: rules, Start: p.store.Journal.State(), Stamp: p.clock.now, Labels: labels{p.store}, Named: p.store.Journal.Named(), Presence: p.cfg.presence(), Tape: p.tape,
		Noisy: func(reader string, left int) {
			p.log.Warn("noise left out", "reader", reader, "count", left, "text", "more than anybody scans: see to its line, its protocol and its baud")
		},
	}, scanJournal{p.store.Journal, p.board.condition("journal")}, p.picture, p.panel)
	p.add(p.bench)
	p.add(p.store)
	return nil
}

// addDatabase adds what reads and writes the rows, and what captures their changes.
func (p *parts) addDatabase() error {
	table := p.cfg.MySQL.Schema + ".buylo_products"
	db, err := p.open(p.cfg.MySQL.User, p.cfg.MySQL.PasswordFile, 2, 0)
	if err != nil {
		return err
	}
	p.inquiries = newInquiries(p.picture.Hurry)
	k := &keeper{picture: p.picture, store: p.store, inquiries: p.inquiries, cond: p.board.condition("picture"),
		tags: tags{of: p.store.EPCsOf, made: p.mapMade}}
	if err := k.load(); err != nil {
		return err
	}
	p.add(k)
	p.shared = &shared{db: db}
	watcher, err := assign.NewWatcher(assign.WatcherConfig{
		DB: db, Also: p.shared, Explain: mysql.Explain, Table: table, Station: p.cfg.Station.UUID, Condition: p.board.condition("mysql"),
		Every: p.cfg.MySQL.Refresh.value(), Kick: p.picture.Kick(), Seen: k.seen, Asked: p.inquiries.with(p.picture.Asked),
		MapTable: p.cfg.MySQL.MapTable, MapCondition: p.board.condition("map of tags"),
	})
	if err != nil {
		return err
	}
	p.add(watcher)
	open, err := p.addCapture()
	if err != nil {
		return err
	}
	settler, err := assign.NewSettler(assign.SettlerConfig{
		DB: db, Explain: mysql.Explain, Table: table, Intents: p.store.Journal, Condition: p.board.condition("assign"),
		Gate: open, Ended: func(i record.Intent, o record.Outcome) { p.bench.Ended(o, i) },
	})
	if err != nil {
		return err
	}
	p.add(settler)
	return nil
}

// open makes a pool of connections to MySQL that wait so long for an answer, 0 for as long as usual.
func (p *parts) open(user string, password secret, conns int, answer time.Duration) (*sql.DB, error) {
	m, err := p.cfg.mysqlAs(user, password)
	if err != nil {
		return nil, err
	}
	m.Next, m.MaxConns, m.ReadTimeout = p.cfg.MySQL.next(user, password), conns, answer
	db, err := mysql.Open(m)
	if err != nil {
		return nil, err
	}
	p.dbs = append(p.dbs, db)
	return db, nil
}

// mapMade is when the map of tags was imported.
func (p *parts) mapMade() time.Time {
	_, at := p.store.Map()
	return at
}

// next is the credential after a rotation of the account of [mysql]; nil for another account.
func (m *mysqlConfig) next(user string, password secret) *mysql.Credential {
	if m.NextPasswordFile == "" || user != m.User || password != m.PasswordFile {
		return nil
	}
	return &mysql.Credential{User: m.NextUser, Password: m.NextPasswordFile.read}
}

// addCapture adds the way from row changes into the outbox and gives the settler's gate, nil if nothing is captured.
func (p *parts) addCapture() (<-chan struct{}, error) {
	if p.cfg.Capture.Source == "off" {
		return nil, nil
	}
	c, m := p.cfg.Capture, p.cfg.MySQL
	conns := 1
	for _, t := range p.cfg.Tables {
		if t.Queue != "" { // its reader keeps one
			conns++
		}
	}
	db, err := p.open(c.User, c.PasswordFile, conns, poll.Longest+5*time.Second)
	if err != nil {
		return nil, err
	}
	db.SetConnMaxIdleTime(askedRarely)
	tlsConfig, err := mysql.NewTLS(m.tlsOptions())
	if err != nil {
		return nil, err
	}
	own := binlog.Config{
		Address: m.Address, User: c.User, Password: c.PasswordFile.read, TLS: tlsConfig, DB: db, Explain: mysql.Explain,
		Mode: binlog.Mode(c.Mode), Station: p.cfg.Station.UUID, Version: version,
		Memory: p.store.DB, Warn: func(err error) { p.log.Warn("binary log", "err", err) },
	}
	if next := m.next(c.User, c.PasswordFile); next != nil {
		own.Next = &binlog.Credential{User: next.User, Password: next.Password}
	}
	own.ServerIDs, own.ServerIDSpan = c.replicaIDs()
	k := &capturing{
		log: p.log, db: db, store: p.store.DB, board: p.board, every: c.Every.value(), patience: 15 * time.Second, binlog: own,
		here: p.shared.wait, scope: capture.Scope{Station: p.cfg.Station.UUID, Agents: p.cfg.Station.Agents},
		others: p.cfg.streams(), armed: make(chan struct{}), chosen: make(chan struct{}, 1), decided: p.board.condition("way of capture"),
	}
	for i, t := range p.cfg.tables() {
		name := "capture"
		if i > 0 {
			name += " of " + t.Spec.String()
		}
		t.cond = p.board.condition(name)
		k.tables = append(k.tables, t)
	}
	p.lag, p.ways, p.choose, p.snapshot, p.resync = k.lag, k.ways, k.choose, k.snapshot, k.resync
	p.pause.rests, p.pause.armed = append(p.pause.rests, k.rest), k.armed
	g := newGate(k.armed, p.board)
	p.add(k)
	p.add(g)
	return g.open, nil
}

// addCertyo adds the way from the outbox to Certyo and to the proof.
func (p *parts) addCertyo() error {
	c := p.cfg.Certyo
	reach, err := p.cfg.certyo()
	if err != nil {
		return err
	}
	reach.Switched = func(place string) { p.log.Warn("Certyo refused the other key", "in use", place) }
	client := certyo.New(reach)
	if reach.Next != nil {
		p.key = client.KeyPlace
	}
	schedule := make([]time.Duration, len(c.VerifyAfter))
	for i, d := range c.VerifyAfter {
		schedule[i] = d.value()
	}
	p.courier = deliver.New(deliver.Config{
		Batch: c.Batch, Linger: c.Linger.value(), Parallel: c.Parallel, Spread: c.StartJitter.value(), Schedule: schedule, Budget: c.budget(),
		Hours: c.hours(), DayBytes: int64(c.MaxMBADay) << 20, Singly: !c.Snapshots,
	},
		p.store.DB, ledger{p.store.DB}, client, deliver.Conditions{
			Delivery: p.board.condition("certyo"), Verification: p.board.condition("verification"),
			Anchoring: p.board.condition("anchoring"), Integrity: p.board.condition("integrity"),
			Presence: p.board.condition("missing records"),
		})
	p.pause.rests = append(p.pause.rests, p.courier.Rest)
	p.add(p.courier)
	return nil
}

// ledger is the store's ledger with its own signal.
type ledger struct{ *store.DB }

// Changed signals after records came into the ledger.
func (l ledger) Changed() <-chan struct{} { return l.LedgerChanged() }

// budget is the part of Certyo's limit that is this station's.
func (c *certyoConfig) budget() deliver.Budget {
	b := deliver.Budget{PerMinute: c.Requests, Verify: c.VerifyShare}
	if c.VerifyRate > 0 {
		b.Verify = min(max(1, c.VerifyRate*60*100/c.Requests), 90)
	}
	return b
}

// hours are the times of the day in which something is sent.
func (c *certyoConfig) hours() (h deliver.Hours) {
	for _, w := range c.Hours {
		v, _ := w.value() // it was checked
		h = append(h, v)
	}
	return h
}

// renamed names the old fields that are in use.
func (c *config) renamed() []string {
	return slices.Concat(c.Packing.renamed(), c.Certyo.renamed(), c.Fleet.renamed())
}

func (c *certyoConfig) renamed() (warnings []string) {
	if c.VerifyRate != 0 {
		warnings = append(warnings, "certyo.verify_per_second is old and goes with version 2: set certyo.requests_per_minute and certyo.verify_share")
	}
	return warnings
}

func (f *fleetConfig) renamed() (warnings []string) {
	if f.Broker != "" {
		warnings = append(warnings, "fleet.broker is old and goes with version 2: set fleet.brokers")
	}
	return warnings
}

func (p *parts) addFleet() error {
	if len(p.cfg.Fleet.Brokers) == 0 {
		return nil
	}
	f, err := p.cfg.fleet()
	if err != nil {
		return err
	}
	f.Session = p.store.Session()
	f.Twin = p.board.condition("twin")
	f.Events, f.Alarms = p.alarms, p.alarms.standing
	p.addOrders()
	f.Command = p.orders.take
	p.fleet = fleet.New(f, p.facts().health, p.board.condition("broker"))
	for _, r := range p.orders.toldLate() {
		p.fleet.Reply(r)
	}
	p.add(p.fleet)
	return nil
}

// addAlarms adds what makes alarms and events of all that the parts say, and what looks after the machine.
func (p *parts) addAlarms() error {
	p.alarms = newAlarms(p.board, p.store.Events, p.clock.now, p.store.Session(), len(p.cfg.Fleet.Brokers) == 0)
	p.vitals = newVitals("/", p.cfg.Store.Folder, p.clock.now, p.board)
	p.events = func() []message.Event { return kept(p.store.Events.Kept()) }
	p.add(p.alarms)
	p.add(p.vitals)
	return nil
}

// addStatus adds the two sockets: one to look, one to change something.
func (p *parts) addStatus() error {
	f, d := p.facts(), newDesk(p.store, p.cfg)
	b := benchDesk{p.store, p.picture, p.bench.Retry, p.inquiries.ask}
	look, control := p.look, p.control
	look.HandleFunc("GET /status", answer(func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, f.status()) }))
	look.HandleFunc("GET /alarms", answer(func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, p.alarms.standing()) }))
	look.HandleFunc("GET /reads", answer(func(w http.ResponseWriter, _ *http.Request) error { return writeJSON(w, p.reads.list()) }))
	d.look(look)
	proofDesk{p.store, p.cfg}.look(look)
	b.look(look)
	tapeDesk{p.tape}.serve(look, control)
	control.HandleFunc("POST /store/export", answer(p.moving.export))
	d.change(control)
	control.HandleFunc("POST /snapshot", answer(func(w http.ResponseWriter, r *http.Request) error { return p.snapshot(r.FormValue("table")) }))
	control.HandleFunc("POST /capture", answer(func(w http.ResponseWriter, r *http.Request) error {
		return p.choose(r.FormValue("table"), r.FormValue("way"))
	}))
	b.change(control)
	lampDesk{p.player, p.cfg.Outputs}.change(control)
	control.HandleFunc("POST /updating", answer(p.announceUpdate))
	p.add(&socketServer{p.cfg.Status.Socket, lookMode, look, "status.socket", p.board.condition("status socket")})
	p.add(&socketServer{p.cfg.Status.ControlSocket, controlMode, control, "status.control_socket", p.board.condition("control socket")})
	return nil
}

// addHousekeeping adds what makes people look at what needs them.
func (p *parts) addHousekeeping() error {
	p.add(&attention{
		store: p.store, parked: p.board.condition("assignments"), dead: p.board.condition("refused records"),
		unverified: p.board.condition("unverified records"), spilled: p.board.condition("dropped records"), card: p.board.condition("store"), export: p.board.condition("evidence export"), reserve: p.board.condition("room for scans"),
		keys: p.board.condition("key window"), now: p.clock.now,
	})
	return nil
}

func (p *parts) facts() *facts {
	return &facts{key: p.key, damage: p.damage, vitals: p.vitals, reads: p.reads, session: p.store.Session(), player: p.player, cfg: p.cfg, began: time.Now(), clock: p.clock, store: p.store, board: p.board, rows: p.picture, lag: func() (time.Duration, bool) { return p.lag() }, ways: func() []message.Way { return p.ways() }}
}
