// Package json stands in for github.com/goccy/go-json in the device binary: go-mysql asks it for these two names alone, for
// MySQL's JSON columns, and the whole of it would be half a megabyte on the card.
package json

import "encoding/json"

// RawMessage is encoding/json's.
type RawMessage = json.RawMessage

// Marshal is encoding/json's.
func Marshal(v any) ([]byte, error) { return json.Marshal(v) }
