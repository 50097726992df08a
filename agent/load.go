package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	maxConfig    = 1 << 20
	unknownField = "unknown field: see station-agent config sample for those that exist"
)

// configError is a configuration that can't be used: the faults of one file, in its order.
type configError struct {
	file   string
	faults []fault
	all    bool // show every fault, a line each
}

// fault is one wrong field.
type fault struct {
	line, column int // from 1; 0 if the file could not be read at all
	field        string
	text         string
}

// Error is one line: the first fault, and how many there are besides.
func (e *configError) Error() string {
	if e.all {
		return strings.Join(e.lines(), "\nstation-agent: ")
	}
	first := e.lines()[0]
	if n := len(e.faults) - 1; n > 0 {
		return fmt.Sprintf("%s (and %d more: see station-agent config check)", first, n)
	}
	return first
}

// lines gives every fault as FILE:LINE:COLUMN: FIELD: TEXT.
func (e *configError) lines() []string {
	list := make([]string, len(e.faults))
	for i, f := range e.faults {
		where := e.file
		if f.line > 0 {
			where = fmt.Sprintf("%s:%d:%d", e.file, f.line, f.column)
		}
		if f.field != "" {
			where += ": " + cut(f.field, 80)
		}
		list[i] = oneLine(where + ": " + cut(f.text, 400))
	}
	return list
}

// cut shortens what a file may have made long.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// loadConfig gives the configuration that counts: that of the file, or one that the fleet sent in its place. Its errors are
// *configError.
func loadConfig(file string) (*config, error) {
	c, data, err := loadFile(file)
	if err != nil {
		return nil, err
	}
	return newTrials(file, c, data).counts(c), nil
}

// loadFile reads, completes and checks the file.
func loadFile(file string) (*config, []byte, error) {
	data, err := readBounded(file, maxConfig)
	if err != nil {
		text := err.Error()
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			text = at.Err.Error()
		}
		if errors.Is(err, fs.ErrNotExist) {
			text += ": name the configuration with --config"
		}
		return nil, nil, &configError{file: file, faults: []fault{{text: text}}}
	}
	c, err := parseConfig(file, bytes.TrimPrefix(data, []byte("\ufeff"))) // an editor's byte order mark
	return c, data, err
}

func parseConfig(file string, data []byte) (*config, error) {
	c := defaults()
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, &configError{file: file, faults: decodeFaults(err)}
	}
	c.fill()
	at := positions(data)
	faults := at.unknown() // the decoder takes keys in any case and [reader] for [[reader]]
	c.check(func(field string, err error) {
		line, column := at.of(field)
		faults = append(faults, fault{line, column, field, err.Error()})
	})
	if len(faults) == 0 {
		c.useSent()
		return &c, nil
	}
	sort.SliceStable(faults, func(i, k int) bool {
		return cmp.Or(faults[i].line-faults[k].line, faults[i].column-faults[k].column) < 0
	})
	return nil, &configError{file: file, faults: faults}
}

// decodeFaults puts the decoder's errors into our form.
func decodeFaults(err error) []fault {
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) {
		faults := make([]fault, len(missing.Errors))
		for i, e := range missing.Errors {
			line, column := e.Position()
			faults[i] = fault{line, column, strings.Join(e.Key(), "."), unknownField}
		}
		return faults
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return []fault{{line, column, strings.Join(bad.Key(), "."), plainWords(bad.Error())}}
	}
	return []fault{{1, 1, "", err.Error()}}
}

// plainWords says in the words of the file what the decoder says in those of the program.
func plainWords(text string) string {
	text = strings.TrimPrefix(text, "toml: ")
	if is, _, ok := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into "); ok && strings.HasPrefix(text, "cannot decode TOML ") {
		return "is of the wrong kind (" + is + "): see station-agent config sample"
	}
	return text
}

// places maps a field ("mysql.address", "reader[1].device") to where its key stands in the file.
type places map[string]unstable.Position

// of finds field or else the table it belongs to or should belong to; a table that is missing altogether is missing at the
// start of the file.
func (p places) of(field string) (line, column int) {
	for name := field; name != ""; {
		if at, ok := p[name]; ok {
			return at.Line, at.Column
		}
		i := strings.LastIndexAny(name, ".[")
		if i < 0 {
			break
		}
		name = name[:i]
	}
	return 1, 1
}

// unknown lists the keys that are none of config's, to the letter.
func (p places) unknown() []fault {
	known := map[string]bool{}
	addFields(known, reflect.TypeFor[config](), "")
	index := regexp.MustCompile(`\[\d+\]`)
	var list []fault
	for name, at := range p {
		switch plain := index.ReplaceAllString(name, "[]"); {
		case known[plain+"[]"]:
			list = append(list, fault{at.Line, at.Column, name, "is a table of which there may be several: write [[" + name + "]]"})
		case !known[plain]:
			list = append(list, fault{at.Line, at.Column, name, unknownField})
		}
	}
	return list
}

// addFields adds the keys of a struct below prefix: "mysql", "mysql.address", "reader[]", "reader[].device".
func addFields(known map[string]bool, typ reflect.Type, prefix string) {
	for f := range typ.Fields() {
		if f.Tag.Get("toml") == "" {
			continue
		}
		name, inner := prefix+f.Tag.Get("toml"), f.Type
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			name, inner = name+"[]", inner.Elem()
		}
		known[name] = true
		if inner.Kind() == reflect.Struct {
			addFields(known, inner, name+".")
		}
	}
}

// positions reads the keys of a document that the decoder took.
func positions(data []byte) places {
	at := places{}
	count := map[string]int{}
	prefix := ""
	p := unstable.Parser{}
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.ArrayTable:
			name, place := dotted(&p, e)
			table := name + "[" + strconv.Itoa(count[name]) + "]"
			count[name]++
			at[table], prefix = place, table+"."
		case unstable.Table:
			name, place := dotted(&p, e)
			at[name], prefix = place, name+"."
		case unstable.KeyValue:
			at.add(&p, e, prefix)
		}
	}
	return at
}

// add notes one key, and those of an inline table.
func (p places) add(parser *unstable.Parser, e *unstable.Node, prefix string) {
	name, place := dotted(parser, e)
	p[prefix+name] = place
	if v := e.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			p.add(parser, it.Node(), prefix+name+".")
		}
	}
}

// dotted gives the key of an expression and where it begins.
func dotted(p *unstable.Parser, e *unstable.Node) (string, unstable.Position) {
	var parts []string
	var raw unstable.Range
	for it := e.Key(); it.Next(); {
		if len(parts) == 0 {
			raw = it.Node().Raw
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), p.Shape(raw).Start
}
