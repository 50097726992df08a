package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"station-agent/station/presence"
	"station-agent/uplink/capture"
)

// TestSampleLoads holds that the sample is right as it stands, and right too with every commented-out default.
func TestSampleLoads(t *testing.T) {
	c, err := parseConfig("sample.toml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	// the password files of the accounts that are not set stay empty, as their users do
	whole := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAllString(sample, "$1")
	d, err := parseConfig("sample.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	d.Station.Agents = c.Station.Agents // [] and nil mean the same
	if !reflect.DeepEqual(c, d) {
		t.Errorf("a default in the sample is not the program's:\n%+v\n%+v", c, d)
	}
}

// TestSampleDocumentsEveryField holds that no field is without a place, and so without a comment, in the sample.
func TestSampleDocumentsEveryField(t *testing.T) {
	known := map[string]bool{}
	addFields(known, reflect.TypeFor[config](), "")
	for field := range known {
		if field = strings.Replace(field, "[]", "", 1); slices.Contains(strings.Fields("station store reader feedback output button pattern table packing mysql capture certyo writeback manifest fleet status log"), field) {
			continue
		}
		name := field[strings.LastIndex(field, ".")+1:]
		table := strings.TrimSuffix(strings.TrimSuffix(field, name), ".")
		section := sample
		if table != "" {
			head := "\n[" + table + "]\n"
			switch table {
			case "reader":
				head = "\n[[reader]]\n"
			case "table", "output", "button", "pattern": // not in use as it stands
				head = "\n#[[" + table + "]]\n"
			}
			_, rest, ok := strings.Cut(sample, head)
			if !ok {
				t.Errorf("the sample lacks %s", head)
				continue
			}
			section, _, _ = strings.Cut(rest, "\n[")
			section, _, _ = strings.Cut(section, "\n#[[")
		}
		if !regexp.MustCompile(`(?m)^(#|#  )?` + name + ` = `).MatchString(section) {
			t.Errorf("the sample lacks %s", field)
		}
	}
}

// TestSnapshotIsOfEachTable holds what capture is told of Buylo's table and of one of the customer's own.
func TestSnapshotIsOfEachTable(t *testing.T) {
	for mode, want := range map[string]struct{ quiet, restate bool }{snapInitial: {}, snapNeeded: {restate: true}, snapNone: {quiet: true}} {
		c := defaults()
		c.Tables = []tableConfig{{Snapshot: mode}}
		own := c.tables()[1]
		c.Capture.Snapshot, c.Tables[0].Snapshot = mode, snapInitial
		buylo := c.tables()[0]
		for _, spec := range []*capture.Spec{own.Spec, buylo.Spec} {
			if spec.Quiet != want.quiet || spec.Restate != want.restate {
				t.Errorf("%s: %+v", mode, spec)
			}
		}
	}
}

// TestWrongConfiguration holds that each fault is one line with file, line, column and field, and never repeats a secret.
func TestWrongConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":             {"[log]", "[log]\ncolour = true", `f.toml:%:1: log.colour: unknown field`},
		"unknown table":             {"[log]", "[logg]\nlevel = \"info\"\n[log]", `f.toml:%:2: logg: unknown field`},
		"syntax":                    {"[log]", "[log", `f.toml:%:`},
		"missing":                   {`tenant = "tenant" # CHANGE`, "", `f.toml:%:2: certyo.tenant: is missing`},
		"duration":                  {`#linger = "2s"`, `linger = "2"`, `f.toml:%:1: certyo.linger: "2" is no duration`},
		"type":                      {`#batch = 1000`, `batch = "many"`, `f.toml:%:9: certyo.batch: `},
		"range":                     {`#batch = 1000`, `batch = 1001`, `f.toml:%:1: certyo.batch: 1001 is not between 1 and 1000`},
		"refused records":           {`#max_refused = 10000`, `max_refused = 0`, `f.toml:%:1: certyo.max_refused: 0 is not between 1 and 100000`},
		"wait of manifests":         {`#wait = "10m"`, `wait = "1s"`, `f.toml:%:1: manifest.wait: 1s is not between 10s and 24h`},
		"store's bound":             {`#max_mb = 896`, `max_mb = 2048`, `f.toml:%:1: store.max_mb: 2048 is not between 64 and 1792`},
		"store's reserve":           {`#reserve_mb = 8`, `reserve_mb = -1`, `f.toml:%:1: store.reserve_mb: -1 is not between 0 and 256`},
		"export to itself":          {`#export_folder = ""`, `export_folder = "/var/lib/station-agent/proofs"`, `f.toml:%:1: store.export_folder: lies inside store.folder`},
		"export to a file":          {`#export_folder = ""`, `export_folder = "/dev/null"`, `f.toml:%:1: store.export_folder: /dev/null is no folder`},
		"one socket":                {`#control_socket = ""`, `control_socket = "/run/station-agent/../station-agent/agent.sock"`, `f.toml:%:1: status.control_socket: is the same as socket`},
		"uuid":                      {"7d6f0f0e-3b7a", "7D6F0F0E-3B7A", `f.toml:%:1: station.uuid: "7D6F`},
		"pattern":                   {`PKG-[0-9]{4}-[0-9]{4,8}`, `PKG-[`, `f.toml:%:1: packing.package_pattern: is no regular expression`},
		"pattern for all":           {`PKG-[0-9]{4}-[0-9]{4,8}`, `.*`, `f.toml:%:1: packing.package_pattern: matches the empty code`},
		"pattern for EANs":          {`PKG-[0-9]{4}-[0-9]{4,8}`, `[0-9]+`, `f.toml:%:1: packing.package_pattern: matches an EAN-8 too`},
		"number as duration":        {`#linger = "2s"`, `linger = 2`, `f.toml:%:10: certyo.linger: is of the wrong kind (integer)`},
		"number in a list":          {`#verify_after = ["2m",`, `verify_after = [2, "2m",`, `f.toml:%:17: certyo.verify_after: is of the wrong kind (integer)`},
		"float":                     {`#linger = "2s"`, `linger = 2.5`, `f.toml:%:10: certyo.linger: is of the wrong kind (float)`},
		"key in other case":         {`environment = "test"`, "Environment = \"test\"\nenvironment = \"test\"", `f.toml:%:1: Environment: unknown field`},
		"table in capitals":         {"[mysql]", "[MySQL]", `f.toml:%:2: MySQL: unknown field`},
		"table for tables":          {"\n[[reader]]\n", "\n[reader]\n", `f.toml:%:2: reader: is a table of which there may be several: write [[reader]]`},
		"table below":               {"[log]", "[log]\n[fleet.x]", `f.toml:%:2: fleet.x: unknown field`},
		"key with newline":          {"[log]", "[log]\n\"a\\nb\" = 1", `log.a b: unknown field`},
		"secret in address":         {`"db.example.com:3306"`, `"me:SECRET@db.example.com:3306"`, `f.toml:%:1: mysql.address: is not HOST:PORT`},
		"port":                      {`"db.example.com:3306"`, `"db.example.com:99999"`, `f.toml:%:1: mysql.address: is not HOST:PORT`},
		"snapshot":                  {`#snapshot = "initial"`, `snapshot = "when_needed"`, `f.toml:%:1: capture.snapshot: `},
		"password alone":            {`#password_file = ""`, `password_file = "/x"`, `f.toml:%:2: capture.user: is missing`},
		"credential":                {`"/etc/station-agent/certyo-key"`, `"credential:../x"`, `f.toml:%:1: certyo.key_file: must be credential:NAME`},
		"blank":                     {`tenant = "tenant"`, `tenant = "  "`, `f.toml:%:1: certyo.tenant: is missing`},
		"command as package":        {`#close_code = ""`, `close_code = "PKG-0000-0000"`, `f.toml:%:1: packing.close_code: "PKG-0000-0000" matches package_pattern too`},
		"command as item":           {`#undo_code = ""`, `undo_code = "8590000000017"`, `f.toml:%:1: packing.undo_code: "8590000000017" could be an item`},
		"commands as labels":        {`PKG-[0-9]{4}-[0-9]{4,8}`, `[A-Z0-9-]+[A-Z]`, `f.toml:%:1: packing.command_prefix: "STA-7Q4K-CLOSE" matches package_pattern too`},
		"commands as badges":        {`#badge_pattern = ""`, `badge_pattern = "STA-.*"`, `f.toml:%:1: packing.command_prefix: "STA-7Q4K-CLOSE" matches badge_pattern too`},
		"commands as items":         {`#item_pattern = "[0-9a-f]{32}"`, `item_pattern = "S.*"`, `f.toml:%:1: packing.command_prefix: "STA-7Q4K-CLOSE" matches item_pattern too`},
		"one code twice":            {`#close_code = ""`, `close_code = "STA-7Q4K-UNDO"`, `is the same as that of close`},
		"prefix not random":         {`"STA-7Q4K-"`, `"X-"`, `f.toml:%:1: packing.command_prefix: is too short to be random`},
		"prefix with blanks":        {`"STA-7Q4K-"`, `"STA 7Q4K"`, `f.toml:%:1: packing.command_prefix: must have letters`},
		"no prefix":                 {`"STA-7Q4K-"`, `""`, `f.toml:%:1: packing.command_prefix: is missing`},
		"badges as items":           {`#badge_pattern = ""`, `badge_pattern = "[0-9]+"`, `f.toml:%:1: packing.badge_pattern: matches an EAN-8 too`},
		"pattern for tags":          {`PKG-[0-9]{4}-[0-9]{4,8}`, `[0-9A-F]{24}`, `f.toml:%:1: packing.package_pattern: matches an RFID tag too`},
		"way":                       {`#way = "label first"`, `way = "labels"`, `f.toml:%:1: packing.way: "labels" is none of label first, items first, sweep`},
		"naming":                    {`#naming = ["hash", "map", "gtin", "ean"]`, `naming = ["hash", "name"]`, `f.toml:%:1: packing.naming: "name" is none of hash, map, gtin, ean`},
		"naming twice":              {`#naming = ["hash", "map", "gtin", "ean"]`, `naming = ["ean", "ean"]`, `f.toml:%:1: packing.naming: "ean" is there twice`},
		"no naming":                 {`#naming = ["hash", "map", "gtin", "ean"]`, `naming = []`, `f.toml:%:1: packing.naming: is missing`},
		"any, and a long cool-down": {"#identical = \"refuse\"\n", "identical = \"any\"\ncool_down = \"301ms\"\n", `f.toml:%:1: packing.cool_down: 301ms is not between 1ms and 300ms`},
		"map table":                 {`#map_table = ""`, `map_table = "a.b.c"`, `f.toml:%:1: mysql.map_table: "a.b.c" is no SCHEMA.TABLE`},
		"half a certificate":        {`#cert_file = ""`, `cert_file = "/x"`, `f.toml:%:1: mysql.cert_file: and cert_key_file belong together`},
		"next user alone":           {`#next_user = ""`, `next_user = "x"`, `mysql.next_password_file: is missing`},
		"kind":                      {`#kind = "barcode"`, `kind = "camera"`, `f.toml:%:1: reader[0].kind: "camera" is none of barcode, rfid, buttons`},
		"protocol":                  {`#protocol = "line"`, `protocol = "llrp"`, `f.toml:%:1: reader[0].protocol: "llrp" is none of line, r200, uhfreader18`},
		"kind of a protocol":        {`#protocol = "line"`, "kind = \"barcode\"\nprotocol = \"r200\"", `f.toml:%:1: reader[0].kind: "barcode" can't be: protocol "r200" reads tags`},
		"prefix of a protocol":      {`#protocol = "line"`, "prefix = \"x\"\nprotocol = \"r200\"", `f.toml:%:1: reader[0].prefix: "x" can't be`},
		"sights":                    {`#min_reads = 1`, "min_reads = 9", `f.toml:%:1: reader[0].min_reads: 9 is not between 1 and 8`},
		"sights of a scanner":       {`#min_reads = 1`, "min_reads = 2", `f.toml:%:1: reader[0].min_reads: and rssi are for readers of kind "rfid"`},
		"strength":                  {`#kind = "barcode"`, "rssi = [\"-60/-55\"]\nkind = \"rfid\"", `f.toml:%:1: reader[0].rssi: "-60/-55" is no limit: write COME/STAY`},
		"strength of no antenna":    {`#kind = "barcode"`, "rssi = [\"0:-55/-60\"]\nkind = \"rfid\"", `f.toml:%:1: reader[0].rssi: "0:-55/-60" is no limit`},
		"strength twice":            {`#kind = "barcode"`, "rssi = [\"-55/-60\", \"2:-50/-56\", \"-55/-61\"]\nkind = \"rfid\"", `f.toml:%:1: reader[0].rssi: "-55/-61": this antenna has an earlier limit`},
		"lamp":                      {"[log]", "[[output]]\nlamp = \"pink\"\npin = \"GPIO17\"\n[log]", `f.toml:%:1: output[0].lamp: "pink" is none of red, yellow`},
		"pin":                       {"[log]", "[[output]]\nlamp = \"red\"\npin = \"GPIO1\"\n[log]", `f.toml:%:1: output[0].pin: "GPIO1" is not on the header for all`},
		"pin of two":                {"[log]", "[[output]]\nlamp = \"red\"\npin = \"GPIO5\"\n[[button]]\ndoes = \"undo\"\npin = \"GPIO5\"\n[log]", `f.toml:%:1: button[0].pin: "GPIO5" is the pin of output[0] too`},
		"lamp that sounds":          {"[log]", "[[output]]\nlamp = \"red\"\npin = \"pwm:0\"\n[log]", `f.toml:%:1: output[0].pin: "pwm:0" sounds`},
		"LED that is low":           {"[log]", "[[output]]\nlamp = \"red\"\npin = \"led:r\"\nactive_low = true\n[log]", `f.toml:%:1: output[0].active_low: is not for led`},
		"button's act":              {"[log]", "[[button]]\ndoes = \"explode\"\npin = \"GPIO5\"\n[log]", `f.toml:%:1: button[0].does: "explode" is none of close,`},
		"button's other act":        {"[log]", "[[button]]\ndoes = \"undo\"\nheld = \"x\"\npin = \"GPIO5\"\n[log]", `f.toml:%:1: button[0].held: "x" is none of close,`},
		"button at an LED":          {"[log]", "[[button]]\ndoes = \"undo\"\npin = \"led:x\"\n[log]", `f.toml:%:1: button[0].pin: "led:x" is an output`},
		"pitch":                     {`#pitch = 100`, `pitch = 20`, `f.toml:%:1: feedback.pitch: 20 is not between 50 and 200`},
		"signal":                    {"[log]", "[[pattern]]\nsignal = \"acepted\"\n[log]", `f.toml:%:1: pattern[0].signal: "acepted" is no signal: station-agent patterns`},
		"pattern twice":             {"[log]", "[[pattern]]\nsignal = \"opened\"\n[[pattern]]\nsignal = \"opened\"\n[log]", `f.toml:%:1: pattern[1].signal: "opened" has a pattern above`},
		"rhythm":                    {"[log]", "[[pattern]]\nsignal = \"opened\"\nred = \"fast\"\n[log]", `f.toml:%:3: pattern[0]: pattern "opened": red: "fast" is no beat`},
		"flicker":                   {"[log]", "[[pattern]]\nsignal = \"opened\"\nred = \"50 50 repeat\"\n[log]", `red: flashes more than 3 times within a second`},
		"patterns in a ring":        {"[log]", "[[pattern]]\nsignal = \"opened\"\nthen = \"closed\"\n[[pattern]]\nsignal = \"closed\"\nthen = \"opened\"\n[log]", `what follows it comes back to it`},
		"layout":                    {`#layout = "us"`, `layout = "dvorak"`, `f.toml:%:1: reader[0].layout: "dvorak" is no layout: there are [cz de fr gb us]`},
		"protocol of a keyboard":    {`device = "/dev/serial/by-id/usb-CHANGE"`, "protocol = \"r200\"\ndevice = \"/dev/input/by-id/x-event-kbd\"", `f.toml:%:1: reader[0].protocol: "r200" can't be: a device below`},
		"keypad on a serial port":   {`#kind = "barcode"`, `kind = "keypad"`, `f.toml:%:1: reader[0].kind: keypad is for a device below /dev/input`},
		"reader":                    {`#baud = 9600`, `baud = 9601`, `f.toml:%:1: reader[0].baud: 9601`},
		"role":                      {`#role = "any"`, `role = "lid"`, `f.toml:%:1: reader[0].role: "lid" is none of any, package, item, command`},
		"nothing opens":             {`#role = "any"`, `role = "item"`, `f.toml:%:1: reader[0].role: no reader can open a package`},
		"nothing is packed":         {`#role = "any"`, `role = "package"`, `f.toml:%:1: reader[0].role: no reader takes items`},
		"power of a scanner":        {`#role = "any"`, `power_dbm = 20`, `f.toml:%:1: reader[0].power_dbm: can't be: a reader of protocol "line" is never told anything`},
		"power":                     {`#role = "any"`, "protocol = \"r2000\"\npower_dbm = 40", `f.toml:%:1: reader[0].power_dbm: power 40 dBm: this reader can be set from 0 to 33 dBm`},
		"region":                    {`#role = "any"`, "protocol = \"r2000\"\nregion = \"kr\"", `f.toml:%:1: reader[0].region: region "kr" is unknown to this reader: use eu, us, cn`},
		"told and only heard":       {`#role = "any"`, "protocol = \"r2000\"\nregion = \"eu\"\nlisten_only = true", `f.toml:%:1: reader[0].region: can't be set with listen_only`},
		"tags as labels":            {`#role = "any"`, "protocol = \"r2000\"\nrole = \"package\"", `reader[0].role: "package" can't be: tags on an antenna are items`},
		"no reader":                 {"\n[[reader]]\n", "\n[[no]]\n", `f.toml:%:3: no: unknown field`},
		"secret in the file":        {`"/etc/station-agent/certyo-key"`, `"certyo_sk_live_SECRET"`, `f.toml:%:1: certyo.key_file: must be an absolute path`},
		"secret in the url":         {`#url = "https://www.certyos.com"`, `url = "https://me:SECRET@www.certyos.com"`, `f.toml:%:1: certyo.url: must hold neither`},
		"next key in the file":      {`#next_key_file = ""`, `next_key_file = "certyo_sk_live_SECRET"`, `f.toml:%:1: certyo.next_key_file: must be an absolute path`},
		"secret in the proxy":       {`#proxy = ""`, `proxy = "http://me:SECRET@proxy:3128"`, `f.toml:%:1: certyo.proxy: must hold neither`},
		"proxy's scheme":            {`#proxy = ""`, `proxy = "proxy:3128"`, `f.toml:%:1: certyo.proxy: is no address`},
		"proxy's user alone":        {`#proxy_user = ""`, "proxy_user = \"me\"\nproxy_password_file = \"/x\"", `certyo.proxy: is missing`},
		"proxy's password alone":    {`#proxy_password_file = ""`, `proxy_password_file = "/x"`, `certyo.proxy_user: is missing`},
		"way to post":               {`#post = "auto"`, `post = "single"`, `f.toml:%:1: certyo.post: "single" is none of auto, bulk`},
		"form to verify":            {`#verify_form = "full"`, `verify_form = "all"`, `f.toml:%:1: certyo.verify_form: "all" is none of full, payload, ids, version`},
		"plain http":                {`#url = "https://www.certyos.com"`, `url = "http://www.certyos.com"`, `f.toml:%:1: certyo.url: must begin with https`},
		"broker with user":          {`"ssl://mqtt.example.com:8883"`, `"ssl://me:SECRET@mqtt.example.com:8883"`, `f.toml:%:1: fleet.brokers: is no address`},
		"old broker with user":      {`brokers = ["ssl://mqtt.example.com:8883"]`, `broker = "ssl://me:SECRET@mqtt.example.com:8883"`, `f.toml:%:1: fleet.broker: is no address`},
		"second broker":             {`["ssl://mqtt.example.com:8883"]`, `["ssl://mqtt.example.com:8883", "mqtt.example.com"]`, `f.toml:%:1: fleet.brokers: is no address`},
		"broker by both names":      {`#broker = ""`, `broker = "ssl://other.example.com:8883"`, `f.toml:%:1: fleet.broker: is the old name of brokers`},
		"password over plain TCP":   {`brokers = ["ssl://mqtt.example.com:8883"]`, "brokers = [\"tcp://mqtt.example.com:1883\"]\nuser = \"x\"\npassword_file = \"/x\"", `f.toml:%:1: fleet.brokers: must begin with ssl`},
		"half a broker certificate": {`#interval = "30s"`, `cert_file = "/x"`, `f.toml:%:1: fleet.cert_file: and cert_key_file belong together`},
		"secret in broker's proxy":  {`#interval = "30s"`, `proxy = "http://me:SECRET@proxy:3128"`, `f.toml:%:1: fleet.proxy: must hold neither`},
		"opening hours":             {`#interval = "30s"`, "hours = [\"Mo-Fr 6-22\"]\ntime_zone = \"Europe/Berlin\"", `f.toml:%:1: fleet.hours: "Mo-Fr 6-22" are no opening hours`},
		"hours without a zone":      {`#interval = "30s"`, `hours = ["Mon-Fri 06:00-22:00"]`, `f.toml:%:1: fleet.hours: there is no time zone`},
		"address":                   {`"db.example.com:3306"`, `"db.example.com"`, `f.toml:%:1: mysql.address: is not HOST:PORT`},
		"schema":                    {`#schema = "external"`, "schema = \"a`; drop\"", `f.toml:%:1: mysql.schema: `},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(sample, c.old, c.new, 1)
			if text == sample {
				t.Fatal("the sample has changed: nothing was replaced")
			}
			_, err := parseConfig("f.toml", []byte(text))
			if _, ok := errors.AsType[*configError](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
			pattern := strings.ReplaceAll(regexp.QuoteMeta(c.want), "%", `[1-9][0-9]*`)
			if got := err.Error(); !regexp.MustCompile(pattern).MatchString(got) || strings.Contains(got, "\n") || strings.Contains(got, "SECRET") {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestOldBrokerStillWorks holds that the old name does what it did, and is named.
func TestOldBrokerStillWorks(t *testing.T) {
	c, err := parseConfig("f.toml", []byte(strings.Replace(sample, `brokers = ["ssl://mqtt.example.com:8883"]`, `broker = "ssl://mqtt.example.com:8883"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Fleet.renamed(); !slices.Equal(c.Fleet.Brokers, []string{"ssl://mqtt.example.com:8883"}) || len(w) != 1 || !strings.Contains(w[0], "set fleet.brokers") {
		t.Errorf("%v, warnings %v", c.Fleet.Brokers, w)
	}
	if c, err = parseConfig("f.toml", []byte(sample)); err != nil || len(c.Fleet.renamed()) > 0 {
		t.Errorf("the new name: %v, %v", c.Fleet.renamed(), err)
	}
}

func TestFaultsStandWhereTheyAre(t *testing.T) {
	text := strings.Replace(sample, `#baud = 9600`, `baud = 9601`, 1)
	line := 1 + strings.Count(text[:strings.Index(text, "baud = 9601")], "\n")
	_, err := parseConfig("f.toml", []byte(text))
	bad, ok := errors.AsType[*configError](err)
	if !ok || len(bad.faults) != 1 || bad.faults[0].line != line || bad.faults[0].column != 1 {
		t.Fatalf("%v, want line %d", err, line)
	}
}

func TestConfigCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.toml")
	write(t, file, sample)
	out, errs, code := command(t, "config", "check", "--config", file)
	if code != 0 || !strings.Contains(out, "right (environment test") || !strings.Contains(errs, "warning: certyo.key_file") {
		t.Errorf("check: %d %s %s", code, out, errs)
	}
	out, _, code = command(t, "config", "print", "--config", file)
	var back config
	if code != 0 || toml.Unmarshal([]byte(out), &back) != nil || back.Certyo.Batch != 1000 {
		t.Errorf("print: %d %s", code, out)
	}
	write(t, file, strings.Replace(sample, "[log]", "[log]\na = 1\nb = 2", 1))
	_, errs, code = command(t, "config", "check", "--config", file)
	if code != exitConfig || strings.Count(errs, "unknown field") != 2 {
		t.Errorf("check of a bad file: %d %s", code, errs)
	}
	_, errs, code = command(t, "run", "--config", file)
	if code != exitConfig || strings.Count(strings.TrimSpace(errs), "\n") != 0 {
		t.Errorf("run of a bad file: %d %s", code, errs)
	}
	_, errs, code = command(t, "run", "--config", filepath.Join(dir, "none.toml"))
	if code != exitConfig || !strings.Contains(errs, "none.toml: no such file") {
		t.Errorf("run without a file: %d %s", code, errs)
	}
	if _, _, code = command(t, "config", "check", "--confg", file); code != exitUsage {
		t.Errorf("wrong flag: %d", code)
	}
	if _, _, code = command(t, "rum"); code != exitUsage {
		t.Errorf("wrong command: %d", code)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs one command line in process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(context.Background(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// TestAReaderIsWhatItsMakersMadeIt unless somebody says otherwise, and the bench is told how its sights count.
func TestAReaderIsWhatItsMakersMadeIt(t *testing.T) {
	c, err := parseConfig("f.toml", []byte(strings.NewReplacer(`#protocol = "line"`, `protocol = "r200"`, `#rssi = []`, `rssi = ["-55/-60", "2:-50/-56"]`).Replace(sample)))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Readers[0]; r.Kind != "rfid" || r.Baud != 115200 || r.MinReads != 2 {
		t.Errorf("%+v", r)
	}
	want := presence.Config{Gone: 2 * time.Second, Readers: map[string]presence.Reader{"scanner": {
		Reads: 2, Limit: presence.Limit{Come: -55, Stay: -60}, Antennas: map[int]presence.Limit{2: {Come: -50, Stay: -56}}}}}
	if got := c.presence(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestAReaderThatTypes holds what is usual for it: a scanner types fast, fingers don't.
func TestAReaderThatTypes(t *testing.T) {
	typing := strings.Replace(sample, `"/dev/serial/by-id/usb-CHANGE"`, `"/dev/input/by-id/usb-x-event-kbd"`, 1)
	for kind, want := range map[string]duration{"barcode": "100ms", "rfid": "100ms", "keypad": "10s"} {
		c, err := parseConfig("f.toml", []byte(strings.Replace(typing, `#kind = "barcode"`, `kind = "`+kind+`"`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if r := c.Readers[0]; r.Idle != want || r.Layout != "us" || !r.types() {
			t.Errorf("%s: %+v", kind, r)
		}
	}
	if _, err := parseConfig("f.toml", []byte(strings.Replace(typing, `#kind = "barcode"`, `kind = "buttons"`, 1))); err == nil || !strings.Contains(err.Error(), "add a [[button]]") {
		t.Errorf("buttons: %v", err)
	}
}
