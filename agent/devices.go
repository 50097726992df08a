package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"station-agent/station/devices"
)

// agentUser is whom the packages make for the agent.
const agentUser = "station-agent"

func devicesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List serial ports, keyboards, GPIO chips and LEDs by the names to configure, without opening a port",
		Long: "List serial ports, keyboards, GPIO chips and LEDs by the names to write into the configuration, which the configuration names\n" +
			"already and which groups the agent's user has yet to join. No port is opened. Exit code 1: a device that the configuration\n" +
			"names isn't there, or may not be used.",
		Args: noArgs,
	}
	file := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	lines := cmd.Flags().Bool("lines", false, "list the lines of each GPIO chip, too")
	name := cmd.Flags().String("user", "", "whose rights are looked at: `NAME` (default: yours; for root those of "+agentUser+", if it exists)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s := devices.Search{Chip: devices.AskChip}
		c, err := loadConfig(*file)
		if err == nil {
			s.Used = c.devicePaths()
		} else { // there may be none yet: that is what this command is for
			fmt.Fprintln(cmd.ErrOrStderr(), "station-agent: warning: nothing is marked as configured:", err)
		}
		who, err := whose(*name)
		if err != nil {
			return err
		}
		if s.User, err = rights(who); err != nil {
			return err
		}
		inv := s.Find()
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), inv)
		} else {
			err = showDevices(cmd.OutOrStdout(), inv, who.Username, *lines)
		}
		if err == nil && (len(inv.Absent) > 0 || len(s.Used) > 0 && len(inv.Groups) > 0) {
			err = errors.New("not all that the configuration names can be used")
		}
		return err
	}
	return cmd
}

// devicePaths are the devices that the configuration names, and what it calls them.
func (c *config) devicePaths() map[string]string {
	paths := map[string]string{}
	for _, r := range c.Readers {
		paths[r.Device] = "reader " + r.Name
	}
	for _, o := range c.Outputs { // lines of chips have no path of their own
		if name, led := strings.CutPrefix(o.Pin, "led:"); led {
			paths["/sys/class/leds/"+name] = "lamp " + o.Lamp
		}
	}
	return paths
}

// whose is the user whose rights count.
func whose(name string) (*user.User, error) {
	if name == "" && os.Getuid() == 0 {
		if u, err := user.Lookup(agentUser); err == nil {
			return u, nil
		}
	}
	if name == "" {
		return user.Current()
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("look up user %s: %w: give an existing one by --user", name, err)
	}
	return u, nil
}

func rights(u *user.User) (r devices.User, err error) {
	if r.UID, err = strconv.Atoi(u.Uid); err != nil {
		return r, fmt.Errorf("look up user %s: %w", u.Username, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return r, fmt.Errorf("look up groups of %s: %w", u.Username, err)
	}
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil {
			r.Groups = append(r.Groups, n)
		}
	}
	return r, nil
}

// showDevices writes an inventory for a person, what is wrong last.
func showDevices(out io.Writer, inv devices.Inventory, who string, lines bool) error {
	w := &strings.Builder{}
	for _, kind := range []struct {
		title string
		list  []devices.Device
	}{{"Serial ports", inv.Serial}, {"Keyboards, and what plays one", inv.Input}, {"GPIO chips", inv.GPIO}, {"LEDs", inv.LEDs}} {
		fmt.Fprintf(w, "%s:\n", kind.title)
		for _, d := range kind.list {
			showDevice(w, d, lines)
		}
		if len(kind.list) == 0 {
			fmt.Fprintln(w, "  none")
		}
	}
	for _, a := range inv.Absent {
		fmt.Fprintf(w, "\n%s: %s is not there: plug it in, or correct the configuration\n", a.Used, a.Path)
	}
	if joins := slices.DeleteFunc(slices.Clone(inv.Groups), func(g string) bool { return g == "root" }); len(joins) > 0 {
		fmt.Fprintf(w, "\nuser %s may not use all of it: sudo usermod -aG %s %s, then start the agent (or sign on) anew\n", who, strings.Join(joins, ","), who)
	}
	if slices.Contains(inv.Groups, "root") {
		fmt.Fprintf(w, "\nsome belong to root alone (see --json): a udev rule has to give them to a group, such as SUBSYSTEM==\"gpio\", KERNEL==\"gpiochip*\", GROUP=\"gpio\", MODE=\"0660\"\n")
	}
	_, err := io.WriteString(out, w.String())
	return err
}

func showDevice(w io.Writer, d devices.Device, lines bool) {
	name, rest := d.Node, ""
	if len(d.Stable) > 0 {
		name = d.Stable[0]
		if name != d.Node {
			rest = "  now " + d.Node
		}
	} else {
		rest = "  (no stable name)"
	}
	if d.Used != "" {
		rest += "  = " + d.Used
	}
	fmt.Fprintf(w, "  %s%s\n", oneLine(name), oneLine(rest))
	if d.What != "" && d.What != name {
		fmt.Fprintf(w, "      %s\n", oneLine(d.What))
	}
	for _, other := range d.Stable[min(1, len(d.Stable)):] {
		fmt.Fprintf(w, "      also %s\n", oneLine(other))
	}
	if n := len(d.Lines); n > 0 && !lines {
		fmt.Fprintf(w, "      %d lines: --lines lists them\n", n)
	}
	for _, l := range d.Lines {
		if lines {
			fmt.Fprintf(w, "      %s:%d  %s  %s\n", oneLine(name), l.Offset, oneLine(l.Name), oneLine(l.User))
		}
	}
}
