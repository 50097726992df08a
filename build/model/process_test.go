package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"station-agent/build/bed"
)

// line is one line of an agent's log.
type line = bed.Line

// process is the agent at one station, started again and again. Its log goes on over all of them.
type process struct {
	*bed.Agent
	config string
}

func newProcess(config string) *process { return &process{bed.NewAgent(binary, config), config} }

// next waits for the n-th line. bed.ErrEnded says that there is none, and won't be one of this process.
func (p *process) next(ctx context.Context, n int) (line, error) {
	return p.Wait(ctx, n, func(line) bool { return true })
}

func (p *process) text() string {
	var b strings.Builder
	for _, l := range p.Lines(nil) {
		b.WriteString(l.Raw + "\n")
	}
	return b.String()
}

// stop asks the process to end.
func (p *process) stop() error {
	code, _, err := p.Stop()
	if err == nil && code != 0 {
		err = fmt.Errorf("it ended with %d", code)
	}
	if err != nil {
		return fmt.Errorf("stop agent: %w", err)
	}
	return nil
}

// intent is what the command "intents" says of one.
type intent struct {
	Hash    string  `json:"hash"`
	Package *string `json:"package"`
	State   string  `json:"state"`
}

// intents asks the running agent what waits for the database and what needs a person.
func (p *process) intents(ctx context.Context) (waiting, parked []intent, err error) {
	out, errs, code, err := p.Command(ctx, "intents", "--json", "--config", p.config)
	if err != nil || code != 0 {
		return nil, nil, fmt.Errorf("ask for intents: %w: exit %d: %s", err, code, errs)
	}
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var i intent
		switch err := dec.Decode(&i); {
		case errors.Is(err, io.EOF):
			return waiting, parked, nil
		case err != nil:
			return nil, nil, fmt.Errorf("ask for intents: %w", err)
		case i.State == "waiting":
			waiting = append(waiting, i)
		default:
			parked = append(parked, i)
		}
	}
}
