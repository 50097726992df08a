package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station-agent/store"
	"station-agent/store/record"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/message/messagetest"
)

// alarmed is a board with alarms over a real list of events.
type alarmed struct {
	*alarms
	t    *testing.T
	dir  string
	st   *store.Store
	stop func()
}

func stampNow() record.Stamp { return record.Stamp{Boot: "b", Wall: time.Now(), Trusted: true} }

func openAlarmed(t *testing.T, dir string) *alarmed {
	t.Helper()
	st, err := store.Open(store.Config{Dir: dir, Identity: store.Identity{Environment: "test", Station: "s", Database: "d"}, Now: stampNow, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	return &alarmed{t: t, dir: dir, st: st}
}

// run begins alarms in the bubble of a test.
func (a *alarmed) run(t *testing.T) {
	a.t = t
	a.alarms = newAlarms(newBoard(slog.New(slog.DiscardHandler)), a.st.Events, stampNow, a.st.Session(), false)
	ctx, cancel := context.WithCancel(a.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.alarms.Run(ctx) }()
	a.stop = func() { cancel(); <-done }
}

// told gives the events that come next, as text, and holds each against its schema.
func (a *alarmed) told() (texts []string) {
	a.t.Helper()
	place := message.Place{Environment: "test", Station: "s"}
	for {
		e, ok, err := a.Next(0)
		if err != nil || !ok {
			b, _ := json.Marshal(a.standing())
			messagetest.Validate(a.t, place.Topic(message.AlarmsLeaf), b)
			return texts
		}
		b, err := json.Marshal(e)
		if err != nil {
			a.t.Fatal(err)
		}
		messagetest.Validate(a.t, place.Topic(message.EventsLeaf), b)
		late := ""
		if e.Historical {
			late = " late"
		}
		texts = append(texts, fmt.Sprintf("%d %s %s%s", e.Seq, e.Kind, e.Code, late))
		if err := a.Told(e.Seq); err != nil {
			a.t.Fatal(err)
		}
	}
}

// want compares what is told.
func (a *alarmed) want(texts ...string) {
	a.t.Helper()
	synctest.Wait()
	if got := a.told(); strings.Join(got, "; ") != strings.Join(texts, "; ") {
		a.t.Errorf("told %q, want %q", got, texts)
	}
}

func TestAlarmsAreRaisedAndClearedOnce(t *testing.T) {
	a := openAlarmed(t, t.TempDir())
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.run(t)
		mysql, mat := a.board.condition("mysql"), a.board.condition("reader mat")
		a.want("1 once agent_started")
		mat.Lost(errors.New("unplugged"))
		time.Sleep(3 * time.Second)
		mat.Back() // nobody's business
		mysql.Lost(soon{errors.New("away"), time.Hour})
		time.Sleep(4 * time.Second)
		a.want()
		if list := a.standing(); len(list.Alarms) != 0 || list.Alarms == nil || list.Session != 1 {
			t.Errorf("%+v", list)
		}
		time.Sleep(3 * time.Second)
		mysql.Lost(errors.New("still away"))
		time.Sleep(2 * time.Second)
		a.want("2 raised mysql_away")
		list := a.standing()
		if len(list.Alarms) != 1 || list.Seq != 2 || list.Alarms[0].Text != "still away" || list.Alarms[0].Count != 2 || list.Alarms[0].Hint == "" {
			t.Errorf("%+v", list)
		}
		mysql.Back()
		time.Sleep(20 * time.Second)
		mysql.Lost(errors.New("once more"))
		time.Sleep(10 * time.Second)
		mysql.Back()
		time.Sleep(25 * time.Second)
		a.want()
		if list := a.standing(); len(list.Alarms) != 1 || !list.Alarms[0].Since.Before(time.Now().Add(-time.Minute)) {
			t.Errorf("not calm yet: %+v", list)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		e, _, _ := a.Next(0)
		if !strings.Contains(e.Text, "came 2 times") || !strings.Contains(e.Text, "once more") {
			t.Errorf("%q", e.Text)
		}
		a.want("3 cleared mysql_away")
		if list := a.standing(); len(list.Alarms) != 0 || list.Seq != 3 {
			t.Errorf("%+v", list)
		}
		a.stop()
		a.want("4 once agent_stopped")
	})
}

// A reader that flaps all day is a few events, and the fleet is told how often it came.
func TestWhatFlapsIsOneAlarm(t *testing.T) {
	a := openAlarmed(t, t.TempDir())
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.run(t)
		mat := a.board.condition("reader mat")
		for range 900 { // an hour
			mat.Lost(errors.New("unplugged"))
			time.Sleep(2 * time.Second)
			mat.Back()
			time.Sleep(2 * time.Second)
		}
		a.want("1 once agent_started late", "2 raised reader_lost late")
		time.Sleep(time.Minute)
		a.want("3 cleared reader_lost late")
		// Now and then: each time calm has to last longer.
		cleared := 0
		for range 60 { // two hours
			mat.Lost(errors.New("unplugged"))
			time.Sleep(20 * time.Second)
			mat.Back()
			time.Sleep(100 * time.Second)
			synctest.Wait()
			for _, text := range a.told() {
				if strings.Contains(text, "cleared") {
					cleared++
				}
			}
		}
		if cleared < 1 || cleared > 8 {
			t.Errorf("cleared %d times in two hours", cleared)
		}
		a.stop()
	})
}

// However many things go wrong at a time and again, the number of events a minute is bounded.
func TestEventsAMinuteAreBounded(t *testing.T) {
	a := openAlarmed(t, t.TempDir())
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.run(t)
		var conds []*condition
		for n := range 100 {
			conds = append(conds, a.board.condition(fmt.Sprintf("reader %d", n)))
		}
		for range 10 {
			for _, c := range conds {
				c.Lost(errors.New("unplugged"))
			}
			time.Sleep(time.Minute)
			for _, c := range conds {
				c.Back()
			}
			time.Sleep(time.Minute)
		}
		synctest.Wait() // a look in the midst of it would make room
		for range 300 {
			a.once("agent", "command_done", message.Info, "identify")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(a.told()); n < 100 || n > eventBurst+20*eventsMinute+eventBurst+1 {
			t.Errorf("%d events in twenty minutes", n)
		}
		a.stop()
	})
}

// What stood when the power failed is not raised again, and is cleared if it is over.
func TestAlarmsGoOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	a := openAlarmed(t, dir)
	synctest.Test(t, func(t *testing.T) {
		a.run(t)
		a.board.condition("mysql").Lost(errors.New("away"))
		a.board.condition("certyo").Lost(errors.New("away"))
		time.Sleep(10 * time.Second)
		a.want("1 once agent_started", "2 raised mysql_away", "3 raised certyo_away")
		a.stop()
	})
	a.st.Close()
	a = openAlarmed(t, dir)
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.run(t)
		if list := a.standing(); len(list.Alarms) != 2 || list.Seq != 4 || list.Session != 2 {
			t.Errorf("%+v", list)
		}
		time.Sleep(40 * time.Second)
		a.board.condition("certyo").Lost(errors.New("still away"))
		time.Sleep(40 * time.Second)
		a.want("4 once agent_stopped late", "5 once agent_started late")
		time.Sleep(20 * time.Second)
		a.want("6 cleared mysql_away")
		if list := a.standing(); len(list.Alarms) != 1 || list.Alarms[0].Code != "certyo_away" {
			t.Errorf("%+v", list)
		}
		a.stop()
	})
}

// brokenLog is a list of events on a card that failed.
type brokenLog struct{ *store.EventLog }

func (b brokenLog) Add(events ...store.Event) error {
	return errors.Join(b.EventLog.Add(events...), errors.New("the card failed"))
}

func TestABrokenStoreStopsNoAlarm(t *testing.T) {
	a := openAlarmed(t, t.TempDir())
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.alarms = newAlarms(newBoard(slog.New(slog.DiscardHandler)), brokenLog{a.st.Events}, stampNow, 1, false)
		a.board.condition("mysql").Lost(errors.New("away"))
		now := time.Now()
		for n := range 20 {
			a.look(now.Add(time.Duration(n) * time.Second))
		}
		if list := a.standing(); len(list.Alarms) != 2 || list.Alarms[0].Code != "events_unsaved" || list.Alarms[1].Code != "mysql_away" {
			t.Errorf("%+v", list)
		}
		a.want("1 raised mysql_away", "2 raised events_unsaved")
	})
}

func TestWithoutABrokerEventsAreAsGoodAsTold(t *testing.T) {
	a := openAlarmed(t, t.TempDir())
	defer a.st.Close()
	synctest.Test(t, func(t *testing.T) {
		a.alarms = newAlarms(newBoard(slog.New(slog.DiscardHandler)), a.st.Events, stampNow, 1, true)
		a.once("agent", "agent_started", message.Info, "started")
		a.look(time.Now())
		a.want()
		if a.st.Events.Last() != 1 {
			t.Error(a.st.Events.Last())
		}
	})
}
