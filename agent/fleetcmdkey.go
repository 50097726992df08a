package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	cmds "station-agent/uplink/fleet/command"
)

// keyNote is the line before the key that says by which id stations know it. Programs that read PEM skip it.
const keyNote = "station-agent fleet key, id "

func fleetKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Keys that sign commands",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	made := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key that signs commands, and print the line by which stations know it",
		Long: "Make a key that signs commands: FILE gets the private half, for its owner alone, and the line printed goes into the keys_file of each " +
			"station. Roles: observer may look, operator may do what a technician at the station would, admin may change configuration, secrets and keys.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("%s takes the FILE to write: see %s --help", cmd.CommandPath(), cmd.CommandPath())}
			}
			return nil
		},
	}
	id := made.Flags().String("id", "", "the `NAME` of the key, such as that of its owner")
	role := made.Flags().String("role", "", "what it may: observer, operator or admin")
	made.RunE = func(cmd *cobra.Command, args []string) error {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		k := cmds.Key{ID: *id, Role: cmds.Role(*role), Public: public}
		if _, err := cmds.ParseKey(k.String()); err != nil {
			return usageError{fmt.Errorf("--id and --role: the line %w", err)}
		}
		text, err := cmds.MarshalPrivate(private)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("write key: %w: a key is never overwritten: name another file", err)
		}
		if err != nil {
			return fmt.Errorf("write key: %w", err)
		}
		_, err = f.WriteString(keyNote + *id + "\n" + string(text))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("write key: %w", err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), k)
		return err
	}
	cmd.AddCommand(made)
	return cmd
}

// readKey reads a private key and its id. One that others can read is theirs, too.
func readKey(file, id string) (string, ed25519.PrivateKey, error) {
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s may be read by others: chmod 600 %s, or make a new one if somebody did", file, file)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read key: %w", err)
	}
	text, err := readBounded(file, maxSecret)
	if err != nil {
		return "", nil, fmt.Errorf("read key: %w", err)
	}
	key, err := cmds.ParsePrivate(text)
	if err != nil {
		return "", nil, fmt.Errorf("read key %s: %w", file, err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), keyNote); ok && id == "" {
			id = said
		}
	}
	if id == "" {
		return "", nil, usageError{fmt.Errorf("read key %s: it doesn't say by which id stations know it: set --key-id", file)}
	}
	return id, key, nil
}
