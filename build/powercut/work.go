package powercut

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"station-agent/store"
	"station-agent/store/record"
)

// rest is more than the store may take to write what it writes lazily, and to look for files that can go.
const rest = 12 * time.Second

// Work does the steps with a store in dir and calls done after each.
func Work(dir string, steps []Step, done func() error) error {
	if err := os.MkdirAll(filepath.Join(dir, "export"), 0o700); err != nil {
		return err
	}
	w := worker{dir: dir}
	for _, s := range steps {
		if err := w.do(s); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		if err := done(); err != nil {
			return err
		}
	}
	return nil
}

// worker is one who works with a store.
type worker struct {
	dir   string
	days  int
	store *store.Store
	stop  func() error // ends Run
}

func (w *worker) do(s Step) error {
	switch s.Act {
	case Open:
		return w.open()
	case Close:
		return w.close()
	case Rest:
		<-time.After(rest) // nothing says when the store has written
		return nil
	case Days:
		w.days += 40
		return nil
	case Scan:
		_, err := w.store.Journal.Append(scan(s.From))
		return err
	case Settle, Park, Dismiss:
		return w.store.Journal.Settle(outcome(s.Act, s.From))
	case Put:
		return w.store.DB.Put(group(s.From, s.To))
	case Picture:
		return w.store.DB.SavePicture(store.Picture{Rows: picture(s.From), At: begin()})
	case Map:
		_, err := w.store.ImportMap(tags(s.From))
		return err
	case Accept, Refuse:
		return w.deliver(s)
	case Look, Anchor:
		return w.look(s)
	default:
		return w.person(s)
	}
}

func (w *worker) open() (err error) {
	if w.store, err = store.Open(Config(w.dir, &w.days)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.store.Run(ctx) }()
	w.stop = func() error {
		cancel()
		return <-ended
	}
	return nil
}

func (w *worker) close() error {
	if err := w.stop(); err != nil {
		return err
	}
	return w.store.Close()
}

// deliver tells the store what became of queued records.
func (w *worker) deliver(s Step) error {
	var deliveries []record.Delivery
	err := w.store.DB.Waiting(func(q record.Queued) error {
		n := number(q.Record)
		if n < s.From || n >= s.To {
			return nil
		}
		d := record.Delivery{Seq: q.Seq, Refusal: "no"}
		if s.Act == Accept {
			r := receipt(n)
			d = record.Delivery{Seq: q.Seq, Receipt: &r}
		}
		deliveries = append(deliveries, d)
		return nil
	})
	if err != nil {
		return err
	}
	if len(deliveries) != s.To-s.From {
		return fmt.Errorf("only %d of them wait", len(deliveries))
	}
	return w.store.DB.Settle(deliveries)
}

// look tells the store what a verification said of records in the ledger.
func (w *worker) look(s Step) error {
	due, _, err := w.store.DB.Due(never(), 1<<20)
	if err != nil {
		return err
	}
	var looks []record.Look
	for _, u := range due {
		n := number(u.Record)
		if n < s.From || n >= s.To {
			continue
		}
		l := record.Look{Seq: u.Seq, State: record.Pending, Due: begin().Add(time.Hour), Answer: answer(n)}
		if s.Act == Anchor {
			l.State = record.Anchored
		}
		looks = append(looks, l)
	}
	if len(looks) != s.To-s.From {
		return fmt.Errorf("only %d of them are in the ledger", len(looks))
	}
	return w.store.DB.Look(looks)
}

// person does to refused records what a person says.
func (w *worker) person(s Step) error {
	var seqs []uint64
	err := w.store.DB.DeadLetters(func(d store.DeadLetter) error {
		if n := number(d.Record); n >= s.From && n < s.To {
			seqs = append(seqs, d.Seq)
		}
		return nil
	})
	if err != nil {
		return err
	}
	act := w.store.DB.Retry
	if s.Act == Drop {
		act = w.store.DB.Drop
	}
	n, err := act(seqs...)
	if err == nil && n != s.To-s.From {
		err = fmt.Errorf("only %d of them were refused", n)
	}
	return err
}

// number is the number of a record of the script, -1 for another.
func number(r record.Record) int {
	n, err := strconv.Atoi(r.Version)
	if err != nil {
		return -1
	}
	return n
}
