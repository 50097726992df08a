package proof

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// maxLine is more than a record of the largest row takes.
const maxLine = 64 << 20

// encode is the one way in which a line is written: a line that is written in another one was changed.
func encode(line any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(line)
	return b.Bytes(), err
}

// A BadLine is a line that no Writer writes, or that doesn't fit to the others.
type BadLine struct {
	Line int // from 1
	Why  string
}

// Error names the line.
func (b *BadLine) Error() string { return fmt.Sprintf("line %d: %s", b.Line, printable(b.Why)) }

// printable is what others wrote, so that it can't break a line or reach the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// Read gives f each line of a file, from *Header to *End, with its number. The error is f's, that of in, one that the agent wrote
// instead of the rest, or a *BadLine.
func Read(in io.Reader, f func(n int, line any) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	all, n, ended := sha256.New(), 0, false
	count := End{Type: "end"}
	for lines.Scan() {
		n++
		b := lines.Bytes()
		line, err := decode(b, n)
		if err != nil {
			return err
		}
		if _, first := line.(*Header); first != (n == 1) || ended {
			return &BadLine{n, map[bool]string{true: "it is behind the end", false: "the header is missing, or there are two"}[ended]}
		}
		switch l := line.(type) {
		case *Scan:
			count.Scans++
		case *Record:
			count.Records++
		case *End:
			if ended, count.Sum = true, hex.EncodeToString(all.Sum(nil)); *l != count {
				return &BadLine{n, fmt.Sprintf("counts or checksum don't fit: the file was changed or is damaged (counted %d scans, %d records, SHA-256 %s)",
					count.Scans, count.Records, count.Sum)}
			}
		}
		all.Write(b)
		all.Write([]byte{'\n'})
		if err := f(n, line); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return &BadLine{n + 1, fmt.Sprintf("it is longer than %d bytes", maxLine)}
	case err != nil:
		return err
	case !ended:
		return &BadLine{n + 1, "the file is cut off here"}
	}
	return nil
}

// decode reads one line and holds it to be written as a Writer writes it.
func decode(b []byte, n int) (any, error) {
	var kind struct {
		Type, Error, Format string
		Version             json.RawMessage // a record's is a text
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return nil, &BadLine{n, fmt.Sprintf("it is no JSON object: %v", err)}
	}
	if kind.Type == "header" && (kind.Format != format || string(kind.Version) != strconv.Itoa(version)) {
		return nil, &BadLine{n, fmt.Sprintf("it is %q version %s, and this program reads %q version %d", kind.Format, kind.Version, format, version)}
	}
	var line any
	switch kind.Type {
	case "header":
		line = new(Header)
	case "scan":
		line = new(Scan)
	case "intent":
		line = new(Intent)
	case "record":
		line = new(Record)
	case "contents":
		line = new(Contents)
	case "end":
		line = new(End)
	default:
		if kind.Error != "" {
			return nil, errors.New(printable(kind.Error))
		}
		return nil, &BadLine{n, fmt.Sprintf("its type is %q, which a file of version %d doesn't have", kind.Type, version)}
	}
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(line); err != nil {
		return nil, &BadLine{n, fmt.Sprintf("%v: it was changed, or a newer program made it", err)}
	}
	again, err := encode(line)
	if err != nil || !bytes.Equal(bytes.TrimRight(again, "\n"), b) {
		return nil, &BadLine{n, "it isn't written as station-agent writes it: the file was changed"}
	}
	return line, nil
}
