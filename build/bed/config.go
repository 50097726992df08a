package bed

import (
	"bytes"
	"text/template"

	"station-agent/build/servers"
)

// Config is the agent's configuration, as far as tests vary it.
type Config struct {
	Dir             string
	Environment     string
	Station         string
	Device          string
	MySQL           string
	CaptureMode     string
	Certyo          string
	Linger          string
	VerifyAfter     string // TOML list
	Broker          string
	BrokerUser      string
	HealthEvery     string
	Secrets         map[string]string // file name below Dir → content
	User, Capturer  string
	CloseCode, Undo string
}

func newConfig(b *Bed) Config {
	return Config{
		Dir: b.Dir, Environment: "test", Station: Station, Device: b.Scanner.Path(), MySQL: b.MySQL.Addr(), CaptureMode: "auto",
		Certyo: "http://" + b.Certyo.Addr(), Linger: "100ms", VerifyAfter: `["700ms", "300ms", "500ms", "1s"]`,
		Broker: "tcp://" + b.Broker.Addr(), HealthEvery: "1s", CloseCode: CloseCode, Undo: UndoCode,
		User: servers.AgentUser, Capturer: servers.CaptureUser,
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
[packing]
package_pattern = "PKG-[0-9]{4}-[0-9]{4,8}"
close_code = "{{.CloseCode}}"
undo_code = "{{.Undo}}"
[mysql]
address = "{{.MySQL}}"
user = "{{.User}}"
password_file = "{{.Dir}}/mysql-password"
refresh = "250ms"
tls = "off"
[capture]
mode = "{{.CaptureMode}}"
user = "{{.Capturer}}"
password_file = "{{.Dir}}/capture-password"
[certyo]
url = "{{.Certyo}}"
tenant = "tovarna"
client = "bench-1"
key_file = "{{.Dir}}/certyo-key"
linger = "{{.Linger}}"
verify_after = {{.VerifyAfter}}
verify_per_second = 200
[fleet]
broker = "{{.Broker}}"
{{- if .BrokerUser}}
user = "{{.BrokerUser}}"
password_file = "{{.Dir}}/broker-password"
{{- end}}
interval = "{{.HealthEvery}}"
[status]
socket = "{{.Dir}}/agent.sock"
[log]
format = "json"
`

func (c Config) render() ([]byte, error) {
	t, err := template.New("config").Parse(configText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, c)
	return out.Bytes(), err
}
