package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/capture"
	"station-agent/uplink/mysql"
	"station-agent/uplink/writeback"
)

type writebackConfig struct {
	Table string   `toml:"table"`
	Every duration `toml:"every"`
}

func (w *writebackConfig) check(r report) {
	r.between("writeback.every", w.Every, minEvery, maxEvery)
	if w.Table == "" {
		return
	}
	if _, err := writeback.DDL(w.Table); err != nil || !isTable(w.Table) {
		r("writeback.table", fmt.Errorf("%q is no SCHEMA.TABLE of the agent's own: the table's name must begin with %s, such as external_workspace.station_agent_anchors",
			w.Table, writeback.Own))
	}
}

// checkTracked refuses what must never be written into.
func (t *tableConfig) checkTracked(r report, at string) {
	if t.Tracked && strings.EqualFold(t.Name, "buylo_products") {
		r(at+"tracked", errors.New("is never possible for buylo_products: that table is Buylo's"))
	}
}

// addWriteback adds what shows in MySQL how records stand: one writer for each table, so that none holds up another.
func (p *parts) addWriteback() error {
	w := p.cfg.Writeback
	var tracked []*capture.Spec
	for _, t := range p.cfg.tables()[1:] {
		if t.Tracked {
			tracked = append(tracked, t.Spec)
		}
	}
	if w.Table == "" && len(tracked) == 0 {
		return nil
	}
	db, err := p.open(p.cfg.MySQL.User, p.cfg.MySQL.PasswordFile, 1, 0) // its own: nothing else waits for it
	if err != nil {
		return err
	}
	add := func(target writeback.Target, name string) {
		p.add(writeback.New(writeback.Config{
			Log: &outcomes{DB: p.store.DB, note: "writeback " + name}, Target: target, Every: w.Every.value(),
			Explain: mysql.Explain, Condition: p.board.condition("write-back into " + name),
		}))
	}
	if w.Table != "" {
		table, err := writeback.NewTable(db, w.Table, p.cfg.Station.UUID)
		if err != nil {
			return err
		}
		add(table, w.Table)
	}
	for _, spec := range tracked {
		add(writeback.NewColumns(db, &trackedRows{Spec: spec, store: p.store.DB}), spec.String())
	}
	return nil
}

// outcomes is the store's log with a mark in its notes. A note costs the card more than a batch of receipts, so it is written now
// and then: what came since is written back once more after a restart.
type outcomes struct {
	*store.DB
	note string

	loaded bool
	mark   uint64
	kept   time.Time // when the note was written
}

const markEvery = 5 * time.Minute

// Mark implements writeback.Log.
func (o *outcomes) Mark() (uint64, error) {
	if o.loaded {
		return o.mark, nil
	}
	b, err := o.LoadNote(o.note)
	if err != nil {
		return 0, err
	}
	o.mark, _ = strconv.ParseUint(string(b), 10, 64) // none, or one that can't be read: all is written again
	o.loaded = true
	return o.mark, nil
}

// Keep implements writeback.Log.
func (o *outcomes) Keep(mark uint64) error {
	o.mark = mark
	if !o.kept.IsZero() && time.Since(o.kept) < markEvery {
		return nil
	}
	o.kept = time.Now()
	return o.SaveNote(o.note, strconv.AppendUint(nil, mark, 10))
}

// trackedRows is a table as capture reads it, for the write-back into its tracking columns.
type trackedRows struct {
	*capture.Spec
	store *store.DB
	table *capture.Table // as Lock found it
}

// Lock implements writeback.Rows.
func (t *trackedRows) Lock(ctx context.Context, tx *sql.Tx, ids []string) (map[string]json.RawMessage, error) {
	snapshot := capture.Snapshot{DB: tx, Table: t.Spec, Writing: true}
	table, err := snapshot.Layout(ctx)
	if err != nil {
		return nil, err
	}
	t.table = table
	found, err := snapshot.Those(ctx, table, ids)
	rows := make(map[string]json.RawMessage, len(found))
	for _, s := range found {
		rows[s.ID] = s.Payload
	}
	return rows, err
}

// Same implements writeback.Rows.
func (t *trackedRows) Same(a, b json.RawMessage) bool { return t.SameBut(a, b) }

// Update implements writeback.Rows.
func (t *trackedRows) Update(id string) (before, after string, args []any) {
	keep := ""
	if t.Updated != "" {
		keep = ", " + capture.Quote(t.Updated) + " = " + capture.Quote(t.Updated)
	}
	where, args := t.table.Where(id)
	return "UPDATE " + capture.Quote(t.Schema) + "." + capture.Quote(t.Name) + " SET ", keep + " WHERE " + where, args
}

// Holds implements writeback.Rows.
func (t *trackedRows) Holds(r *record.Record) bool { return t.Reports(r) }

// Latest implements writeback.Rows.
func (t *trackedRows) Latest(ids []string) (map[string]string, error) {
	rows, err := t.store.Shadow(t.Collection(), ids)
	versions := make(map[string]string, len(rows))
	for id, row := range rows {
		versions[id] = row.Version
	}
	return versions, err
}
