package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"station-agent/station"
	"station-agent/store"
	"station-agent/store/record"
)

// benchDesk answers what a person asks about the bench: its items, scans and assignments. A command without a running agent
// has one of its own, over what the agent kept.
type benchDesk struct {
	store   *store.Store
	picture *station.Picture
	retry   func(ctx context.Context, id uint64) error                 // makes a parked intent open again
	find    func(ctx context.Context, hash string) (record.Row, error) // looks into the table; nil without an agent
}

// stoppedBench is the desk of a command that opened the store of a stopped agent.
func stoppedBench(st *store.Store) benchDesk {
	d := benchDesk{store: st, picture: station.NewPicture(0)}
	_ = loadPicture(d.picture, st) // else no item is known here
	for _, i := range st.Journal.Open() {
		d.picture.Intended(i)
	}
	d.retry = func(_ context.Context, id uint64) error {
		_, err := st.Journal.Retry(id)
		return err
	}
	return d
}

// findTime is how long the table is asked for one row.
const findTime = 3 * time.Second

func (d benchDesk) look(mux *http.ServeMux) {
	mux.HandleFunc("GET /items", answer(d.items))
	mux.HandleFunc("GET /items/{hash}", answer(d.item))
	mux.HandleFunc("GET /scans", answer(d.scans))
	mux.HandleFunc("GET /intents", answer(d.intents))
}

func (d benchDesk) change(mux *http.ServeMux) {
	mux.HandleFunc("POST /intents/drop", d.act("drop", d.drop))
	mux.HandleFunc("POST /intents/retry", d.act("retry", d.retry))
}

// item is one row as the commands show it.
type item struct {
	record.Row
	Here    bool    `json:"here"`               // on this station
	Pending bool    `json:"pending"`            // the package is what this station wants; the database doesn't show it yet
	RowsAge float64 `json:"rows_age_s"`         // how long ago it was read; -1: as it was kept on disk
	Missing bool    `json:"missing,omitempty"`  // there is no such row
	Doubt   string  `json:"as_known,omitempty"` // why this is not what the table says now
}

func (d benchDesk) show(r station.PictureRow, here bool) item {
	age := -1.0
	if d := d.picture.Age(time.Now()); d < 365*24*time.Hour {
		age = round(d)
	}
	return item{Row: r.Row, Here: here, Pending: len(r.May) > 1, RowsAge: age}
}

func (d benchDesk) items(w http.ResponseWriter, _ *http.Request) error {
	return stream(w, func(put func(any) error) error {
		for _, r := range d.picture.All() {
			if err := put(d.show(r, true)); err != nil {
				return err
			}
		}
		return nil
	})
}

// item tells where one row is: from the Picture if it is here and was read just now, else from the table, else what is known.
func (d benchDesk) item(w http.ResponseWriter, r *http.Request) error {
	hash := r.PathValue("hash")
	row, here := d.picture.Lookup(hash)
	known := here
	if !here {
		row, known = d.picture.Away(hash)
	}
	if here && d.picture.Online(time.Now()) {
		return writeJSON(w, d.show(row, true))
	}
	found, err := d.ask(r.Context(), hash)
	switch {
	case err == nil:
		return writeJSON(w, item{Row: found, Here: !found.Away})
	case errors.Is(err, errNoRow):
		return writeJSON(w, item{Row: record.Row{Hash: hash}, Missing: true})
	case !known:
		return fmt.Errorf("find item %q: it isn't known here, and the table can't be asked: %w", hash, err)
	}
	i := d.show(row, here)
	i.Doubt = oneLine(err.Error())
	return writeJSON(w, i)
}

func (d benchDesk) ask(ctx context.Context, hash string) (record.Row, error) {
	if d.find == nil {
		return record.Row{}, errors.New("no agent runs")
	}
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	row, err := d.find(ctx, hash)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("MySQL does not answer")
	}
	return row, err
}

// scanLine is one scan as the commands show it.
type scanLine struct {
	Seq uint64       `json:"seq"`
	At  record.Stamp `json:"at"`
	record.Scan
	Intents []record.Intent `json:"intents,omitempty"`
}

// scans gives the newest scans that fit, oldest first.
func (d benchDesk) scans(w http.ResponseWriter, r *http.Request) error {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 0 || limit > mostScans {
		return fmt.Errorf("list scans: limit %q is no number up to %d; 0 lists all", r.FormValue("limit"), mostScans)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a month of scans is read
	var list []scanLine
	err = d.store.Journal.Replay(func(e record.Entry) error {
		if e.Scan == nil || !fits(r, e) {
			return nil
		}
		if list = append(list, scanLine{e.Seq, e.At, *e.Scan, e.Intents}); limit > 0 && len(list) > 2*limit {
			list = slices.Clone(list[len(list)-limit:])
		}
		return nil
	})
	if limit > 0 && len(list) > limit {
		list = list[len(list)-limit:]
	}
	return stream(w, func(put func(any) error) error {
		for _, l := range list {
			if err := put(l); err != nil {
				return err
			}
		}
		return err // damage is said behind all that reads
	})
}

const mostScans = 1_000_000 // to be asked for at once

// fits tells whether a scan is one that was asked for.
func fits(r *http.Request, e record.Entry) bool {
	pkg, hash := r.FormValue("package"), r.FormValue("hash")
	of := func(i record.Intent) bool { return i.Hash == hash }
	return (pkg == "" || concerns(e, pkg)) && (hash == "" || e.Scan.Hash == hash || slices.ContainsFunc(e.Intents, of))
}

// concerns tells whether a scan was about a package: by its label, as one that it closed, or by what it did to items.
func concerns(e record.Entry, pkg string) bool {
	if e.Scan.Package == pkg || e.Session != nil && e.Session.Undo != nil && e.Session.Undo.Package == pkg && e.Session.Package != pkg {
		return true
	}
	return slices.ContainsFunc(e.Intents, func(i record.Intent) bool {
		return record.Same(i.Package, &pkg) || i.May(&pkg)
	})
}

// intentLine is one assignment as the commands show it.
type intentLine struct {
	record.Intent
	State   string         `json:"state"` // "waiting" or "parked"
	Outcome record.Outcome `json:"outcome,omitzero"`
	Seen    bool           `json:"seen,omitempty"` // acknowledged at the bench
}

func (d benchDesk) intents(w http.ResponseWriter, r *http.Request) error {
	s := d.store.Journal.State()
	return stream(w, func(put func(any) error) error {
		for _, i := range s.Open {
			if r.FormValue("parked") != "" {
				break
			}
			if err := put(intentLine{Intent: i, State: "waiting"}); err != nil {
				return err
			}
		}
		for _, p := range s.Parked {
			if err := put(intentLine{p.Intent, "parked", p.Outcome, p.Seen}); err != nil {
				return err
			}
		}
		return nil
	})
}

// drop ends parked intents on a person's word.
func (d benchDesk) drop(_ context.Context, id uint64) error {
	return d.store.Journal.Settle(record.Outcome{Intent: id, Result: record.Dismissed})
}

// act does what a person wants to parked intents: those named, or all.
func (d benchDesk) act(verb string, do func(ctx context.Context, id uint64) error) http.HandlerFunc {
	return answer(func(w http.ResponseWriter, r *http.Request) error {
		var c choice
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			return fmt.Errorf("%s assignments: %w", verb, err)
		}
		if c.All {
			c.Seqs = d.parked()
		}
		before := len(d.parked())
		for n, id := range c.Seqs {
			if !slices.Contains(d.parked(), id) { // it may have gone along with one before it
				if c.All {
					continue
				}
				return fmt.Errorf("no assignment %d needs a person (%d were done before it): station-agent intents --parked lists those that do", id, n)
			}
			if err := do(r.Context(), id); err != nil {
				return fmt.Errorf("%s assignment %d (%d were done before it): %w", verb, id, n, err)
			}
		}
		return writeJSON(w, map[string]int{"count": max(0, before-len(d.parked()))}) // some may have gone along
	})
}

// parked lists the intents that need a person.
func (d benchDesk) parked() (ids []uint64) {
	for _, p := range d.store.Journal.State().Parked {
		ids = append(ids, p.ID)
	}
	return ids
}
