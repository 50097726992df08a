package mysql

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialer connects so that what was given up stays given up. A closed socket usually goes on sending what is still in it,
// for a minute and more if the network is away: an UPDATE nobody waits for any longer would then run after newer ones.
//
//	linger 0           close discards what is unsent or unconfirmed, and resets
//	user timeout       the kernel gives up what the server's side didn't confirm within limit
//	keep-alive         is on by Go's default, so that a silent loss is noticed while nothing is asked
func dialer(limit time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		outer := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
		})
		if outer != nil {
			return outer
		}
		return err
	}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil {
			c.Close()
			return nil, fmt.Errorf("set linger of connection to %s: %w", addr, err)
		}
		return c, nil // as it is: the driver looks whether a *net.TCPConn still lives before it uses one again
	}
}
