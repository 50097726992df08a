package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"station-agent/uplink/capture"
	"station-agent/uplink/capture/queue"
)

// tableConfig is a table of the customer's own that is captured besides Buylo's.
type tableConfig struct {
	Schema     string   `toml:"schema"`
	Name       string   `toml:"name"`
	Key        []string `toml:"key"`
	Updated    string   `toml:"updated"`
	Station    string   `toml:"station"`
	Source     string   `toml:"source"`
	Queue      string   `toml:"queue"`
	Snapshot   string   `toml:"snapshot"`
	Database   string   `toml:"database"`
	Collection string   `toml:"collection"`
	Include    []string `toml:"include"`
	Exclude    []string `toml:"exclude"`
	Hashed     []string `toml:"hashed"`
	Watch      []string `toml:"watch"`
	Tracked    bool     `toml:"tracked"`
}

// What becomes of the rows that stand in a table when there is no place to go on from.
const (
	snapInitial = "initial"     // each is recorded at the beginning
	snapNeeded  = "when-needed" // and each once more after a gap
	snapNone    = "none"
)

// begins says so to capture. The rows are compared after a gap in any case.
func begins(spec *capture.Spec, snapshot string) *capture.Spec {
	spec.Quiet, spec.Restate = snapshot == snapNone, snapshot == snapNeeded
	return spec
}

const minEvery, maxEvery = 200 * time.Millisecond, time.Minute

func (t *tableConfig) fill() {
	if t.Source == "" {
		t.Source = byAuto
	}
	if t.Snapshot == "" {
		t.Snapshot = snapInitial
	}
}

func (t *tableConfig) spec() *capture.Spec {
	return begins(&capture.Spec{
		Schema: t.Schema, Name: t.Name, Key: t.Key, Station: t.Station, Updated: t.Updated, Database: t.Database, As: t.Collection,
		Include: t.Include, Exclude: t.Exclude, Hashed: t.Hashed, Watch: t.Watch, Tracked: t.Tracked,
	}, t.Snapshot)
}

// tables are all that is captured: Buylo's first.
func (c *config) tables() []*tracked {
	own := begins(capture.Buylo(c.MySQL.Schema), c.Capture.Snapshot)
	own.Database = c.Certyo.Database
	list := []*tracked{{Spec: own, way: c.Capture.Source}}
	for i := range c.Tables {
		t := &c.Tables[i]
		list = append(list, &tracked{Spec: t.spec(), way: t.Source, queue: t.Queue})
	}
	return list
}

func (c *config) checkCapture(r report) {
	r.oneOf("capture.source", c.Capture.Source, byAuto, byBinlog, byPoll, byNone)
	r.oneOf("capture.snapshot", c.Capture.Snapshot, snapInitial, snapNeeded, snapNone)
	r.between("capture.every", c.Capture.Every, minEvery, maxEvery)
	r.oneOf("capture.mode", c.Capture.Mode, "auto", "gtid", "position")
	r.account("capture.", c.Capture.User, c.Capture.PasswordFile)
	c.Capture.checkServerIDs(r)
	if len(c.Tables) > 0 && c.Capture.Source == byNone {
		r("capture.source", errors.New("is off, but there are [[table]]s to be captured"))
	}
	var specs []*capture.Spec
	for _, t := range c.tables() {
		specs = append(specs, t.Spec)
	}
	for i := range c.Tables {
		at := fmt.Sprintf("table[%d].", i)
		c.Tables[i].check(r, at)
		if err := capture.CheckAll(append(specs[:1:1], specs[1+i])); err != nil {
			r(at+"name", err)
		}
	}
	if err := capture.CheckAll(specs); err != nil && len(c.Tables) > 1 {
		r(fmt.Sprintf("table[%d].name", len(c.Tables)-1), err)
	}
}

func (t *tableConfig) check(r report, at string) {
	r.need(at+"schema", t.Schema)
	r.need(at+"name", t.Name)
	r.need(at+"key", strings.Join(t.Key, ""))
	r.oneOf(at+"source", t.Source, byAuto, byBinlog, byQueue, byPoll)
	if _, err := queue.ParseName(t.Queue); t.Queue != "" && err != nil {
		r(at+"queue", err)
	}
	if t.Source == byQueue && t.Queue == "" {
		r(at+"queue", errors.New("is missing: name the table that station-agent queue ddl prints"))
	}
	if t.Queue != "" && t.Station != "" {
		r(at+"queue", errors.New("has one reader, which would mark what other stations need: leave station out, or find changes another way"))
	}
	r.oneOf(at+"snapshot", t.Snapshot, snapInitial, snapNeeded, snapNone)
	t.checkTracked(r, at)
	if t.Updated == "" && t.Station == "" && t.Source == byPoll {
		r(at+"updated", errors.New("is missing: polling needs the column with the time of the last change"))
	}
}
