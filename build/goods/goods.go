// Package goods makes a workload for benchmarks: changes of Buylo's table as capture makes records of them, the same ones for the
// same number.
package goods

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

// Station is where the changes happen, Database the schema of the table.
const (
	Station  = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"
	Database = "external"
)

// Morning is when the work begins.
var Morning = time.Date(2026, 5, 19, 6, 0, 0, 0, time.UTC)

var names = []string{"Čokoláda hořká 70 %", "Müsli Früchte", "Żurek śląski", "Café moulu", "Tričko bílé L", "Smörgåsrån", "Olivový olej", "Kabel USB-C 2 m"}

var columns = []capture.Column{
	{Name: "hash", Kind: capture.Text}, {Name: "buylo_product_id", Kind: capture.Text}, {Name: "buylo_name", Kind: capture.Text},
	{Name: "buylo_ean", Kind: capture.Text}, {Name: "buylo_active_packing_station_uuid", Kind: capture.Text},
	{Name: "external_package_id", Kind: capture.Text}, {Name: "created_at", Kind: capture.Timestamp},
	{Name: "updated_at", Kind: capture.Timestamp},
}

// Name is what an item is called.
func Name(item int) string { return names[item%len(names)] }

// Goods makes changes of Buylo's table as MariaDB logs them, a millisecond apart: inserts and updates by halves, half of
// them in transactions of one row and half in transactions of a hundred. The same seed makes the same changes.
type Goods struct {
	table  *capture.Table
	random *rand.Rand
	here   int // if set, only the first rows change, which are on this station
	made   int // changes
	items  int // rows inserted
	tx     uint64

	Rows map[int]record.Row // as the bench sees them, if here is set
}

// New begins anew. If here is not 0, only that many rows change.
func New(here int) *Goods {
	table, err := capture.NewTable(capture.Buylo(Database), columns)
	if err != nil {
		panic(err) // the columns above are Buylo's
	}
	return &Goods{table: table, random: rand.New(rand.NewPCG(7, 19)), here: here, items: max(here, 1), tx: 180_000, Rows: map[int]record.Row{}}
}

// Hash names the row of an item.
func Hash(item int) string {
	sum := md5.Sum(fmt.Appendf(nil, "item %d", item))
	return hex.EncodeToString(sum[:])
}

// row is the item as the table holds it after the n-th change.
func (g *Goods) row(item int, at time.Time) (row []any, seen record.Row) {
	hash := Hash(item)
	digits := Digits(hash)
	ean := "859" + digits[:10]
	place := Station
	if g.here == 0 {
		place = fmt.Sprintf("%s-3b7a-4c55-9a0b-2f1f7a4f1c11", Hash(-item % 40)[:8])
	}
	pkg := fmt.Sprintf("PKG-2026-%06d", g.tx%1_000_000/8)
	created := Morning.Add(-time.Duration(item%86_400) * time.Second)
	seen = record.Row{Hash: hash, EAN: ean, Name: Name(item), Package: &pkg}
	return []any{hash, "P-" + digits[10:18], seen.Name, ean, place, pkg, created.Format(time.DateTime), at.Format(time.DateTime)}, seen
}

// Digits makes 18 decimal digits of a hash.
func Digits(hash string) string {
	n, _ := strconv.ParseUint(hash[:15], 16, 64) // 15 hexadecimal digits always fit
	return fmt.Sprintf("%018d", n)
}

// Change makes the next record.
func (g *Goods) Change() record.Record {
	phase, ordinal := g.made%400, 0
	if phase >= 200 {
		ordinal = phase % 100
	}
	if ordinal == 0 {
		g.tx++
	}
	at := Morning.Add(time.Duration(g.made) * time.Millisecond).Truncate(time.Second)
	g.made++
	op, item := record.Update, 0
	switch {
	case g.here > 0:
		item = g.random.IntN(g.here)
	case phase/100%2 == 0:
		op, item = record.Insert, g.items
		g.items++
	default:
		item = g.random.IntN(g.items)
	}
	row, seen := g.row(item, at)
	if g.here > 0 {
		g.Rows[item] = seen
	}
	payload, err := g.table.AppendPayload(make([]byte, 0, 400), row)
	if err != nil {
		panic(err) // every column is text
	}
	return record.Record{
		Database: Database, Collection: g.table.Collection(), ID: seen.Hash, Op: op, At: at, Payload: payload,
		Version: strconv.FormatInt(at.UnixMicro()+int64(g.tx%1e6), 10),
		Key:     fmt.Sprintf("b:0-1-%d/%d/%d", g.tx, at.UnixMicro(), ordinal),
	}
}

// Group makes the next n changes with the position behind them.
func (g *Goods) Group(n int) record.Group {
	var group record.Group
	for range n {
		group.Records = append(group.Records, g.Change())
	}
	group.Position = record.Position{Flavor: "mariadb", Server: "1", GTID: fmt.Sprintf("0-1-%d", g.tx), At: group.Records[n-1].At}
	return group
}

// Shadow lists the rows that the records leave, once each.
func Shadow(records []record.Record) (rows []record.ShadowRow) {
	place := map[string]int{}
	for _, r := range records {
		row := record.ShadowRow{Collection: r.Collection, ID: r.ID, Version: r.Version, Payload: r.Payload}
		if n, twice := place[r.ID]; twice {
			rows[n] = row
			continue
		}
		place[r.ID] = len(rows)
		rows = append(rows, row)
	}
	return rows
}
