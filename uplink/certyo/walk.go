package certyo

import (
	"encoding/json"
	"slices"
	"strings"
)

// Bulk answers are read by hand as far as they are plain, since encoding/json took more time than all else that happens to a
// record on its way. What isn't plain, an escape or a name in other letters, is left to encoding/json, and so is what stands
// beside the lists of results: the outcome is the same.

// unread is the list of this name that nothing was read into yet, nil if there is none.
func (e *envelope) unread(name string) *[]result {
	for i, list := range []*[]result{&e.Results, &e.Records, &e.Items, &e.Data} {
		if name == listNames[i] && *list == nil {
			return list
		}
	}
	return nil
}

var listNames = []string{"results", "records", "items", "data"}

// readObject reads an answer that is an object. Fields of another type than expected are left out.
func (e *envelope) readObject(text string) {
	rest := []byte{'{'} // without the lists
	w := walker{text, 1}
	for w.more() {
		name, value := w.member()
		list := e.unread(inner(name))
		switch {
		case list != nil && value[0] == '[':
			*list = readResults(value)
			continue
		case like(inner(name), listNames): // no list, or one that is there twice
			*e = envelope{}
			_ = json.Unmarshal([]byte(text), e) // it is valid
			return
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(append(rest, name...), ':'), value...)
	}
	_ = json.Unmarshal(append(rest, '}'), e)
}

// readResults reads an array; what is no object in it is a result that says nothing.
func readResults(text string) []result {
	list := make([]result, 0, min(strings.Count(text, "{"), MaxRecords))
	for w := (walker{text, 1}); w.more(); {
		var r result
		if w.blank(); text[w.at] != '{' {
			w.value()
		} else if from := w.at; !r.read(&w) {
			w.at, r = from, result{}
			_ = json.Unmarshal([]byte(w.value()), &r)
		}
		list = append(list, r)
	}
	return list
}

// read reads the object at w and tells whether it was plain.
func (r *result) read(w *walker) bool {
	w.at++
	for w.more() {
		name, value := w.member()
		field := r.field(inner(name))
		switch {
		case field == nil && like(inner(name), fieldNames):
			return false
		case field == nil:
		case value[0] != '"' && value != "null":
			*field = loose(value)
		case value == "null":
			*field = ""
		case plain(value):
			*field = loose(inner(value))
		default:
			return false
		}
	}
	return true
}

// inner is a JSON string without its quotes.
func inner(s string) string { return s[1 : len(s)-1] }

var fieldNames = []string{"idempotencyKey", "recordId", "recordVersion", "recordHash", "acceptedAt", "idempotencyReplayed", "snapshotId",
	"status", "statusCode", "accepted", "success", "error", "errors", "message"}

// field is the one that has this name in JSON, nil if there is none.
func (r *result) field(name string) *loose {
	switch name {
	case "idempotencyKey":
		return &r.Key
	case "recordId":
		return &r.ID
	case "recordVersion":
		return &r.Version
	case "recordHash":
		return &r.Hash
	case "acceptedAt":
		return &r.At
	case "idempotencyReplayed":
		return &r.Replayed
	case "snapshotId":
		return &r.Snapshot
	case "status":
		return &r.Status
	case "statusCode":
		return &r.Code
	case "accepted":
		return &r.Accepted
	case "success":
		return &r.Success
	case "error":
		return &r.Error
	case "errors":
		return &r.Errors
	case "message":
		return &r.Message
	}
	return nil
}

// like tells whether encoding/json may take name for one of these.
func like(name string, names []string) bool {
	return strings.Contains(name, `\`) || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// walker goes through JSON that is known to be valid.
type walker struct {
	text string
	at   int
}

func (w *walker) blank() {
	for w.at < len(w.text) && (w.text[w.at] == ' ' || w.text[w.at] == '\n' || w.text[w.at] == '\t' || w.text[w.at] == '\r') {
		w.at++
	}
}

// more steps to the next element or member; behind the last it steps over the end and tells that there is none.
func (w *walker) more() bool {
	w.blank()
	switch w.text[w.at] {
	case '}', ']':
		w.at++
		return false
	case ',':
		w.at++
	}
	return true
}

// member gives a member of an object: its name with the quotes, and its value.
func (w *walker) member() (name, value string) {
	name = w.value()
	w.blank()
	w.at++ // the colon
	return name, w.value()
}

// value gives a value as it stands.
func (w *walker) value() string {
	w.blank()
	from := w.at
	switch w.text[from] {
	case '"':
		w.skipString()
	case '{', '[':
		w.skipNested()
	default:
		for w.at < len(w.text) && !strings.ContainsRune(",]} \n\t\r", rune(w.text[w.at])) {
			w.at++
		}
	}
	return w.text[from:w.at]
}

func (w *walker) skipString() {
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
}

func (w *walker) skipNested() {
	for depth := 0; ; {
		switch w.text[w.at] {
		case '"':
			w.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if w.at++; depth == 0 {
			return
		}
	}
}
