package metrics

import (
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"station-agent/uplink/fleet/message"
)

// whole is a health of which everything is known: each number is one, each list has an entry.
func whole() message.Health {
	var h message.Health
	fill(reflect.ValueOf(&h).Elem())
	return h
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	}
}

func text(t *testing.T, own *Own, stations ...Station) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, stations, own); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func full() Station {
	h, left := whole(), 60.0
	return Station{Environment: "test", Station: "u-1", Name: "Line \"2\"\\\n", Version: "1.2", Standing: "alert", Open: true, Session: 3, Health: &h,
		Alarms: []Alarm{{Problem: message.Problem{Name: "mysql", Code: "mysql_away", Severity: message.Critical, LeftS: &left}, ForS: 5}}}
}

func TestEveryFamilyHasSamplesOfWhatIsKnown(t *testing.T) {
	got := text(t, &Own{BrokerUp: true}, full(), full())
	for _, f := range families {
		if strings.Count(got, "# HELP "+prefix+f.name+" ") != 1 || strings.Count(got, "# TYPE "+prefix+f.name+" "+f.kind+"\n") != 1 {
			t.Errorf("%s: not described once", f.name)
		}
		if strings.Count(got, "\n"+prefix+f.name+"{") < 2 {
			t.Errorf("%s: not of both stations", f.name)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [-+.e0-9NaN]+)$`)
	for _, l := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("not in the format: %q", l)
		}
	}
	if !strings.Contains(got, `station_agent_info{environment="test",station="u-1",name="Line \"2\"\\\n",version="1.2"} 1`) {
		t.Error("the name is not escaped as the format wants it")
	}
}

func TestWhatIsNotKnownIsNoSample(t *testing.T) {
	got := text(t, nil, Station{Station: "u", Standing: "lost", Health: &message.Health{}})
	for _, name := range []string{"last_scan_age_seconds", "temperature_celsius", "disk_free_bytes", "undervoltage", "reader_ok", "alarm", "capture_lag_seconds", "exporter_broker_up"} {
		if strings.Contains(got, prefix+name) {
			t.Errorf("%s is told", name)
		}
	}
	if got := text(t, nil, Station{Station: "u", Standing: "never"}); strings.Contains(got, "queue_records") || strings.Contains(got, "health_age") {
		t.Error("a health that nobody told is told")
	}
}

func TestOneStandingIsOne(t *testing.T) {
	got := text(t, nil, Station{Station: "u", Standing: "lost"})
	if strings.Count(got, `standing="`) != len(Standings) || strings.Count(got, `standing="lost"} 1`) != 1 || strings.Count(got, `"} 1`) != 2 { // and info
		t.Error(got)
	}
}

// Two samples with the same labels break a whole scrape, and a station may send anything.
func TestNothingIsSaidTwice(t *testing.T) {
	s := full()
	s.Alarms = append(s.Alarms, s.Alarms...)
	h := *s.Health
	h.Readers, h.Lanes, h.Capture = append(h.Readers, h.Readers...), append(h.Lanes, h.Lanes...), append(h.Capture, h.Capture...)
	h.RSSMB = math.MaxFloat64
	s.Health = &h
	seen := map[string]bool{}
	told := text(t, nil, s)
	if !strings.Contains(told, "station_agent_resident_memory_bytes{environment=\"test\",station=\"u-1\"} NaN\n") {
		t.Error("a number beyond all numbers is told")
	}
	for _, l := range strings.Split(told, "\n") {
		name, _, _ := strings.Cut(l, "} ")
		if strings.HasPrefix(l, prefix) && seen[name] {
			t.Errorf("twice: %s", l)
		}
		seen[name] = true
	}
	if len(seen) < 60 {
		t.Errorf("looked at %d lines only", len(seen))
	}
}

func TestASingleAgentSaysTheSame(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	h := whole()
	alarms := []message.Problem{{Name: "mysql", Since: now.Add(-time.Minute)}}
	got := text(t, nil, Agent(message.State{Environment: "test", Station: "u-1", Name: "Line 2", Session: 7}, h, alarms, true, now))
	for _, want := range []string{
		`station_agent_standing{environment="test",station="u-1",standing="alert"} 1`,
		`station_agent_alarm_age_seconds{environment="test",station="u-1",code="mysql",thing="mysql"} 60`,
		`station_agent_session{environment="test",station="u-1"} 7`,
		`station_agent_resident_memory_bytes{environment="test",station="u-1"} 1e+06`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
}
