package bed

import (
	"bytes"
	"text/template"

	"station-agent/build/servers"
)

// Config is the agent's configuration, as far as tests vary it. An empty field leaves the agent's default.
type Config struct {
	Dir         string
	Environment string
	Station     string
	Device      string // of the scanner
	Antenna     string // device of an RFID reader; "": there is none
	Packing     Packing
	MySQL       string
	User        string
	Password    string // name of the file in Secrets
	Next        string // name of the file in Secrets with the password after a rotation
	Refresh     string
	MapTable    string
	Source      string // of capture
	CaptureMode string
	Capturer    string // "": capture uses the account of [mysql]
	Certyo      string
	CertyoCA    string // name of the file in Secrets with the issuer of its certificate
	CertyoProxy string // URL of an HTTP proxy; its account is ProxyUser, its password in Secrets
	Linger      string
	VerifyAfter string // TOML list
	Broker      string
	BrokerUser  string
	BrokerCA    string // name of the file in Secrets with the issuer of its certificate
	BrokerCert  string // name of the file in Secrets with the station's certificate and its key
	BrokerProxy string // as CertyoProxy
	HealthEvery string
	ProxyUser   string
	Keys        string            // name of the file in Secrets with the keys whose commands count
	Tables      string            // [[table]]s, as TOML
	Metrics     string            // address for Prometheus; "": none
	Secrets     map[string]string // file name below Dir → content
}

// Packing is how the station packs.
type Packing struct {
	Way, Commit, Identical string
	CommandPrefix          string
	BadgePattern           string
	CoolDown               string // so short that a code scanned twice is two scans
	Reopen, TimeOut        string
	RowsAge, GoneAfter     string
	AllowElsewhere         bool
}

func newConfig(b *Bed) Config {
	return Config{
		Dir: b.Dir, Environment: "test", Station: Station, Device: b.Scanner.Path(), MySQL: b.MySQL.Addr(), Source: "binlog", CaptureMode: "auto",
		Packing: Packing{CommandPrefix: CommandPrefix, CoolDown: "1ms"}, Refresh: "250ms",
		Certyo: "http://" + b.Certyo.Addr(), Linger: "100ms", VerifyAfter: `["700ms", "300ms", "500ms", "1s"]`,
		Broker: "tcp://" + b.Broker.Addr(), HealthEvery: "1s",
		User: servers.AgentUser, Password: "mysql-password", Capturer: servers.CaptureUser,
		Secrets: map[string]string{
			"mysql-password": servers.AgentPassword, "capture-password": servers.CapturePassword,
			"certyo-key": CertyoKey, "broker-password": "",
		},
	}
}

const configText = `environment = "{{.Environment}}"
[station]
uuid = "{{.Station}}"
name = "bench 1"
[store]
folder = "{{.Dir}}/store"
[[reader]]
name = "scanner"
device = "{{.Device}}"
{{- with .Antenna}}
[[reader]]
name = "antenna"
kind = "rfid"
device = "{{.}}"
{{- end}}
[packing]
package_pattern = "PKG-[0-9]{4}-[0-9]{4,8}"
{{- with .Packing}}
command_prefix = "{{.CommandPrefix}}"
{{- with .Way}}
way = "{{.}}"
{{- end}}
{{- with .Commit}}
commit = "{{.}}"
{{- end}}
{{- with .Identical}}
identical = "{{.}}"
{{- end}}
{{- with .BadgePattern}}
badge_pattern = "{{.}}"
{{- end}}
{{- with .CoolDown}}
cool_down = "{{.}}"
{{- end}}
{{- with .Reopen}}
reopen = "{{.}}"
{{- end}}
{{- with .TimeOut}}
time_out = "{{.}}"
{{- end}}
{{- with .RowsAge}}
rows_age = "{{.}}"
{{- end}}
{{- with .GoneAfter}}
gone_after = "{{.}}"
{{- end}}
{{- if .AllowElsewhere}}
allow_elsewhere = true
{{- end}}
{{- end}}
[mysql]
address = "{{.MySQL}}"
user = "{{.User}}"
password_file = "{{.Dir}}/{{.Password}}"
{{- with .Next}}
next_password_file = "{{$.Dir}}/{{.}}"
{{- end}}
refresh = "{{.Refresh}}"
{{- with .MapTable}}
map_table = "{{.}}"
{{- end}}
tls = "off"
[capture]
{{- with .Source}}
source = "{{.}}"
{{- end}}
mode = "{{.CaptureMode}}"
{{- with .Capturer}}
user = "{{.}}"
password_file = "{{$.Dir}}/capture-password"
{{- end}}
[certyo]
url = "{{.Certyo}}"
tenant = "tovarna"
client = "bench-1"
key_file = "{{.Dir}}/certyo-key"
{{- with .CertyoCA}}
ca_file = "{{$.Dir}}/{{.}}"
{{- end}}
{{- with .CertyoProxy}}
proxy = "{{.}}"
proxy_user = "{{$.ProxyUser}}"
proxy_password_file = "{{$.Dir}}/proxy-password"
{{- end}}
linger = "{{.Linger}}"
verify_after = {{.VerifyAfter}}
requests_per_minute = 24000
verify_share = 50
start_jitter = "0s"
[fleet]
brokers = ["{{.Broker}}"]
{{- if .BrokerUser}}
user = "{{.BrokerUser}}"
password_file = "{{.Dir}}/broker-password"
{{- end}}
{{- with .BrokerCA}}
ca_file = "{{$.Dir}}/{{.}}"
{{- end}}
{{- with .BrokerCert}}
cert_file = "{{$.Dir}}/{{.}}"
cert_key_file = "{{$.Dir}}/{{.}}"
{{- end}}
{{- with .BrokerProxy}}
proxy = "{{.}}"
proxy_user = "{{$.ProxyUser}}"
proxy_password_file = "{{$.Dir}}/proxy-password"
{{- end}}
interval = "{{.HealthEvery}}"
{{- with .Keys}}
keys_file = "{{$.Dir}}/{{.}}"
{{- end}}
[status]
socket = "{{.Dir}}/agent.sock"
{{- with .Metrics}}
metrics = "{{.}}"
{{- end}}
[log]
format = "json"
{{.Tables}}
`

// Render gives the configuration as its file has it.
func (c Config) Render() ([]byte, error) {
	t, err := template.New("config").Parse(configText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, c)
	return out.Bytes(), err
}
