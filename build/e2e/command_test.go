package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"station-agent/build/bed"
	"station-agent/build/servers"
	"station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
	"station-agent/uplink/uplinktest"
)

// commander is somebody of the fleet with a key.
type commander struct {
	*site
	client mqtt.Client
	key    ed25519.PrivateKey
	n      int
	last   []byte // what was published

	mu      sync.Mutex
	results []message.Result
}

// commanded lets a site obey an admin.
func (s *site) commanded() *commander {
	s.t.Helper()
	c := &commander{site: s, key: ed25519.NewKeyFromSeed([]byte("a seed of thirty-two bytes, here"))}
	s.Config.Keys = "keys"
	s.Config.Secrets["keys"] = command.Key{ID: "anna", Role: command.Admin, Public: c.key.Public().(ed25519.PublicKey)}.String()
	take := func(_ mqtt.Client, m mqtt.Message) {
		r, err := message.Decode[message.Result](m.Payload())
		if err != nil {
			s.t.Errorf("result %q: %v", m.Payload(), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.results = append(c.results, r)
	}
	subscribed := make(chan struct{}, 100) // also after the broker was away
	o := mqtt.NewClientOptions().AddBroker("tcp://" + s.Options.Broker.Addr).SetClientID("commander").SetUsername("commander").SetPassword("of the fleet")
	o.SetMaxReconnectInterval(200 * time.Millisecond).SetOnConnectHandler(func(client mqtt.Client) {
		if t := client.Subscribe(c.topic(message.ResultLeaf), 1, take); t.Wait() && t.Error() != nil {
			s.t.Error(t.Error())
		}
		subscribed <- struct{}{}
	})
	c.client = mqtt.NewClient(o)
	if t := c.client.Connect(); t.Wait() && t.Error() != nil {
		s.t.Fatal(t.Error())
	}
	s.t.Cleanup(func() { c.client.Disconnect(0) })
	<-subscribed
	return c
}

func (c *commander) topic(leaf string) string {
	return message.Place{Environment: "test", Station: bed.Station}.Topic(leaf)
}

// publish hands any payload to the station.
func (c *commander) publish(payload []byte) {
	c.t.Helper()
	c.last = payload
	if t := c.client.Publish(c.topic(message.CommandLeaf), 1, false, payload); t.Wait() && t.Error() != nil {
		c.t.Fatal(t.Error())
	}
}

func (c *commander) order(name string, args any) message.Command {
	c.t.Helper()
	text, err := json.Marshal(args)
	c.must(err)
	c.n++
	return message.Command{Environment: "test", Station: bed.Station, Command: name, Args: text,
		Nonce: fmt.Sprintf("nonce-%s-%010d", name, c.n), Expires: time.Now().Add(5 * time.Minute)}
}

func (c *commander) sign(cmd message.Command) []byte {
	c.t.Helper()
	e, err := command.Sign(cmd, "anna", c.key)
	c.must(err)
	payload, err := json.Marshal(e)
	c.must(err)
	return payload
}

// result waits for a result of a command that wanted accepts.
func (c *commander) result(cmd message.Command, what string, wanted func(message.Result) bool) (found message.Result) {
	c.t.Helper()
	again := time.Now().Add(5 * time.Second) // the station may just not have been there
	c.until(what, func() bool {
		if time.Now().After(again) && c.last != nil {
			again = time.Now().Add(5 * time.Second)
			c.publish(c.last)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range c.results {
			if r.Nonce == cmd.Nonce && wanted(r) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// send gives a command, and gives it once more with a challenge if the station has no clock that it trusts. It waits for the first answer.
func (c *commander) send(name string, args any) (message.Command, message.Result) {
	c.t.Helper()
	cmd := c.order(name, args)
	c.publish(c.sign(cmd))
	r := c.result(cmd, "an answer to "+name, func(message.Result) bool { return true })
	if r.Status != message.Challenged {
		return cmd, r
	}
	cmd.Challenge = r.Challenge
	c.publish(c.sign(cmd))
	return cmd, c.result(cmd, "another answer to "+name, func(r message.Result) bool { return r.Status != message.Challenged })
}

// done sends a command that is to be done.
func (c *commander) done(name string, args any) message.Result {
	c.t.Helper()
	cmd, r := c.send(name, args)
	if r.Status == message.Started {
		r = c.result(cmd, name+" is done", func(r message.Result) bool { return r.Status != message.Started && r.Status != message.Challenged })
	}
	if r.Status != message.Done {
		c.t.Fatalf("%s: %s %s", name, r.Status, r.Text)
	}
	return r
}

// config is the configuration on the card, with another name of the station.
func (c *commander) config(name string) string {
	c.t.Helper()
	text, err := c.Config.Render()
	c.must(err)
	return strings.Replace(string(text), `name = "bench 1"`, `name = "`+name+`"`, 1)
}

// try sends a configuration and waits until the agent runs it on trial.
func (c *commander) try(config string, within float64) (digest string, cmd message.Command) {
	c.t.Helper()
	cmd, r := c.send(command.SetConfig, map[string]any{"config": config, "within_s": within})
	var data struct{ Digest string }
	if err := json.Unmarshal(r.Data, &data); err != nil || r.Status != message.Started {
		c.t.Fatalf("set-config: %+v %v", r, err)
	}
	c.result(cmd, "the trial", func(r message.Result) bool { return strings.Contains(r.Text, "in use, on trial") })
	return data.Digest, cmd
}

func (c *commander) named(name string) {
	c.t.Helper()
	c.until("the station is called "+name, func() bool {
		status, err := c.Agent.Status(c.ctx)
		return err == nil && status["name"] == name
	})
}

// TestConfigurationFromAfar sends a configuration that is confirmed, one that nobody confirms, one under which the agent is killed and one
// that can't reach the broker; the process stays the same but for the kill.
func TestConfigurationFromAfar(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	c := s.commanded()
	s.started()
	pid := s.Agent.PID()

	digest, _ := c.try(c.config("bench 2"), 60)
	c.done(command.ConfirmConfig, map[string]string{"digest": digest})
	c.named("bench 2")

	_, cmd := c.try(c.config("bench 3"), 10)
	r := c.result(cmd, "the end of the trial", func(r message.Result) bool { return r.Status == message.Failed })
	if !strings.Contains(r.Text, "nobody confirmed") {
		t.Errorf("%+v", r)
	}
	c.named("bench 2")
	if s.Agent.PID() != pid {
		t.Error("the process ended")
	}

	away := strings.Replace(c.config("bench 4"), s.Broker.Addr(), "127.0.0.1:9", 1)
	cmd, _ = c.send(command.SetConfig, map[string]any{"config": away, "within_s": 10})
	c.result(cmd, "the end of a trial without a broker", func(r message.Result) bool { return r.Status == message.Failed })
	c.named("bench 2")

	c.try(c.config("bench 5"), 60)
	s.Agent.Kill()
	s.must(s.Agent.Start())
	c.named("bench 2")
	if _, r := c.send(command.SetConfig, map[string]any{"config": "levle = 1"}); r.Status != message.Failed || !strings.Contains(r.Text, "levle") {
		t.Errorf("a wrong one: %+v", r)
	}
	s.must(os.WriteFile(s.Dir+"/agent.toml", []byte(c.config("by hand")), 0o600))
	s.stop()
	s.must(s.Agent.Start())
	c.named("by hand")
	s.stop()
}

// TestHostileCommands holds that forged, changed, replayed and masses of broken commands do nothing, and that packing goes on.
func TestHostileCommands(t *testing.T) {
	s := newSite(t, servers.MariaDB(t))
	c := s.commanded()
	s.started()
	items := s.stock(1, 2)
	changed := c.order(command.Restart, map[string]any{})
	c.publish([]byte(strings.Replace(string(c.sign(changed)), `"signature":"`, `"signature":"AAAA`, 1)))
	forged, err := command.Sign(c.order(command.Restart, map[string]any{}), "anna", ed25519.NewKeyFromSeed(make([]byte, 32)))
	s.must(err)
	payload, err := json.Marshal(forged)
	s.must(err)
	c.publish(payload)
	c.result(changed, "a refusal", func(r message.Result) bool { return r.Status == message.Refused })
	var tokens []mqtt.Token
	for i := range 10_000 {
		tokens = append(tokens, c.client.Publish(c.topic(message.CommandLeaf), 0, false, fmt.Sprint("garbage ", i)))
	}
	s.pack("PKG-2026-0001", items...)
	for _, token := range tokens {
		token.Wait()
	}
	s.rows("PKG-2026-0001", items...)
	asked := map[string]bool{} // an answer may take longer than the next question
	c.until("commands count again", func() bool {
		cmd := c.order(command.PublicKey, map[string]any{})
		asked[cmd.Nonce] = true
		c.publish(c.sign(cmd))
		time.Sleep(200 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.ContainsFunc(c.results, func(r message.Result) bool { return asked[r.Nonce] })
	})
	session := s.status()["session"]
	restarted := c.done(command.Restart, map[string]any{})
	c.until("the next session", func() bool { now, err := s.Agent.Status(s.ctx); return err == nil && now["session"] != session })
	session = s.status()["session"]
	c.mu.Lock()
	before := len(c.results)
	c.mu.Unlock()
	c.publish(c.last)
	c.until("an answer to the replay", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.ContainsFunc(c.results[before:], func(r message.Result) bool { return r.Nonce == restarted.Nonce && r.Status == message.Refused })
	})
	if now := s.status()["session"]; now != session {
		t.Errorf("the replay was done: session %v after %v", now, session)
	}
	s.clean()
	s.stop()
}

// TestSecretsFromAfar rotates every secret over MQTT while the operator packs and rows change: nothing is lost, refused or started anew, and
// no secret stands in the log.
func TestSecretsFromAfar(t *testing.T) {
	fleet := servers.Login{User: "commander", Password: "of the fleet"}
	s := newSiteWith(t, servers.MariaDB(t), servers.Broker(t, fleet, servers.Login{User: "station", Password: "first-broker-password"}))
	c := s.commanded()
	s.Config.BrokerUser, s.Config.Secrets["broker-password"] = "station", "first-broker-password"
	s.Config.User, s.Config.Password, s.Config.Capturer, s.Config.Next = servers.CaptureUser, "mysql-password", "", "next-password"
	s.Config.Secrets["mysql-password"], s.Config.Secrets["next-password"] = servers.CapturePassword, "none-yet"
	s.started()
	items := s.stock(1, 10)
	packed, renamed, end := s.work(items)
	defer end()
	c.set("mysql.next_password_file", "second-password")
	s.rotate("second-password", packed, renamed)
	c.set("mysql.password_file", "second-password")
	c.set("mysql.next_password_file", "third-password")
	s.rotate("third-password", packed, renamed)
	s.Cloud.Switch(func(sw *uplinktest.Switches) { sw.Keys = []string{bed.CertyoKey, "certyo_sk_test_second"} })
	c.set("certyo.key_file", "certyo_sk_test_second")
	s.Cloud.Switch(func(sw *uplinktest.Switches) { sw.Keys = []string{"certyo_sk_test_second"} })
	before := s.status()["anchored_total"].(float64)
	s.until("records go on with the other key", func() bool { return s.status()["anchored_total"].(float64) > before+20 })
	c.set("fleet.password_file", "second-broker-password")
	s.must(s.Options.Broker.SetLogins(s.ctx, fleet, servers.Login{User: "station", Password: "second-broker-password"}))
	c.done(command.PublicKey, map[string]any{})
	end()
	s.problems(0)
	s.clean()
	s.quiet()
	s.silent("certyo_sk_test_second", "first-broker-password", "second-broker-password")
	s.stop()
}

// set seals a secret to the station and sends it.
func (c *commander) set(name, secret string) {
	c.t.Helper()
	var who struct {
		Key []byte `json:"public_key"`
	}
	c.must(json.Unmarshal(c.done(command.PublicKey, map[string]any{}).Data, &who))
	sealed, err := command.Seal([]byte(secret), (*[32]byte)(who.Key))
	c.must(err)
	r := c.done(command.SetSecret, map[string]any{"name": name, "sealed": sealed})
	if !strings.Contains(string(r.Data), command.Fingerprint([]byte(secret))) {
		c.t.Errorf("%s: %s", name, r.Data)
	}
}

// silent holds that the log has no secret.
func (s *site) silent(secrets ...string) {
	s.t.Helper()
	for _, l := range s.Agent.Lines(nil) {
		for _, text := range secrets {
			if strings.Contains(l.Raw, text) {
				s.t.Errorf("the log holds a secret: %s", l.Raw)
			}
		}
	}
}

// TestCertificateAndProxyFromAfar rotates what the way to the services asks for, over MQTT while the operator packs: the password of an HTTP
// proxy before both of them, and the station's certificate. The broker then takes those of the new issuer only.
func TestCertificateAndProxyFromAfar(t *testing.T) {
	old, next := uplinktest.NewIssuer(t), uplinktest.NewIssuer(t)
	_, cert, key := old.Issue("broker")
	clients := filepath.Join(t.TempDir(), "clients.pem")
	text := func(files ...string) (all string) {
		t.Helper()
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all += string(b)
		}
		return all
	}
	pair := func(a *uplinktest.Issuer) string {
		_, cert, key := a.Issue(bed.Station)
		return text(cert, key)
	}
	trust := func(a *uplinktest.Issuer) {
		t.Helper()
		if err := os.WriteFile(clients, []byte(text(a.File)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(old)
	broker := servers.SecureBroker(t, servers.Secure{CA: clients, Cert: cert, Key: key})
	s := newSiteWith(t, servers.MariaDB(t), broker)
	c := s.commanded()
	proxy := uplinktest.NewTunnels(t, "station:first-proxy-secret")
	s.Config.Broker, s.Config.BrokerCA, s.Config.BrokerCert = "ssl://"+broker.TLSAddr, "issuer", "pair"
	s.Config.Certyo, s.Config.CertyoCA = "https://"+old.Front(s.Certyo.Addr()), "issuer"
	s.Config.BrokerProxy, s.Config.CertyoProxy, s.Config.ProxyUser = proxy.URL(), proxy.URL(), "station"
	for name, secret := range map[string]string{"issuer": text(old.File), "pair": pair(old), "proxy-password": "first-proxy-secret"} {
		s.Config.Secrets[name] = secret
	}
	s.started()
	pid := s.Agent.PID()
	items := s.stock(1, 10)
	packed, renamed, end := s.work(items)
	defer end()

	c.set("certyo.proxy_password_file", "second-proxy-secret")
	c.set("fleet.proxy_password_file", "second-proxy-secret")
	proxy.SetAccount("station:second-proxy-secret")
	s.goesOn(packed, renamed)
	c.done(command.PublicKey, map[string]any{})

	c.set("fleet.cert_file", pair(next))
	broker.Kill()
	trust(next)
	s.must(broker.Start(s.ctx))
	c.done(command.PublicKey, map[string]any{})
	s.goesOn(packed, renamed)
	end()
	s.problems(0)
	s.clean()
	if s.Agent.PID() != pid {
		t.Error("the agent was started again")
	}
	s.silent("first-proxy-secret", "second-proxy-secret", "PRIVATE KEY")
	s.stop()
}
