package main

import (
	"context"
	"fmt"
	"path/filepath"

	"station-agent/store"
	cmds "station-agent/uplink/fleet/command"
	"station-agent/uplink/fleet/message"
)

// addTrial adds what ends a trial that nobody confirms: also that of a configuration without a broker.
func (p *parts) addTrial() error {
	if t := p.trials.onTrial(); t != nil {
		p.add(runFunc(func(ctx context.Context) error {
			p.trials.watch(ctx, t.within(), p.restart)
			return nil
		}))
	}
	return nil
}

// addOrders adds what does the commands of the fleet.
func (p *parts) addOrders() {
	c, dir := p.cfg, filepath.Join(p.cfg.Store.Folder, fleetFolder)
	p.scrub.learn(c)
	p.orders = newOrders(&orders{
		log: p.log, here: message.Place{Environment: c.Environment, Station: c.Station.UUID}, session: p.store.Session(), now: p.clock.now, dir: dir,
		keys:     newTrustedKeys(&trustedKeys{file: c.Fleet.KeysFile, dir: dir, cond: p.board.condition("fleet keys"), replace: store.Replace}),
		unsigned: c.Fleet.Unsigned, acts: p.orderActs(), cond: p.board.condition("fleet commands"), replace: store.Replace,
		happened: func(text string) { p.alarms.once("fleet command", "command_done", message.Info, text) },
	})
	p.add(p.orders)
	if t := p.trials.onTrial(); t != nil {
		p.orders.late = append(p.orders.late, message.Result{Nonce: t.Nonce, Command: cmds.SetConfig, Status: message.Started,
			Text: fmt.Sprintf("configuration %s is in use, on trial: send confirm-config with this digest within %v, or the former one comes back", t.Digest, t.within())})
	}
}
