package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"station-agent/uplink/fleet/message"
	"station-agent/uplink/fleet/metrics"
)

// addMetrics adds the address where Prometheus may ask this one agent.
func (p *parts) addMetrics() error {
	if p.cfg.Status.Metrics != "" {
		p.add(&metricsServer{p.cfg.Status.Metrics, p.facts(), p.board.condition("metrics address")})
	}
	return nil
}

// metricsServer answers Prometheus on an address of this machine itself.
type metricsServer struct {
	address string
	facts   *facts
	cond    *condition
}

// Run serves until ctx ends. An address that can't be had is a trouble of its own, never one of the bench.
func (m *metricsServer) Run(ctx context.Context) error {
	again := time.NewTicker(socketAgain)
	defer again.Stop()
	for ctx.Err() == nil {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", m.address)
		if err == nil {
			m.cond.Back()
			err = serveMetrics(ctx, ln, func() ([]metrics.Station, *metrics.Own) { return []metrics.Station{m.station()}, nil })
		}
		if err != nil {
			m.cond.Lost(fmt.Errorf("%w: correct status.metrics, or end what uses its port", err))
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	return nil
}

func (m *metricsServer) station() metrics.Station {
	c, h := m.facts.cfg, m.facts.health()
	s := message.State{Environment: c.Environment, Station: c.Station.UUID, Name: c.Station.Name, Session: m.facts.store.Session()}
	now := time.Now()
	open, err := message.NewHours(c.Fleet.Hours, c.Fleet.TimeZone)
	return metrics.Agent(s, h, h.Problems, err != nil || open.Open(now), now)
}
