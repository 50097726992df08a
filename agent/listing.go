package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

// list gives f each line of a streamed answer.
func list[T any](a agentAt, cmd *cobra.Command, path string, f func(T) error) error {
	res, err := a.send(cmd, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return errors.Join(eachLine(res.Body, f), res.Body.Close())
}

// eachLine gives f each line of a streamed answer, until one says what went wrong.
func eachLine[T any](in io.Reader, f func(T) error) error {
	for dec := json.NewDecoder(in); ; {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read answer: %w: it is cut off", err)
		}
		var trouble struct{ Error string }
		var v T
		if err := errors.Join(json.Unmarshal(raw, &trouble), json.Unmarshal(raw, &v)); err != nil {
			return fmt.Errorf("read answer: %w: is the agent of another version?", err)
		}
		if trouble.Error != "" {
			return errors.New(trouble.Error)
		}
		if err := f(v); err != nil {
			return err
		}
	}
}

// printJSON prints v as one line.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
