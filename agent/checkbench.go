package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station-agent/station"
	"station-agent/uplink/mysql"
)

// What a look at the bench may come to.
const (
	benchPass      = "pass"
	benchNothing   = "nothing"       // neither the reader nor the table saw a tag
	benchSwapped   = "another UUID"  // the tag lies here, and the table says that it lies elsewhere
	benchNoRow     = "no row"        // the reader saw it, the table didn't
	benchBlind     = "reader blind"  // the table has it, no reader saw it
	benchTooMany   = "more than one" // tags
	mostPlaced     = 20_000          // rows on all stations together
	placedTime     = 5 * time.Second // to read them
	benchLookEvery = 500 * time.Millisecond
)

// benchFacts are what was seen from the moment when the tag was asked for.
type benchFacts struct {
	Station string      `json:"station"`
	WithinS float64     `json:"within_s"`
	Reads   []sighting  `json:"reads"`             // codes that came
	Own     []string    `json:"rows"`              // hashes of rows that gained this station's UUID
	Others  []placedRow `json:"others"`            // rows that gained another one's
	Blind   string      `json:"blind,omitempty"`   // why the others can't be seen
	Trouble []string    `json:"trouble,omitempty"` // what the agent says of its readers
}

// placedRow is a row that a station observes.
type placedRow struct {
	Hash    string `json:"hash"`
	Station string `json:"station"`
}

// benchResult is what they come to.
type benchResult struct {
	benchFacts
	Passed  bool   `json:"passed"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
	Advice  string `json:"advice,omitempty"`
}

// judge is a function of the facts: exactly one tag is to be seen on either side.
func (f benchFacts) judge() benchResult {
	r := benchResult{benchFacts: f}
	most := 0
	for _, s := range f.Reads {
		n := 0
		for _, o := range f.Reads {
			if o.Reader == s.Reader {
				n++
			}
		}
		most = max(most, n)
	}
	tell := func(verdict, text, advice string) benchResult {
		r.Verdict, r.Text, r.Advice = verdict, text, advice
		return r
	}
	switch rows := len(f.Own); {
	case most > 1 || rows > 1:
		return tell(benchTooMany, fmt.Sprintf("%d rows gained this station's UUID, and a reader saw %d codes", rows, most),
			"lay one tag on the table, with no other goods near it, and try again; if it was one, the antenna reaches too far")
	case most == 1 && rows == 1:
		r.Passed = true
		return tell(benchPass, fmt.Sprintf("%s saw %s, and row %s gained this station's UUID", f.Reads[0].Reader, quoted(f.Reads[0]), f.Own[0]), "")
	case most == 1 && len(f.Others) > 0:
		return tell(benchSwapped, fmt.Sprintf("%s saw %s, but no row gained this station's UUID %s; %s", f.Reads[0].Reader, quoted(f.Reads[0]), f.Station, f.others()),
			f.swapped())
	case most == 1:
		return tell(benchNoRow, fmt.Sprintf("%s saw %s, but no row gained this station's UUID %s", f.Reads[0].Reader, quoted(f.Reads[0]), f.Station),
			"ask Buylo whether its antenna at this table works, whether the tag is registered, and which UUID the table has; "+
				"a tag that lay there before has to be taken away first"+f.unseen())
	case rows == 1:
		return tell(benchBlind, fmt.Sprintf("row %s gained this station's UUID, but no reader of this machine saw anything", f.Own[0]),
			"see whether the reader has power, is plugged in and is the device that [[reader]] names (station-agent status)")
	case len(f.Others) > 0:
		return tell(benchNothing, "no reader saw anything and no row gained this station's UUID; "+f.others(),
			"if the tag was laid on this table, reader and UUID are both wrong; else try again")
	}
	return tell(benchNothing, "no reader saw anything and no row gained this station's UUID", "lay one tag on the table while it waits, and try again"+f.unseen())
}

func quoted(s sighting) string {
	if s.Bad != "" {
		return "something unreadable (" + s.Bad + ")"
	}
	return fmt.Sprintf("%q", s.Code)
}

// others names the rows that went elsewhere.
func (f benchFacts) others() string {
	var list []string
	for _, o := range f.Others[:min(5, len(f.Others))] {
		list = append(list, fmt.Sprintf("row %s gained %s", o.Hash, o.Station))
	}
	if more := len(f.Others) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more rows", more))
	}
	return strings.Join(list, ", ")
}

// swapped is what to do if a row went to another UUID.
func (f benchFacts) swapped() string {
	for _, o := range f.Others {
		if strings.EqualFold(o.Station, f.Station) {
			return "the two differ in capital letters only: Buylo has to write the UUID in small letters, as station.uuid is"
		}
	}
	return fmt.Sprintf("if nobody laid anything on another table meanwhile, the UUIDs are swapped, and goods would be packed by the wrong station: "+
		"set station.uuid to %s here if this is that station's table, and check the other one; else ask Buylo which table has which UUID", f.Others[0].Station)
}

func (f benchFacts) unseen() string {
	if f.Blind == "" {
		return ""
	}
	return "; whether a row gained another station's UUID can't be seen (" + f.Blind + ")"
}

// benchLook watches the bench while a person lays a tag on the table.
type benchLook struct {
	agentAt
	cfg    *config
	within time.Duration
	asked  func(text string) // tells the person
}

// run refuses a bench that is being worked at: the tag would join the package.
func (b benchLook) run(ctx context.Context) (benchResult, error) {
	s, _, err := b.status(ctx)
	switch {
	case errors.Is(err, errAway):
		return benchResult{}, fmt.Errorf("check bench: %w It has to run for this: start it and try again", err)
	case err != nil:
		return benchResult{}, err
	case s.Station != b.cfg.Station.UUID:
		return benchResult{}, fmt.Errorf("check bench: the agent that runs is station %s, and the configuration says %s: restart it", s.Station, b.cfg.Station.UUID)
	case s.OpenPackage != "" || s.OpenItems > 0:
		return benchResult{}, fmt.Errorf("check bench: %s: close it first, as the tag would join it", s.packing())
	case !s.Online:
		return benchResult{}, errors.New("check bench: the agent has not read the rows just now: see station-agent check network")
	}
	f := benchFacts{Station: s.Station, WithinS: b.within.Seconds()}
	for _, p := range s.Problems {
		if strings.HasPrefix(p.Name, "reader ") {
			f.Trouble = append(f.Trouble, p.Name+": "+p.Text)
		}
	}
	r, err := b.watch(ctx, f)
	if s, _, again := b.status(ctx); again == nil && s.OpenItems > 0 {
		r.Advice = strings.TrimPrefix(r.Advice+"; ", "; ") + "the tag was gathered as an item to pack: scan the command cancel"
	}
	return r, err
}

// watch compares what the agent and the table say before and after.
func (b benchLook) watch(ctx context.Context, f benchFacts) (benchResult, error) {
	here, err := b.here(ctx)
	if err != nil {
		return benchResult{}, err
	}
	placed, blind := b.placed(ctx)
	began := time.Now()
	b.asked(fmt.Sprintf("Lay ONE tag on the table of station %s (%s) now%s. Waiting %v …", b.cfg.Station.Name, f.Station, b.also(), b.within))
	gained, err := b.gains(ctx, here, began)
	if err != nil {
		return benchResult{}, err
	}
	after := map[string]string{}
	if blind == nil {
		after, blind = b.placed(ctx)
	}
	if blind != nil {
		f.Blind = oneLine(blind.Error())
	}
	for hash, at := range after {
		switch {
		case placed[hash] == at:
		case at == f.Station:
			gained[hash] = true
		default:
			f.Others = append(f.Others, placedRow{hash, at})
		}
	}
	f.Own = slices.Sorted(maps.Keys(gained))
	sort.Slice(f.Others, func(i, k int) bool { return f.Others[i].Hash < f.Others[k].Hash })
	f.Reads, err = b.cameSince(ctx, began)
	return f.judge(), err
}

// also is what a station without a reader of tags asks for, so that some reader sees something.
func (b benchLook) also() string {
	if slices.ContainsFunc(b.cfg.Readers, func(r readerConfig) bool { return r.Kind == string(station.RFID) }) {
		return ""
	}
	return ", and hold its code before the scanner"
}

// gains gives the rows that came to the station, as the bench knows them, until the time is over.
func (b benchLook) gains(ctx context.Context, before map[string]bool, began time.Time) (map[string]bool, error) {
	gained := map[string]bool{}
	for left := b.within; left > 0; left = b.within - time.Since(began) {
		select {
		case <-time.After(min(left, benchLookEvery)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now, err := b.here(ctx)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(now, func(hash string, _ bool) bool { return before[hash] })
		maps.Copy(gained, now)
	}
	return gained, nil
}

// here are the rows on the station as the bench knows them.
func (b benchLook) here(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	res, err := b.request(ctx, http.MethodGet, "/items", nil)
	if err != nil {
		return nil, err
	}
	hashes := map[string]bool{}
	err = eachLine(res.Body, func(i item) error {
		hashes[i.Hash] = true
		return nil
	})
	return hashes, errors.Join(err, res.Body.Close())
}

// cameSince gives the codes that came to a reader since began.
func (b benchLook) cameSince(ctx context.Context, began time.Time) ([]sighting, error) {
	body, err := b.ask(ctx, http.MethodGet, "/reads", nil)
	var list []sighting
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("check bench: ask what the readers saw: %w", err)
	}
	ago := (time.Since(began) + time.Millisecond).Seconds() // the times are rounded to that
	return slices.DeleteFunc(list, func(s sighting) bool { return s.CameS > ago }), nil
}

// placed gives the station of every row that is on one, by the table itself and with the account of [mysql].
func (b benchLook) placed(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, placedTime)
	defer cancel()
	m, err := b.cfg.mysqlAs(b.cfg.MySQL.User, b.cfg.MySQL.PasswordFile)
	if err != nil {
		return nil, err
	}
	m.Next, m.MaxConns = b.cfg.MySQL.next(m.User, b.cfg.MySQL.PasswordFile), 1
	db, err := mysql.Open(m)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT hash, buylo_active_packing_station_uuid FROM `%s`.buylo_products "+
		"WHERE buylo_active_packing_station_uuid IS NOT NULL LIMIT %d", b.cfg.MySQL.Schema, mostPlaced+1))
	if err != nil {
		return nil, mysql.Explain(err)
	}
	defer rows.Close()
	at := map[string]string{}
	for rows.Next() {
		var hash, station string
		if err := rows.Scan(&hash, &station); err != nil {
			return nil, mysql.Explain(err)
		}
		at[hash] = station
	}
	if len(at) > mostPlaced {
		return nil, fmt.Errorf("more than %d rows are on stations: they are not compared", mostPlaced)
	}
	return at, mysql.Explain(rows.Err())
}

// checkBench is check --bench.
func checkBench(cmd *cobra.Command, b benchLook, asJSON bool) error {
	out := cmd.OutOrStdout()
	b.asked = func(text string) {
		if asJSON {
			fmt.Fprintln(cmd.ErrOrStderr(), oneLine(text))
			return
		}
		fmt.Fprintln(out, oneLine(text))
	}
	r, err := b.run(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(out, r)
	} else {
		for _, t := range r.Trouble {
			fmt.Fprintln(out, "  ", oneLine(t))
		}
		fmt.Fprintln(out, oneLine(map[bool]string{true: "PASS: ", false: "FAULT: "}[r.Passed]+r.Text))
		if r.Advice != "" {
			fmt.Fprintln(out, "  →", oneLine(r.Advice))
		}
	}
	if err == nil && !r.Passed {
		err = fmt.Errorf("check bench: %s", r.Verdict)
	}
	return err
}
