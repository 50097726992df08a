// Package zap stands in for go.uber.org/zap in the device binary: what go-mysql brings along names these fields for a log that
// nobody reads, and the whole of it would be a third of a megabyte on the card.
package zap

// Field is nothing.
type Field struct{}

// String is nothing.
func String(string, string) Field { return Field{} }

// Int is nothing.
func Int(string, int) Field { return Field{} }

// Error is nothing.
func Error(error) Field { return Field{} }

// Stack is nothing.
func Stack(string) Field { return Field{} }
