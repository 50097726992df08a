package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"station-agent/station"
)

// rules are what a code means, of a configuration that was checked.
func (p *packingConfig) rules() (r station.Rules, err error) {
	r = station.Rules{
		Way: station.Way(p.Way), Together: p.Commit == "close", Commands: p.commands(), Pseudonym: p.pseudonym,
		AllowElsewhere: p.AllowElsewhere, AnyUnit: p.Identical == "any", ReuseLabels: p.ReuseLabels,
		TimeOut: p.TimeOut.value(), ReopenTime: p.Reopen.value(), Bounce: p.CoolDown.value(), RowsAge: p.RowsAge.value(),
	}
	for _, n := range p.Naming {
		r.Naming = append(r.Naming, station.Naming(n))
	}
	for _, f := range []struct {
		text string
		to   **regexp.Regexp
	}{{p.PackagePattern, &r.Package}, {p.ItemPattern, &r.Item}, {p.BadgePattern, &r.Badge}} {
		if *f.to, err = pattern(f.text); err != nil {
			return r, err
		}
	}
	return r, nil
}

// commands gives the code of each command.
func (p *packingConfig) commands() map[string]station.Command {
	codes := map[string]station.Command{}
	for _, c := range station.Commands() {
		if code := p.code(c); code != "" {
			codes[code] = c
		}
	}
	return codes
}

// code is the code of a command; "" if it has none, as there is no prefix.
func (p *packingConfig) code(c station.Command) string {
	switch {
	case c == station.Close && p.CloseCode != "":
		return p.CloseCode
	case c == station.Undo && p.UndoCode != "":
		return p.UndoCode
	case p.CommandPrefix == "":
		return ""
	}
	return p.CommandPrefix + strings.ToUpper(string(c))
}

// pseudonym stands for a badge in journal and proofs. Who doesn't know the site's prefix can't try badge numbers on it; who
// stands at the bench can.
func (p *packingConfig) pseudonym(badge string) string {
	m := hmac.New(sha256.New, []byte("badge\n"+p.CommandPrefix))
	m.Write([]byte(badge))
	return hex.EncodeToString(m.Sum(nil)[:6])
}

// pattern compiles a pattern so that it must match the whole code; nil for none.
func pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	re, err := regexp.Compile(`^(?:` + text + `)$`)
	if err != nil {
		return nil, fmt.Errorf("is no regular expression: %w", err)
	}
	return re, nil
}

// check refuses codes that could be taken for something else: what a code means must never depend on luck.
func (p *packingConfig) check(r report) {
	r.oneOf("packing.way", p.Way, string(station.LabelFirst), string(station.ItemsFirst), string(station.Sweep))
	r.oneOf("packing.commit", p.Commit, "item", "close")
	r.oneOf("packing.identical", p.Identical, "refuse", "any")
	p.checkNaming(r)
	p.checkTimes(r)
	p.checkCommands(r, p.checkPatterns(r))
}

func (p *packingConfig) checkNaming(r report) {
	if len(p.Naming) == 0 {
		r("packing.naming", errMissing)
	}
	seen := map[string]bool{}
	for _, n := range p.Naming {
		r.oneOf("packing.naming", n, string(station.ByHash), string(station.ByMap), string(station.ByGTIN), string(station.ByEAN))
		if seen[n] {
			r("packing.naming", fmt.Errorf("%q is there twice", n))
		}
		seen[n] = true
	}
}

func (p *packingConfig) checkTimes(r report) {
	r.between("packing.time_out", p.TimeOut, 0, 24*time.Hour)
	r.between("packing.reopen", p.Reopen, 0, 24*time.Hour)
	r.between("packing.rows_age", p.RowsAge, time.Second, 10*time.Minute)
	r.between("packing.gone_after", p.GoneAfter, 200*time.Millisecond, time.Minute)
	most := 5 * time.Second
	if p.Identical == "any" {
		most = 300 * time.Millisecond // beyond it, a person scans equal units one after another
	}
	r.between("packing.cool_down", p.CoolDown, time.Millisecond, most)
}

// named is a pattern with its field.
type named struct {
	field   string
	pattern *regexp.Regexp
}

// checkPatterns gives the patterns that are right.
func (p *packingConfig) checkPatterns(r report) (list []named) {
	r.need("packing.package_pattern", p.PackagePattern)
	for _, f := range []struct{ field, text string }{
		{"package_pattern", p.PackagePattern}, {"badge_pattern", p.BadgePattern}, {"item_pattern", p.ItemPattern},
	} {
		re, err := pattern(f.text)
		switch {
		case err != nil:
			r("packing."+f.field, err)
			continue
		case re == nil:
			continue
		}
		if item := itemLike(re); item != "" && f.field != "item_pattern" {
			r("packing."+f.field, fmt.Errorf("matches %s too, so that an item could be taken for it", item))
		}
		list = append(list, named{f.field, re})
	}
	return list
}

// itemLike tries the forms of item codes on a pattern and names the first that it takes.
func itemLike(re *regexp.Regexp) string {
	for _, probe := range [][2]string{
		{"", "the empty code"}, {"12345670", "an EAN-8"}, {"012345678905", "a UPC-A"}, {"8590000000017", "an EAN-13"},
		{"08590000000017", "a GTIN-14"}, {"3f0c9b7a51d24e8896ab0f17c2d4e6f8", "a hash of 32 characters"},
		{"3074257BF7194E4000001A85", "an RFID tag"},
	} {
		if re.MatchString(probe[0]) {
			return probe[1]
		}
	}
	return ""
}

func (p *packingConfig) checkCommands(r report, patterns []named) {
	if p.CloseCode == "" || p.UndoCode == "" { // an old configuration has these two and no other
		if r.need("packing.command_prefix", p.CommandPrefix) && !only(strings.ToUpper(p.CommandPrefix), strings.ToUpper(small)+digits+"-._", 32) {
			r("packing.command_prefix", errors.New("must have letters, digits, - . _ only, at most 32"))
		} else if len(p.CommandPrefix) > 0 && len(p.CommandPrefix) < 6 {
			r("packing.command_prefix", errors.New("is too short to be random: at least 6 characters, such as config sample makes"))
		}
	}
	if p.BadgePattern != "" && p.CommandPrefix == "" {
		r("packing.badge_pattern", errors.New("needs command_prefix, of which the pseudonyms are made"))
	}
	owner := map[string]string{}
	for _, c := range station.Commands() {
		code := p.code(c)
		if code == "" {
			continue
		}
		field := p.codeField(c)
		if err := p.checkCode(code, patterns); err != nil {
			r(field, err)
		}
		if other, twice := owner[code]; twice {
			r(field, fmt.Errorf("is the same as that of %s", other))
		}
		owner[code] = string(c)
	}
}

// codeField is where the code of a command stands.
func (p *packingConfig) codeField(c station.Command) string {
	switch {
	case c == station.Close && p.CloseCode != "":
		return "packing.close_code"
	case c == station.Undo && p.UndoCode != "":
		return "packing.undo_code"
	}
	return "packing.command_prefix"
}

func (p *packingConfig) checkCode(code string, patterns []named) error {
	if len(code) > 64 || len(code) < 4 || strings.ContainsAny(code, " \t\r\n") {
		return errors.New("must have 4 to 64 characters and no blanks")
	}
	for _, n := range patterns {
		if n.pattern.MatchString(code) {
			return fmt.Errorf("%q matches %s too: no label could be told from the command", code, n.field)
		}
	}
	if len(code) == 32 || only(code, digits, 64) {
		return fmt.Errorf("%q could be an item: use letters and another length than 32", code)
	}
	return nil
}

// renamed tells which fields have old names that are taken until version 2.
func (p *packingConfig) renamed() (warnings []string) {
	for _, f := range []struct{ field, value string }{{"close_code", p.CloseCode}, {"undo_code", p.UndoCode}} {
		if f.value != "" {
			warnings = append(warnings, fmt.Sprintf("packing.%s is old and goes with version 2: set packing.command_prefix and print the codes of station-agent commands", f.field))
		}
	}
	return warnings
}
