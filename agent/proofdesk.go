package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"time"

	"station-agent/store"
	"station-agent/store/proof"
	"station-agent/store/record"
)

// proofDesk writes what the store knows into files of evidence: of a package or an item, or all of it.
type proofDesk struct {
	store *store.Store
	cfg   *config
}

func (d proofDesk) look(mux *http.ServeMux) {
	mux.HandleFunc("GET /proof", answer(d.proof))
	mux.HandleFunc("GET /evidence", answer(d.evidence))
}

func (d proofDesk) change(*http.ServeMux) {}

// rowOf reads a record of buylo_products.
func rowOf(r record.Record) (g proof.Goods, ok bool) {
	if r.Collection != goods {
		return g, false
	}
	var row struct {
		Hash    string       `json:"hash"`
		Package record.Value `json:"external_package_id"`
		Name    string       `json:"buylo_name"`
		EAN     string       `json:"buylo_ean"`
	}
	err := json.Unmarshal(r.Payload, &row)
	return proof.Goods{Item: row.Hash, Package: row.Package, Name: row.Name, EAN: row.EAN}, err == nil
}

const goods = "buylo_products" // the collection of Buylo's table

// dossier is what is found of one package or item.
type dossier struct {
	proof.Header
	items    map[string]bool
	accounts []*record.Account
	scans    []record.Entry
	state    record.State
}

func (d proofDesk) proof(w http.ResponseWriter, r *http.Request) error {
	name := r.FormValue("name")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // all that is kept is read, some times
	f := &dossier{Header: d.header(), items: map[string]bool{}, state: d.store.Journal.State()}
	if at := r.FormValue("at"); at != "" {
		var err error
		if f.Subject.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return fmt.Errorf("prove %q: %q is no time", name, at)
		}
	}
	if r.FormValue("item") == "" {
		f.Subject.Package = name
		if err := d.gather(f); err != nil {
			return fmt.Errorf("prove %q: %w", name, err)
		}
	}
	if len(f.accounts)+len(f.scans) == 0 {
		f.Subject.Package, f.Subject.Item = "", name
		f.items[name] = true
		if err := d.gather(f); err != nil {
			return fmt.Errorf("prove %q: %w", name, err)
		}
	}
	if len(f.accounts)+len(f.scans) == 0 {
		return fmt.Errorf("prove %q: no record and no scan of this station names such a package or item%s: scans and evidence are kept for %d days "+
			"(store.evidence_days); another station may have packed it", name, asOf(f.Subject.At), d.cfg.Store.EvidenceDays)
	}
	contents := f.contents()
	if err := d.elsewhere(f, contents); err != nil {
		return fmt.Errorf("prove %q: %w", name, err)
	}
	d.write(w, f, contents)
	return nil
}

func (f *dossier) contents() proof.Contents {
	count := proof.NewCount(f.Subject, rowOf)
	for _, a := range f.accounts {
		count.Add(a)
	}
	return count.Contents(f.Made)
}

// elsewhere notes the items whose rows are not followed any more, so that what became of them since is in no record of this station:
// it has let go of them in the Shadow. A Shadow that is being made anew tells nothing.
func (d proofDesk) elsewhere(f *dossier, c proof.Contents) error {
	if !d.store.DB.Compared() || !f.Subject.At.IsZero() {
		return nil
	}
	var ids []string
	for _, h := range c.Items {
		if !h.Gone {
			ids = append(ids, h.Item)
		}
	}
	some, err := d.store.DB.ShadowIDs(goods, "", 1)
	if err != nil || len(some) == 0 {
		return err
	}
	rows, err := d.store.DB.Shadow(goods, ids)
	f.Elsewhere = slices.DeleteFunc(ids, func(id string) bool { _, here := rows[id]; return here })
	return err
}

func asOf(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " until " + at.Format(time.RFC3339)
}

func (d proofDesk) header() proof.Header {
	h := proof.Header{Made: time.Now(), Program: version, Environment: d.cfg.Environment, Station: d.cfg.Station.UUID, Name: d.cfg.Station.Name,
		Database: d.cfg.MySQL.Address + "/" + d.cfg.MySQL.Schema, Store: d.store.ID(), Tenant: d.cfg.Certyo.Tenant}
	for _, l := range d.store.Losses() {
		h.Notes = append(h.Notes, oneLine(lossText(l)))
	}
	return h
}

// gather finds all that concerns the subject of f.
func (d proofDesk) gather(f *dossier) error {
	s := f.Subject
	if s.Package != "" {
		find := func(r *record.Record) bool {
			if g, ok := rowOf(*r); ok && g.Package != nil && *g.Package == s.Package {
				f.items[r.ID] = true
			}
			return false
		}
		if err := d.accounts(f, find, nil); err != nil {
			return err
		}
	}
	named := false
	want := func(r *record.Record) bool {
		switch {
		case r.At.After(s.At) && !s.At.IsZero():
			return false
		case r.Collection == proof.Gaps:
			return f.misses(r)
		case r.Collection == proof.Manifests:
			return proof.Concerns(r, s)
		}
		return f.items[r.ID] && (s.Package == "" || r.Collection == goods)
	}
	err := d.accounts(f, want, func(a *record.Account) error {
		named = named || a.Record.Collection != proof.Gaps
		f.accounts = append(f.accounts, a)
		return nil
	})
	if err != nil {
		return err
	}
	sort.Slice(f.accounts, func(i, j int) bool { return f.accounts[i].Seq < f.accounts[j].Seq })
	if err := d.scans(f); err != nil {
		return err
	}
	if !named && len(f.scans) == 0 { // gaps alone are about everything
		f.accounts = nil
	}
	return nil
}

// accounts reads what was exported and what is in the store. What was exported and can't be read is noted.
func (d proofDesk) accounts(f *dossier, want func(*record.Record) bool, take func(*record.Account) error) error {
	behind, err := d.store.DB.ExportedAccounts(want, take)
	if err != nil {
		note := oneLine("older evidence is missing here: " + err.Error())
		if !slices.Contains(f.Notes, note) {
			f.Notes = append(f.Notes, note)
		}
	}
	return d.store.DB.Accounts(behind, want, take)
}

// misses tells whether a gap may hide a change of the items: it is about one of them, or about no row in particular.
func (f *dossier) misses(r *record.Record) bool {
	var gap struct{ Collection, Record string }
	err := json.Unmarshal(r.Payload, &gap)
	return err == nil && (gap.Collection == "" || gap.Collection == goods) && (gap.Record == "" || f.items[gap.Record])
}

// scans finds the scans that led to the records, and those that concern the subject, as far as the time fits.
func (d proofDesk) scans(f *dossier) error {
	led, s := map[uint64]bool{}, f.Subject
	for _, a := range f.accounts {
		led[a.Scan] = true
	}
	err := d.store.Journal.Replay(func(e record.Entry) error {
		if e.Scan == nil {
			return nil
		}
		late := !s.At.IsZero() && (!e.At.Dated() || e.At.Wall.After(s.At))
		about := s.Package != "" && concerns(e, s.Package) || f.items[e.Scan.Hash] ||
			slices.ContainsFunc(e.Intents, func(i record.Intent) bool { return f.items[i.Hash] })
		if led[e.Seq] || about && !late {
			f.scans = append(f.scans, e)
		}
		return nil
	})
	if errors.Is(err, store.ErrDamaged) {
		f.Notes = append(f.Notes, oneLine("scans are missing here: "+err.Error()))
		return nil
	}
	return err
}

// write streams a file. An error comes as its last line, too late for a status.
func (d proofDesk) write(w http.ResponseWriter, f *dossier, c proof.Contents) {
	_ = d.stream(w, func(out *proof.Writer) error {
		if err := out.Header(f.Header); err != nil {
			return err
		}
		for i := range f.scans {
			if err := out.Scan(&f.scans[i]); err != nil {
				return err
			}
		}
		if f.Subject.At.IsZero() {
			if err := f.intents(out); err != nil {
				return err
			}
		}
		for _, a := range f.accounts {
			if err := out.Record(a); err != nil {
				return err
			}
		}
		return out.Contents(c)
	})
}

// intents writes what was scanned and isn't in the table.
func (f *dossier) intents(out *proof.Writer) error {
	s := f.Subject
	ours := func(i record.Intent) bool {
		return f.items[i.Hash] || s.Package != "" && (record.Same(i.Package, &s.Package) || i.May(&s.Package))
	}
	for _, i := range f.state.Open {
		if ours(i) {
			if err := out.Intent(i, record.Outcome{}); err != nil {
				return err
			}
		}
	}
	for _, p := range f.state.Parked {
		if ours(p.Intent) {
			if err := out.Intent(p.Intent, p.Outcome); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d proofDesk) stream(w http.ResponseWriter, fill func(*proof.Writer) error) error {
	buffer := bufio.NewWriterSize(patient{w}, listBuffer)
	out := proof.NewWriter(buffer)
	err := fill(out)
	if err == nil {
		err = out.End()
	} else {
		_ = json.NewEncoder(buffer).Encode(map[string]string{"error": oneLine(err.Error())})
	}
	return errors.Join(err, buffer.Flush())
}

// evidence writes all that is kept of a time: by the database's clock for records, by the station's for scans, of which those with a
// time that isn't known are all taken.
func (d proofDesk) evidence(w http.ResponseWriter, r *http.Request) error {
	h := d.header()
	for field, at := range map[string]*time.Time{"since": &h.Subject.Since, "until": &h.Subject.Until} {
		if text := r.FormValue(field); text != "" {
			var err error
			if *at, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return fmt.Errorf("export evidence: %s %q is no time", field, text)
			}
		}
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	_ = d.stream(w, func(out *proof.Writer) error { // it is said in the last line
		if err := out.Header(h); err != nil {
			return err
		}
		err := d.store.Journal.Replay(func(e record.Entry) error {
			if e.Scan == nil || e.At.Dated() && !h.Subject.Covers(e.At.Wall) {
				return nil
			}
			return out.Scan(&e)
		})
		if err != nil && !errors.Is(err, store.ErrDamaged) { // what reads is all there is; status tells of the rest
			return err
		}
		want := func(r *record.Record) bool { return h.Subject.Covers(r.At) }
		behind, err := d.store.DB.ExportedAccounts(want, out.Record)
		if err != nil {
			return err
		}
		return d.store.DB.Accounts(behind, want, out.Record)
	})
	return nil
}
