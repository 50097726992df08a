package main

import (
	"errors"
	"fmt"
	"slices"

	"station-agent/station"
	"station-agent/station/codec"
)

// roles are which codes count at which reader.
func (c *config) roles() map[string]station.Role {
	roles := map[string]station.Role{}
	for _, r := range c.Readers {
		roles[r.Name] = station.Role(r.Role)
	}
	return roles
}

// rules are what a code means, and where it counts.
func (c *config) rules() (station.Rules, error) {
	r, err := c.Packing.rules()
	r.Roles = c.roles()
	return r, err
}

// checkRoles refuses roles with which nothing could be packed.
func (c *config) checkRoles(r report) {
	takes := func(role station.Role) bool {
		return slices.ContainsFunc(c.Readers, func(rd readerConfig) bool { return rd.Role == string(role) || rd.Role == string(station.AnyRole) })
	}
	if len(c.Readers) == 0 {
		return
	}
	if !takes(station.ForPackages) {
		r("reader[0].role", errors.New(`no reader can open a package: at least one needs role "package" or "any"`))
	}
	if !takes(station.ForItems) && c.Packing.Way != string(station.Sweep) {
		r("reader[0].role", errors.New(`no reader takes items: at least one needs role "item" or "any"`))
	}
	if c.Packing.BadgePattern != "" && !takes(station.ForCommands) {
		r("packing.badge_pattern", errors.New(`no reader takes badges: at least one needs role "command" or "any"`))
	}
}

// lacking says what nobody can do at this bench, although its configuration is sound.
func (c *config) lacking() []string {
	list := []string{}
	reads := func(role station.Role) bool {
		return slices.ContainsFunc(c.Readers, func(rd readerConfig) bool {
			return (rd.Role == string(role) || rd.Role == string(station.AnyRole)) && rd.Kind != string(station.RFID) && rd.Kind != string(station.Buttons)
		})
	}
	if !reads(station.ForPackages) {
		list = append(list, "no reader can open a package: tags are items, so one of kind \"barcode\" with role \"package\" or \"any\" is needed for the labels")
	}
	closes := reads(station.ForCommands) || slices.ContainsFunc(c.Readers, func(rd readerConfig) bool { return rd.Kind == string(station.Buttons) }) || len(c.Buttons) > 0
	if !closes {
		list = append(list, "nobody can close, undo or acknowledge: add a [[button]] for each, or a reader with role \"command\" or \"any\"")
	}
	return list
}

// checkAsked refuses what the reader can't be told, and roles that it can't have.
func (c *readerConfig) checkAsked(r report, at string, p codec.Protocol) {
	var roles []string
	for _, role := range station.Roles() {
		roles = append(roles, string(role))
	}
	r.oneOf(at+"role", c.Role, roles...)
	switch role := station.Role(c.Role); {
	case c.Kind == string(station.RFID) && (role == station.ForPackages || role == station.ForCommands):
		r(at+"role", fmt.Errorf("%q can't be: tags on an antenna are items, never labels or commands", c.Role))
	case c.Kind == string(station.Buttons) && (role == station.ForPackages || role == station.ForItems):
		r(at+"role", fmt.Errorf("%q can't be: buttons are commands", c.Role))
	}
	told := map[string]bool{"listen_only": c.Listen, "power_dbm": c.Power != nil, "region": c.Region != ""}
	for _, field := range []string{"listen_only", "power_dbm", "region"} {
		switch {
		case !told[field]:
		case p.Commands == nil || c.types():
			r(at+field, fmt.Errorf("can't be: a reader of protocol %q is never told anything: leave it out", c.Protocol))
		case c.Listen && field != "listen_only":
			r(at+field, errors.New("can't be set with listen_only: nothing is written to the reader then"))
		}
	}
	if p.Commands == nil {
		return
	}
	if c.Power != nil {
		if _, err := p.Commands.Power(*c.Power); err != nil {
			r(at+"power_dbm", err)
		}
	}
	if c.Region != "" {
		if _, err := p.Commands.Region(codec.Region(c.Region)); err != nil {
			r(at+"region", err)
		}
	}
}

// settings are what the reader is told; nil if it is only listened to.
func (c readerConfig) settings() *codec.Settings {
	p, err := codec.Find(c.Protocol)
	if err != nil || p.Commands == nil || c.Listen {
		return nil
	}
	return &codec.Settings{Power: c.Power, Region: codec.Region(c.Region)}
}
