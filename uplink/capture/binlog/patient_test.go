package binlog

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilenceEndsTheConnection: a server that says nothing for so long is gone, one that only waits to be read is not.
func TestSilenceEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		p := &patient{client}
		go server.Write([]byte("ab"))
		b := make([]byte, 1)
		for range 2 {
			if _, err := p.Read(b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * readTimeout)
		}
		began := time.Now()
		if _, err := p.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != readTimeout {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}
