package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Probe connects to the broker with the account of cfg, introduces itself as a guest and leaves. It publishes nothing, and its
// name and its missing will keep it from touching what a running agent of the same station has there.
func Probe(ctx context.Context, cfg Config) error {
	o, err := cfg.options()
	if err != nil {
		return err
	}
	o.SetClientID(fmt.Sprintf("station-agent-check-%s-%08x", cfg.Station, rand.Uint32())).UnsetWill().WillRetained = false // which would be against the protocol without a will
	conn, err := cfg.dial(ctx)
	if err != nil {
		return fmt.Errorf("%w: check the broker's address and the network", err)
	}
	l := newLink(conn, o)
	if err := l.greet(ctx); err != nil {
		return cfg.explainRefusal(err)
	}
	l.leave()
	return nil
}
