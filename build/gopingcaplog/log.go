// Package log stands in for github.com/pingcap/log in the device binary, with the stand-in for zap: the table of collations that
// go-mysql asks writes to it, which is nothing that an operator could act on.
package log

import "go.uber.org/zap"

// Debug does nothing.
func Debug(string, ...zap.Field) {}

// Warn does nothing.
func Warn(string, ...zap.Field) {}

// Error does nothing.
func Error(string, ...zap.Field) {}

// Fatal ends the program, as the caller expects that nothing follows.
func Fatal(text string, _ ...zap.Field) { panic(text) }
