package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Probe connects to the first broker of cfg with its account, introduces itself as a guest and leaves. It publishes nothing, and
// its name and its missing will keep it from touching what a running agent of the same station has there.
func Probe(ctx context.Context, cfg Config) error {
	o, err := cfg.options(fmt.Sprintf("station-agent-check-%s-%08x", cfg.Station, rand.Uint32()))
	if err != nil {
		return err
	}
	l, err := cfg.connect(ctx, cfg.inTurn()[0], o, shortMost, nil)
	if err != nil {
		return err
	}
	l.leave()
	return nil
}
