// Package fleetops holds the files in uplink/fleet/ops against what they are about: Prometheus' rules and Grafana's dashboard
// against what the program writes, Telegraf's fields against messages, the list of rights against Mosquitto.
package fleetops

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"station-agent/build/servers"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/metrics"
)

const ops = "../../uplink/fleet/ops/"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(ops + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs the checker and gives what it says.
func promtool(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := servers.Promtool(t, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func pointer[T any](v T) *T { return &v }

// sick is a station of which everything is told, and everything is bad.
func sick() metrics.Station {
	h := &message.Health{
		Version: "1.2", LastScanS: pointer(5.0), CallBacks: 2, IntentsParked: 3, LastSettledS: pointer(1.0), RowsAgeS: pointer(1.0), CaptureLagS: pointer(1.0),
		Capture:      []message.Way{{Table: "external.buylo_products", Way: "queue", LagS: pointer(1.0), Waiting: pointer(1), OldestS: pointer(1.0)}},
		QueueRecords: 7, OldestUnsentS: 9 * 3600, Lanes: []message.Lane{{Lane: "changes", Records: 7}}, Unanchored: 4, OldestUnanchoredS: 7 * 3600,
		Anchoring: message.Anchoring{Pending: 1, Mismatch: 1, Missing: 2}, DeadLetters: 3, OldestDeadS: 60, StoreBytes: 1, DiskFreeBytes: pointer(int64(1e6)),
		WrittenTodayBytes: pointer(int64(1)), TemperatureC: pointer(80.0), Undervoltage: pointer(true), Throttled: pointer(true),
		Readers: []message.Reader{{Name: "scanner", LastReadS: pointer(1.0)}},
	}
	return metrics.Station{Environment: "test", Station: "sick", Name: "Line 1", Version: "1.2", Standing: "alert", Open: true, Session: 1, Health: h, HealthAgeS: 5,
		Alarms: []metrics.Alarm{{Problem: message.Problem{Name: "mysql", Code: "mysql_away", Severity: message.Critical, Text: "away", LeftS: pointer(60.0)}, ForS: 600}}}
}

// hall is a fleet of which every alert has a station, and one that needs nobody.
func hall(t *testing.T) string {
	t.Helper()
	as := func(id, standing string) metrics.Station {
		return metrics.Station{Environment: "test", Station: id, Name: "Line " + id, Standing: standing, Open: standing != "closed"}
	}
	well := as("well", "ready")
	well.Health = &message.Health{ClockTrusted: true, Readers: []message.Reader{{Name: "scanner", OK: true}}, DiskFreeBytes: pointer(int64(9e9)), Undervoltage: pointer(false)}
	rest := as("rest", "lost")
	rest.Maintenance = true
	stations := []metrics.Station{sick(), as("lost", "lost"), as("silent", "silent"), as("twin", "twin"), as("never", "never"), well, as("closed", "closed"), rest}
	for i := range 10 { // one cause of many
		s := as(fmt.Sprint("m", i), "alert")
		s.Alarms = []metrics.Alarm{{Problem: message.Problem{Name: "certyo", Code: "certyo_away", Severity: message.Critical}}}
		s.Maintenance = true // so that it is one alert only
		stations = append(stations, s)
	}
	var b strings.Builder
	if err := metrics.Write(&b, stations, &metrics.Own{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrometheusTakesWhatTheExporterWrites(t *testing.T) {
	if out, err := promtool(t, hall(t), "check", "metrics"); err != nil || out != "" {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, err := promtool(t, "Not_a_metric{ 1\n", "check", "metrics"); err == nil {
		t.Errorf("it takes everything: %s", out)
	}
}

func TestPrometheusRulesFireForWhatTheExporterWrites(t *testing.T) {
	rules, err := filepath.Abs(ops + "prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "", "check", "rules", rules); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var input strings.Builder
	for _, line := range strings.Split(hall(t), "\n") {
		if name, value, ok := strings.Cut(line, "} "); ok {
			fmt.Fprintf(&input, "      - {series: %q, values: '%sx180'}\n", name+"}", value)
		} else if name, value, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			fmt.Fprintf(&input, "      - {series: %q, values: '%sx180'}\n", name, value)
		}
	}
	// who each alert is about
	want := map[string]string{
		"StationLost": "lost", "StationSilent": "silent", "StationTwin": "twin", "StationNeverSeen": "never", "StationAlarm": "sick", "StationTimeLeft": "sick",
		"StationRecordsUnsent": "sick", "StationRecordsUnsentLong": "sick", "StationDeadLetters": "sick", "StationUnanchored": "sick", "StationProofDiffers": "sick",
		"StationAssignmentsNeedAPerson": "sick", "StationCallBacks": "sick", "StationReaderAway": "sick", "StationCardFull": "sick", "StationUndervoltage": "sick",
		"StationClock": "sick", "ManyStationsOneCause": "", "FleetBrokerAway": "", "FleetExporterAway": "none",
	}
	file := read(t, "prometheus-rules.yml")
	var tests strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(file, -1) {
		who, ok := want[m[1]]
		if !ok {
			t.Errorf("alert %s isn't tested", m[1])
			continue
		}
		delete(want, m[1])
		match := fmt.Sprintf(`station="%s"`, who)
		n := 1
		switch who {
		case "none":
			match, n = "", 0
		case "":
			match = ""
		}
		all := fmt.Sprintf(`count(ALERTS{alertname=%q, alertstate="firing"}) or vector(0)`, m[1])
		one := fmt.Sprintf(`count(ALERTS{alertname=%q, alertstate="firing", %s}) or vector(0)`, m[1], match)
		for _, expr := range []string{all, one} {
			fmt.Fprintf(&tests, "      - {expr: '%s', eval_time: 2h, exp_samples: [{labels: '{}', value: %d}]}\n", expr, n)
		}
	}
	for name := range want {
		t.Errorf("there is no alert %s", name)
	}
	test := filepath.Join(t.TempDir(), "test.yml")
	text := fmt.Sprintf("rule_files: [%q]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n%s    promql_expr_test:\n%s", rules, input.String(), tests.String())
	text += `  - interval: 1m
    input_series: [{series: "up", values: "1x180"}]
    promql_expr_test:
      - {expr: 'count(ALERTS{alertname="FleetExporterAway", alertstate="firing"}) or vector(0)', eval_time: 2h, exp_samples: [{labels: '{}', value: 1}]}
`
	if err := os.WriteFile(test, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "", "test", "rules", test); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// names gives the metrics in an expression.
func names(expr string) []string {
	return regexp.MustCompile(`station_agent_\w+`).FindAllString(expr, -1)
}

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	var dashboard any
	if err := json.Unmarshal([]byte(read(t, "grafana-dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var exprs, queries []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if text, ok := value.(string); ok && key == "expr" {
					exprs = append(exprs, text)
				} else if ok && key == "query" {
					queries = append(queries, text)
				}
				walk(value)
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		}
	}
	walk(dashboard)
	if len(exprs) < 15 || len(queries) < 2 {
		t.Fatalf("%d expressions, %d queries: this test looks at the wrong thing", len(exprs), len(queries))
	}
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+)`).FindAllStringSubmatch(hall(t), -1) {
		there[m[1]] = true
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range exprs {
		fmt.Fprintf(&rules, "  - {record: \"dashboard:panel%d\", expr: '%s'}\n", i, strings.NewReplacer("$environment", "test", "$station", ".*", "'", "''").Replace(expr))
	}
	for _, expr := range append(exprs, append(queries, read(t, "prometheus-rules.yml"))...) {
		for _, name := range names(expr) {
			if !there[name] {
				t.Errorf("there is no metric %s: %.100s", name, expr)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "", "check", "rules", file); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
