package watch

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Listed is one station of an inventory.
type Listed struct{ Station, Name string }

// ReadInventory reads the stations that there should be: a line each, "uuid" or "uuid,name", with commas or semicolons; what
// comes behind the name is left out. The first line may be a header, and lines with # are comments.
func ReadInventory(in io.Reader) (list []Listed, err error) {
	text, err := io.ReadAll(io.LimitReader(in, mostBook+1))
	if err != nil {
		return nil, err
	}
	if len(text) > mostBook {
		return nil, fmt.Errorf("it is longer than %d bytes", mostBook)
	}
	body := strings.TrimPrefix(string(text), "\ufeff")
	r := csv.NewReader(strings.NewReader(body))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace, r.LazyQuotes = '#', -1, true, true
	if head, _, _ := strings.Cut(body, "\n"); strings.Contains(head, ";") && !strings.Contains(head, ",") {
		r.Comma = ';'
	}
	seen := map[string]bool{}
	for begin := true; ; begin = false {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		id := strings.ToLower(strings.TrimSpace(fields[0]))
		switch {
		case begin && !strings.ContainsAny(id, "0123456789-"): // the names of the columns
			continue
		case !isUUID(id):
			return nil, fmt.Errorf("line %d: %q is no uuid: write uuid,name", line, clean(fields[0], nameLength))
		case seen[id]:
			return nil, fmt.Errorf("line %d: station %s stands there twice", line, id)
		case len(list) >= mostStations:
			return nil, fmt.Errorf("line %d: more than %d stations", line, mostStations)
		}
		seen[id] = true
		l := Listed{Station: id}
		if len(fields) > 1 {
			l.Name = clean(fields[1], nameLength)
		}
		list = append(list, l)
	}
}
