package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"
)

// listen gives an address and what connects to it.
func listen(t *testing.T) (addr string, accept func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), func() net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
}

func TestDialedSocket(t *testing.T) {
	addr, accept := listen(t)
	c, err := dialer(7*time.Second)(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accept()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		user, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		alive, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		if user != 7000 || alive != 1 {
			t.Errorf("user timeout %d ms, keep-alive %d", user, alive)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestGivenUpBytesAreDiscarded: what the other side hadn't taken when the connection was closed never comes.
func TestGivenUpBytesAreDiscarded(t *testing.T) {
	addr, accept := listen(t)
	c, err := dialer(time.Second)(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := accept()
	_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	sent, _ := c.Write(make([]byte, 64<<20)) // until both sides are full
	c.Close()
	got, err := io.Copy(io.Discard, server)
	if !errors.Is(err, syscall.ECONNRESET) || got >= int64(sent) {
		t.Errorf("%d of %d bytes came, end: %v; want fewer, and a reset", got, sent, err)
	}
}

// TestPoolResetsWhatItGivesUp: the pool's connections are of that kind.
func TestPoolResetsWhatItGivesUp(t *testing.T) {
	addr, accept := listen(t)
	db, err := Open(Config{Address: addr, User: "u", Password: func() (string, error) { return "p", nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	pinged := make(chan error, 1)
	go func() { pinged <- db.PingContext(ctx) }()
	server := accept()
	greet(t, server, "mysql_native_password") // it answered: by now the socket is as it stays
	cancel()
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
	<-pinged
}

// packet sends one of the protocol.
func packet(server net.Conn, seq byte, body string) {
	_, _ = io.WriteString(server, string([]byte{byte(len(body)), 0, 0, seq})+body)
}

// greet plays the server up to the client's answer, which it gives: protocol 10, version, connection, salt, 0, capabilities,
// charset, status, capabilities, length of salt, reserved, salt, plugin.
func greet(t *testing.T, server net.Conn, plugin string) (answer string) {
	t.Helper()
	packet(server, 0, "\x0a8.0.0\x00\x01\x00\x00\x00saltsalt\x00\xff\xf7\x2d\x02\x00\x0f\x00\x15"+strings.Repeat("\x00", 10)+"saltsaltsalt\x00"+plugin+"\x00")
	b := make([]byte, 4096)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestPasswordInClearTextIsRefused: a server that asks for it, without TLS, at the greeting or later, doesn't get it.
func TestPasswordInClearTextIsRefused(t *testing.T) {
	for _, greeting := range []string{"mysql_clear_password", "mysql_native_password"} {
		addr, accept := listen(t)
		db, err := Open(Config{Address: addr, User: "u", Password: func() (string, error) { return "open-sesame", nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		pinged := make(chan error, 1)
		go func() { pinged <- db.PingContext(t.Context()) }()
		server := accept()
		answer := greet(t, server, greeting)
		packet(server, 2, "\xfemysql_clear_password\x00")
		more, _ := io.ReadAll(server)
		if err := <-pinged; !errors.Is(err, driver.ErrCleartextPassword) {
			t.Errorf("greeted with %s: %v", greeting, err)
		}
		if strings.Contains(answer+string(more), "open-sesame") {
			t.Errorf("greeted with %s: the password was sent", greeting)
		}
	}
}
