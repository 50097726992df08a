package model

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// item is one row as the bridge knows it.
type item struct {
	hash, ean string
	at        int // the station that it is on, or nowhere
}

const nowhere = -1

// units of one product carry the same EAN.
const units = 3

// world is the table and those who write it besides the stations.
type world struct {
	root  *sql.DB
	began time.Time

	mu     sync.Mutex
	items  []item // in the table
	locked []item // that somebody holds at this moment
	gone   []item // deleted, and not made again yet
	made   int
	counts map[string]int
}

func newWorld(root *sql.DB, r *rand.Rand) *world {
	return &world{root: root, began: time.Now(), made: r.IntN(1_000_000) * 1000, counts: map[string]int{}}
}

// newItem is one more item: its hash tells nothing of it.
func (w *world) newItem(at int) item {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return item{hashOf(w.made), eanOf(w.made / units), at}
}

func hashOf(n int) string {
	sum := md5.Sum(fmt.Appendf(nil, "item %d", n))
	return hex.EncodeToString(sum[:])
}

// eanOf is a right EAN-13.
func eanOf(n int) string {
	digits := fmt.Sprintf("859%09d", n%1_000_000_000)
	sum := 0
	for i, d := range digits {
		sum += int(d-'0') * (1 + 2*(i%2))
	}
	return digits + fmt.Sprint((10-sum%10)%10)
}

func (w *world) fill(ctx context.Context, n int) error {
	for i := range n {
		if err := w.insert(ctx, w.newItem(i%stationCount)); err != nil {
			return err
		}
	}
	return nil
}

func stationUUID(at int) any {
	if at == nowhere {
		return nil
	}
	return newStation(at, "", nil, rand.New(rand.NewPCG(0, 0))).uuid
}

func (w *world) insert(ctx context.Context, i item) error {
	err := w.do(ctx, "INSERT INTO `external`.buylo_products (hash, buylo_product_id, buylo_name, buylo_ean, buylo_active_packing_station_uuid) VALUES (?, ?, ?, ?, ?)",
		i.hash, "P-"+i.ean, "Item "+i.hash[:6], i.ean, stationUUID(i.at))
	if err == nil {
		w.mu.Lock()
		w.items = append(w.items, i)
		w.mu.Unlock()
	}
	return err
}

func (w *world) do(ctx context.Context, statement string, args ...any) error {
	if _, err := w.root.ExecContext(ctx, statement, args...); err != nil && ctx.Err() == nil {
		return fmt.Errorf("play the world: %.60q: %w", statement, err)
	}
	return nil
}

// any gives a row of the table.
func (w *world) any(r *rand.Rand) item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.items[r.IntN(len(w.items))]
}

// on gives a row that is on a station, as far as the bridge knows.
func (w *world) on(station int, r *rand.Rand) (item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var here []item
	for _, i := range w.items {
		if i.at == station {
			here = append(here, i)
		}
	}
	if len(here) == 0 {
		return item{}, false
	}
	// mostly the newest: the others are packed
	return here[max(r.IntN(len(here)), r.IntN(len(here)))], true
}

// inside gives a row that is in a package, by whomever.
func (w *world) inside(ctx context.Context, label string) (hash string, there bool) {
	const one = "SELECT hash FROM `external`.buylo_products WHERE external_package_id = ? ORDER BY RAND() LIMIT 1"
	return hash, w.root.QueryRowContext(ctx, one, label).Scan(&hash) == nil
}

// shared gives a label of all stations that an item on this one is in.
func (w *world) shared(ctx context.Context, station string) (label string, there bool) {
	const one = "SELECT external_package_id FROM `external`.buylo_products WHERE buylo_active_packing_station_uuid = ? AND " +
		"CAST(external_package_id AS BINARY) LIKE 'PKG-7777%' ORDER BY RAND() LIMIT 1"
	return label, w.root.QueryRowContext(ctx, one, station).Scan(&label) == nil
}

// packed gives a row that a station packed just now.
func (w *world) packed(ctx context.Context) (hash string) {
	const one = "SELECT hash FROM `external`.buylo_products WHERE CAST(external_package_id AS BINARY) LIKE 'PKG-000%' ORDER BY updated_at DESC, RAND() LIMIT 1"
	_ = w.root.QueryRowContext(ctx, one).Scan(&hash) // there may be none
	return hash
}

func (w *world) count(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
}

const most, least = 150, 30 // rows in the table

// bridge plays Buylo's bridge: items come, go from station to station, vanish, and are made again.
func (w *world) bridge(ctx context.Context, r *rand.Rand) error {
	for pause(ctx, between(r, 10*time.Millisecond, 60*time.Millisecond)) {
		var err error
		switch n := r.IntN(100); {
		case n < 35:
			err = w.move(ctx, w.any(r), r.IntN(stationCount+1)-1)
		case n < 40:
			err = w.do(ctx, "UPDATE `external`.buylo_products SET buylo_name = ? WHERE hash = ?", fmt.Sprint("name ", n), w.any(r).hash)
		case n < 60 && len(w.items) > least:
			err = w.remove(ctx, r)
		case n < 75:
			err = w.again(ctx, r)
		case len(w.items) < most:
			err = w.insert(ctx, w.newItem(r.IntN(stationCount)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) move(ctx context.Context, i item, to int) error {
	w.count("moves")
	err := w.do(ctx, "UPDATE `external`.buylo_products SET buylo_active_packing_station_uuid = ? WHERE hash = ?", stationUUID(to), i.hash)
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.items {
		if w.items[n].hash == i.hash {
			w.items[n].at = to
		}
	}
	return err
}

func (w *world) remove(ctx context.Context, r *rand.Rand) error {
	i := w.any(r)
	w.count("deletes")
	err := w.do(ctx, "DELETE FROM `external`.buylo_products WHERE hash = ?", i.hash)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = slices.DeleteFunc(w.items, func(o item) bool { return o.hash == i.hash })
	w.gone = append(w.gone, i)
	return err
}

// again makes a deleted row again, under its hash or another one.
func (w *world) again(ctx context.Context, r *rand.Rand) error {
	w.mu.Lock()
	if len(w.gone) == 0 {
		w.mu.Unlock()
		return nil
	}
	n := r.IntN(len(w.gone))
	i := w.gone[n]
	w.gone = slices.Delete(w.gone, n, n+1)
	w.mu.Unlock()
	if r.IntN(2) == 0 {
		i.hash = w.newItem(0).hash
	}
	i.at = r.IntN(stationCount)
	w.count("re-created")
	return w.insert(ctx, i)
}

// foreign is what the second writer's packages begin with. They look like packages of a station, as they would.
const foreign = "PKG-8888-"

// write plays a second writer of the packages: it sets and clears them, and writes twins of what it finds.
func (w *world) write(ctx context.Context, r *rand.Rand) error {
	const set = "UPDATE `external`.buylo_products SET external_package_id = "
	for n := 0; pause(ctx, between(r, 30*time.Millisecond, 250*time.Millisecond)); n++ {
		hash := w.any(r).hash
		w.count("foreign")
		var err error
		switch k := r.IntN(100); {
		case k < 30:
			err = w.do(ctx, set+"? WHERE hash = ?", fmt.Sprintf("%s%05d", foreign, n), hash)
		case k < 69:
			err = w.do(ctx, set+"NULL WHERE hash = ?", hash)
		case k < 81: // which the collation takes for the same
			err = w.do(ctx, set+"CONCAT(LOWER(external_package_id), ' ') WHERE hash = ?", w.packed(ctx))
		case k < 85:
			err = w.do(ctx, set+"'' WHERE hash = ?", hash)
		case k < 90:
			err = w.do(ctx, set+"? WHERE hash = ?", w.common(r), hash)
		default:
			err = w.do(ctx, set+"? WHERE hash IN (?, ?, ?)", fmt.Sprintf("%s%05d", foreign, n), hash, w.any(r).hash, w.any(r).hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hold plays somebody who locks rows that are about to be packed, and takes his time before he decides. What a station
// writes meanwhile waits at the server, even when its connection is gone.
func (w *world) hold(ctx context.Context, r *rand.Rand) error {
	for n := 0; pause(ctx, between(r, 50*time.Millisecond, 500*time.Millisecond)); n++ {
		if err := deadlock(w.lock(ctx, r, fmt.Sprintf("%s9%04d", foreign, n))); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) holds(list []item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.locked = list
}

// held gives an item of a station that somebody holds.
func (w *world) held(station int, r *rand.Rand) (hash string, there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.locked) == 0 || w.locked[0].at != station {
		return "", false
	}
	return w.locked[r.IntN(len(w.locked))].hash, true
}

func (w *world) lock(ctx context.Context, r *rand.Rand, pkg string) error {
	tx, err := w.root.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const set = "UPDATE `external`.buylo_products SET external_package_id = ? WHERE hash = ? AND external_package_id IS NULL"
	var list []item
	station := r.IntN(stationCount)
	for range 4 {
		i, _ := w.on(station, r)
		if _, err := tx.Exec(set, pkg, i.hash); err != nil {
			return err
		}
		list = append(list, i)
	}
	w.holds(list)
	defer w.holds(nil)
	w.count("locks")
	pause(ctx, between(r, 100*time.Millisecond, 2*time.Second))
	if r.IntN(3) > 0 {
		return nil
	}
	return tx.Commit()
}

// deadlock is no error of the second writer's: it gives way.
func deadlock(err error) error {
	if err == nil || strings.Contains(err.Error(), "1213") || strings.Contains(err.Error(), "1205") {
		return nil
	}
	return fmt.Errorf("play the second writer: %w", err)
}

// rogue writes what nobody asked for under the account of a station, to see the judge say so.
func (w *world) rogue(ctx context.Context, st *station) error {
	pause(ctx, 2*time.Second)
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/", st.user, st.password(), st.db.Addr))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "UPDATE `external`.buylo_products SET external_package_id = 'PKG-0000-0666' WHERE external_package_id IS NULL LIMIT 1")
	return err
}
