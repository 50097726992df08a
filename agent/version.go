package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is stamped by the build: -ldflags "-X main.version=...".
var version = "development"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and platform",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "station-agent %s%s %s/%s %s\n", version, commit(), runtime.GOOS, platform(), runtime.Version())
			return err
		},
	}
}

func setting(name string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == name {
			return s.Value
		}
	}
	return ""
}

// commit is the commit that was built, if the build noted it.
func commit() string {
	if c := setting("vcs.revision"); len(c) >= 12 {
		return " (" + c[:12] + ")"
	}
	return ""
}

// platform tells the architecture, with the ARM version where there are several.
func platform() string {
	if arm := setting("GOARM"); arm != "" {
		return runtime.GOARCH + "v" + arm
	}
	return runtime.GOARCH
}
