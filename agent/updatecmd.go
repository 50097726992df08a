package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"
)

var errNoFleet = errors.New("this station has no broker (fleet.brokers): there is nobody to announce it to")

// announceUpdate makes the fleet read "updating", now and through the stop that follows.
func (p *parts) announceUpdate(http.ResponseWriter, *http.Request) error {
	if p.fleet == nil {
		return errNoFleet
	}
	p.fleet.Updating()
	return nil
}

func announceUpdateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "announce-update",
		Short: "Tell the fleet that the running agent is about to stop for a new version",
		Long: "Tell the fleet that the running agent is about to stop for a new version, before it is stopped: the station is then \"updating\" and " +
			"not \"disconnected\", until the new version is there. Without a stop within ten minutes it is over.",
		Example: "  sudo -u station-agent station-agent announce-update && systemctl restart station-agent",
		Args:    noArgs,
	}
	a := agentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, err := a.ask(cmd.Context(), http.MethodPost, "/updating", nil)
		return err
	}
	return cmd
}
