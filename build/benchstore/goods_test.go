package benchstore

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"station-agent/store/record"
	"station-agent/uplink/capture"
)

const (
	station7 = "7d6f0f0e-3b7a-4c55-9a0b-2f1f7a4f1c11"
	database = "external"
)

// morning is when the work begins.
var morning = time.Date(2026, 5, 19, 6, 0, 0, 0, time.UTC)

var names = []string{"Čokoláda hořká 70 %", "Müsli Früchte", "Żurek śląski", "Café moulu", "Tričko bílé L", "Smörgåsrån", "Olivový olej", "Kabel USB-C 2 m"}

var columns = []capture.Column{
	{Name: "hash", Kind: capture.Text}, {Name: "buylo_product_id", Kind: capture.Text}, {Name: "buylo_name", Kind: capture.Text},
	{Name: "buylo_ean", Kind: capture.Text}, {Name: "buylo_active_packing_station_uuid", Kind: capture.Text},
	{Name: "external_package_id", Kind: capture.Text}, {Name: "created_at", Kind: capture.Timestamp},
	{Name: "updated_at", Kind: capture.Timestamp},
}

// goods makes changes of Buylo's table as MariaDB logs them, a millisecond apart: inserts and updates by halves, half of
// them in transactions of one row and half in transactions of a hundred. The same seed makes the same changes.
type goods struct {
	table  *capture.Table
	random *rand.Rand
	here   int // if set, only the first rows change, which are on this station
	made   int // changes
	items  int // rows inserted
	tx     uint64
	rows   map[int]record.Row // as the bench sees them, if here is set
}

func newGoods(here int) *goods {
	table, err := capture.NewTable(capture.Buylo(database), columns)
	if err != nil {
		panic(err) // the columns above are Buylo's
	}
	return &goods{table: table, random: rand.New(rand.NewPCG(7, 19)), here: here, items: max(here, 1), tx: 180_000, rows: map[int]record.Row{}}
}

func hashOf(item int) string {
	sum := md5.Sum(fmt.Appendf(nil, "item %d", item))
	return hex.EncodeToString(sum[:])
}

// row is the item as the table holds it after the n-th change.
func (g *goods) row(item int, at time.Time) (row []any, seen record.Row) {
	hash := hashOf(item)
	digits := binaryDigits(hash)
	ean := "859" + digits[:10]
	place := station7
	if g.here == 0 {
		place = fmt.Sprintf("%s-3b7a-4c55-9a0b-2f1f7a4f1c11", hashOf(-item % 40)[:8])
	}
	pkg := fmt.Sprintf("PKG-2026-%06d", g.tx%1_000_000/8)
	created := morning.Add(-time.Duration(item%86_400) * time.Second)
	seen = record.Row{Hash: hash, EAN: ean, Name: names[item%len(names)], Package: &pkg}
	return []any{hash, "P-" + digits[10:18], seen.Name, ean, place, pkg, created.Format(time.DateTime), at.Format(time.DateTime)}, seen
}

// binaryDigits makes 18 decimal digits of a hash.
func binaryDigits(hash string) string {
	n, _ := strconv.ParseUint(hash[:15], 16, 64) // 15 hexadecimal digits always fit
	return fmt.Sprintf("%018d", n)
}

// change makes the next record.
func (g *goods) change() record.Record {
	phase, ordinal := g.made%400, 0
	if phase >= 200 {
		ordinal = phase % 100
	}
	if ordinal == 0 {
		g.tx++
	}
	at := morning.Add(time.Duration(g.made) * time.Millisecond).Truncate(time.Second)
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
		g.rows[item] = seen
	}
	payload, err := g.table.AppendPayload(make([]byte, 0, 400), row)
	if err != nil {
		panic(err) // every column is text
	}
	return record.Record{
		Database: database, Collection: g.table.Collection(), ID: seen.Hash, Op: op, At: at, Payload: payload,
		Version: strconv.FormatInt(at.UnixMicro()+int64(g.tx%1e6), 10),
		Key:     fmt.Sprintf("b:0-1-%d/%d/%d", g.tx, at.UnixMicro(), ordinal),
	}
}

// group makes the next n changes with the position behind them.
func (g *goods) group(n int) record.Group {
	var group record.Group
	for range n {
		group.Records = append(group.Records, g.change())
	}
	group.Position = record.Position{Flavor: "mariadb", Server: "1", GTID: fmt.Sprintf("0-1-%d", g.tx), At: group.Records[n-1].At}
	return group
}

// shadow lists the rows that the records leave, once each.
func shadow(records []record.Record) (rows []record.ShadowRow) {
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

// hashing is how the service makes its hash of a record.
type hashing func(record.Record) string

// digest is how the stand-in does it: SHA-256 over the payload.
func digest(r record.Record) string {
	sum := sha256.Sum256(r.Payload)
	return hex.EncodeToString(sum[:])
}

// opaque is a hash that nobody can work out from the payload.
func opaque(r record.Record) string {
	sum := sha256.Sum256(append([]byte("salt "+r.Key), r.Payload...))
	return hex.EncodeToString(sum[:])
}

// accept answers a request as the service does. Without a hash it says no more than that all is taken.
func accept(head []record.Queued, at time.Time, hash hashing) []record.Delivery {
	list := make([]record.Delivery, len(head))
	for i, q := range head {
		list[i] = record.Delivery{Seq: q.Seq, Receipt: &record.Receipt{}}
		if hash != nil {
			list[i].Receipt.Hash = hash(q.Record)
			list[i].Receipt.AcceptedAt = at.Add(time.Duration(i/100) * time.Millisecond).Truncate(time.Millisecond)
		}
	}
	return list
}

// anchored answers verifications as the stand-in does.
func anchored(due []record.Unproven, hash hashing) []record.Look {
	list := make([]record.Look, len(due))
	for i, u := range due {
		h := hash(u.Record)
		text, err := json.Marshal(map[string]any{
			"verified": true, "verificationStatus": "pass", "reasonCategory": "verified_anchored", "anchoredOnChain": true,
			"snapshotHash": h, "computedPayloadHash": h,
		})
		if err != nil {
			panic(err) // strings and booleans can't fail
		}
		list[i] = record.Look{Seq: u.Seq, State: record.Anchored, Answer: append(text, '\n')}
	}
	return list
}
