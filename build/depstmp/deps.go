// Package depstmp keeps modules in go.mod while their users are being written.
package depstmp

import (
	_ "github.com/hanwen/go-fuse/v2/fs"
	_ "github.com/klauspost/compress/zstd"
)
