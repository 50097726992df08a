package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

//go:embed sample.toml
var sample string

// samplePrefix is the site's prefix in sample.toml. What is printed has a random one.
const samplePrefix = "STA-7Q4K-"

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or print the configuration",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(checkCommand(), printCommand(), &cobra.Command{
		Use:   "sample",
		Short: "Print a commented sample configuration",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), strings.Replace(sample, samplePrefix, randomPrefix(), 1))
			return err
		},
	})
	return cmd
}

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration: exit 0 if it is right, 78 with a line for each fault if not",
		Args:  noArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, data, err := loadFile(*file)
		if bad, ok := errors.AsType[*configError](err); ok {
			bad.all = true
			return bad
		}
		for _, w := range slices.Concat(c.renamed(), c.absentSecrets()) {
			fmt.Fprintln(cmd.ErrOrStderr(), "station-agent: warning:", w)
		}
		if newTrials(*file, c, data).counts(c) != c {
			fmt.Fprintln(cmd.ErrOrStderr(), "station-agent: warning: the fleet sent another configuration, which counts until this file is edited: station-agent config print shows it")
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: right (environment %s, station %s)\n", *file, c.Environment, c.Station.UUID)
		return nil
	}
	return cmd
}

// absentSecrets tells which secrets can't be read now. That is no fault of the configuration, but worth knowing.
func (c *config) absentSecrets() []string {
	var list []string
	for _, s := range c.secrets() {
		if *s.at == "" {
			continue
		}
		if _, err := s.at.read(); err != nil {
			list = append(list, s.field+": "+err.Error())
		}
	}
	if c.Fleet.CertFile != "" {
		if _, err := c.Fleet.certificate(nil); err != nil {
			list = append(list, "fleet.cert_file: "+err.Error())
		}
	}
	return list
}

func printCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration with its defaults; secrets are masked",
		Args:  noArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		enc := toml.NewEncoder(cmd.OutOrStdout())
		enc.SetIndentTables(false)
		return enc.Encode(c.written())
	}
	return cmd
}
