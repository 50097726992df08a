package benchcapture

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"station-agent/build/bed"
	"station-agent/build/benchcapture/race"
	"station-agent/build/servers"
	"station-agent/build/sheet"
)

const (
	pace       = 10 * time.Millisecond // from change to change
	steadyRows = 1000                  // each changes every ten seconds
	changeName = "change "
	patience   = time.Minute // for what is on its way when the changes end
)

// steady makes changes at a steady pace, each with a name of its own, and notes what of it came and when: at the agent with its
// default configuration, and at the guide's poller.
func (f *figures) steady(binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), f.extent.steady+5*time.Minute)
	defer cancel()
	db := servers.MariaDB(f)
	site, err := bed.New(ctx, bed.Options{Agent: binary, Dir: f.TempDir(), DB: db, Broker: servers.Broker(f)})
	if err != nil {
		return err
	}
	defer site.Close()
	t := newTable(ctx, f, db, steadyRows)
	if err := startAgent(ctx, site, t); err != nil {
		return err
	}
	p := newPoller(db.Addr)
	polling, stop := context.WithCancel(ctx)
	polled := make(chan error, 1)
	go func() { polled <- p.run(polling) }()
	time.Sleep(3 * pollEvery)
	commits := t.rename(int(f.extent.steady / pace))
	took := commits[len(commits)-1].Sub(commits[0])
	f.Note("steady.changes_per_s", float64(len(commits)-1)/took.Seconds(), "changes/s")
	arrivals := awaitAll(site, len(commits))
	stop()
	if err := <-polled; err != nil {
		return err
	}
	f.noteSteady(commits, arrivals, p.sink.came(len(commits)))
	return nil
}

// startAgent starts it with its own defaults where the bed has others, and waits until it has recorded the rows as they are.
func startAgent(ctx context.Context, site *bed.Bed, t *table) error {
	for _, op := range []string{"insert", "update", "delete"} { // the audit's own: there is another account here
		t.exec("DROP TRIGGER `external`.audit_" + op)
	}
	site.Config.Linger, site.Config.Refresh = race.Linger.String(), "1s"
	if err := site.WriteConfig(); err != nil {
		return err
	}
	if err := site.Agent.Start(); err != nil {
		return err
	}
	if err := site.Ready(ctx, "mysql"); err != nil {
		return err
	}
	for site.Cloud.Counts().Records < steadyRows {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the rows as they are: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// rename makes n changes and gives the times at which the server had committed them.
func (b *table) rename(n int) []time.Time {
	b.t.Helper()
	stmt, err := b.Root().PrepareContext(b.ctx, "UPDATE `external`.buylo_products SET buylo_name = ? WHERE hash = ?")
	must(b.t, err)
	defer stmt.Close()
	commits := make([]time.Time, n)
	began := time.Now()
	for i := range commits {
		time.Sleep(time.Until(began.Add(time.Duration(i) * pace)))
		_, err := stmt.ExecContext(b.ctx, changeName+strconv.Itoa(i), bed.Hash(i%steadyRows))
		must(b.t, err)
		commits[i] = time.Now()
	}
	return commits
}

// awaitAll gives the times at which changes arrived in Certyo's place, once all n are there or patience has ended.
func awaitAll(site *bed.Bed, n int) map[int][]time.Time {
	for end := time.Now().Add(patience); ; time.Sleep(250 * time.Millisecond) {
		arrivals := map[int][]time.Time{}
		for _, r := range site.Cloud.Records() {
			var row struct {
				Name string `json:"buylo_name"`
			}
			if json.Unmarshal(r.Payload, &row) != nil {
				continue // it is lost then
			}
			if i, ok := changeOf(row.Name); ok {
				arrivals[i] = append(arrivals[i], r.At)
			}
		}
		if len(arrivals) >= n || time.Now().After(end) {
			return arrivals
		}
	}
}

// changeOf reads the number of a change.
func changeOf(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, changeName)
	i, err := strconv.Atoi(number)
	return i, ok && err == nil
}

func (f *figures) noteSteady(commits []time.Time, arrivals map[int][]time.Time, polled int) {
	lost, doubled := 0, 0
	var waits []float64
	for i, at := range commits {
		came := arrivals[i]
		if len(came) == 0 {
			lost++
			continue
		}
		doubled += len(came) - 1
		waits = append(waits, float64(came[0].Sub(at).Microseconds())/1e3)
	}
	f.Note("steady.commit_to_post_p50_ms", sheet.Median(waits), "ms")
	f.Note("steady.commit_to_post_p99_ms", sheet.Quantile(waits, 0.99), "ms")
	f.Note("steady.poller_lost", 100*float64(len(commits)-polled)/float64(len(commits)), "%")
	f.Note("steady.doubled", float64(doubled), "records")
	f.Note("steady.lost", float64(lost), "changes")
}
