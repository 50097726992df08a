package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const maxConfig = 1 << 20

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
			where += ": " + f.field
		}
		list[i] = where + ": " + oneLine(f.text)
	}
	return list
}

// loadConfig reads, completes and checks the file. Its errors are *configError.
func loadConfig(file string) (*config, error) {
	data, err := os.ReadFile(file)
	if err == nil && len(data) > maxConfig {
		err = fmt.Errorf("longer than %d bytes", maxConfig)
	}
	if err != nil {
		return nil, &configError{file: file, faults: []fault{{text: strings.TrimPrefix(err.Error(), "open "+file+": ") + ": name the configuration with --config"}}}
	}
	return parseConfig(file, data)
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
	var faults []fault
	c.check(func(field string, err error) {
		line, column := at.of(field)
		faults = append(faults, fault{line, column, field, err.Error()})
	})
	if len(faults) == 0 {
		return &c, nil
	}
	slices.SortStableFunc(faults, func(a, b fault) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
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
			faults[i] = fault{line, column, strings.Join(e.Key(), "."), "unknown field: see station-agent config sample for those that exist"}
		}
		return faults
	}
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return []fault{{line, column, strings.Join(bad.Key(), "."), strings.TrimPrefix(bad.Error(), "toml: ")}}
	}
	return []fault{{1, 1, "", err.Error()}}
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

// positions reads the keys of a document that the decoder took.
func positions(data []byte) places {
	at := places{}
	count := map[string]int{}
	table := ""
	p := unstable.Parser{}
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		name, raw := dotted(e)
		switch e.Kind {
		case unstable.ArrayTable:
			table = name + "[" + strconv.Itoa(count[name]) + "]"
			count[name]++
			at[table] = p.Shape(raw).Start
		case unstable.Table:
			table = name
			at[table] = p.Shape(raw).Start
		case unstable.KeyValue:
			if table != "" {
				name = table + "." + name
			}
			at[name] = p.Shape(raw).Start
		}
	}
	return at
}

// dotted gives the key of an expression and the range of its first part.
func dotted(e *unstable.Node) (string, unstable.Range) {
	var parts []string
	var raw unstable.Range
	for it := e.Key(); it.Next(); {
		if len(parts) == 0 {
			raw = it.Node().Raw
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), raw
}
