package binlog

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// TestPasswordInClearTextIsRefused: a server that asks for it, without TLS, at the greeting or later, doesn't get it.
func TestPasswordInClearTextIsRefused(t *testing.T) {
	for _, plugin := range []string{"mysql_clear_password", "mysql_native_password"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		heard := make(chan string, 1)
		go func() {
			server, err := ln.Accept()
			if err != nil {
				heard <- err.Error()
				return
			}
			defer server.Close()
			_ = server.SetDeadline(time.Now().Add(2 * time.Second)) // a client that did send it would wait for more
			send := func(seq byte, body string) {
				_, _ = io.WriteString(server, string([]byte{byte(len(body)), 0, 0, seq})+body)
			}
			// protocol 10, version, connection, salt, 0, capabilities, charset, status, capabilities, length of salt, reserved, salt
			send(0, "\x0a8.0.0\x00\x01\x00\x00\x00saltsalt\x00\xff\xf7\x2d\x02\x00\x0f\x00\x15"+strings.Repeat("\x00", 10)+"saltsaltsalt\x00"+plugin+"\x00")
			answer := make([]byte, 4096)
			n, _ := server.Read(answer)
			send(2, "\xfemysql_clear_password\x00")
			more, _ := io.ReadAll(server)
			heard <- string(answer[:n]) + string(more)
		}()
		c, err := client.ConnectWithDialer(t.Context(), "tcp", ln.Addr().String(), "u", "open-sesame", "", dialer(t.Context(), true))
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, errClearText) && (err == nil || !strings.Contains(err.Error(), errClearText.Error())) {
			t.Errorf("greeted with %s: %v", plugin, err)
		}
		if strings.Contains(<-heard, "open-sesame") {
			t.Errorf("greeted with %s: the password was sent", plugin)
		}
	}
}
