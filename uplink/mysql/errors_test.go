package mysql

import (
	"context"
	"crypto/x509"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/store/record"
)

func TestExplainByNumber(t *testing.T) {
	for _, c := range []struct {
		number uint16
		state  string
		class  record.Class
		advice string
	}{
		{1045, "28000", record.Again, "correct the password file or ask Buylo operations to allow this address"},
		{1698, "28000", record.Again, "correct the password file"},
		{1130, "HY000", record.Again, "allow this address"},
		{1862, "HY000", record.Again, "renew"},
		{1044, "42000", record.Again, "no right on this schema"},
		{1820, "HY000", record.Again, "renew"},
		{3118, "HY000", record.Again, "renew"},
		{3955, "HY000", record.Again, "unblock"},
		{4150, "HY000", record.Again, "unblock"},
		{1129, "HY000", record.Again, "flush its hosts"},
		{1142, "42000", record.ThisOne, "UPDATE (external_package_id)"},
		{1143, "42000", record.ThisOne, "UPDATE (external_package_id)"},
		{1049, "42000", record.Again, "correct the schema"},
		{1227, "42000", record.Again, "the one that is named"},
		{1146, "42S02", record.Again, "check schema and table"},
		{1054, "42S22", record.Again, "no such column"},
		{1205, "HY000", record.Again, "holds the row"},
		{1213, "40001", record.Again, "holds the row"},
		{3572, "HY000", record.Again, "holds the row"},
		{1290, "HY000", record.Again, "takes no changes"},
		{1836, "HY000", record.Again, "takes no changes"},
		{1040, "08004", record.Again, "no room"},
		{1226, "42000", record.Again, "no room"},
		{1053, "08S01", record.Again, "connected again"},
		{1927, "70100", record.Again, "connected again"},
		{2006, "HY000", record.Again, "connected again"},
		{2013, "HY000", record.Again, "connected again"},
		{3159, "HY000", record.Again, "wants TLS"},
		{1406, "22001", record.ThisOne, "never takes this value"},
		{1406, "", record.ThisOne, "never takes this value"},
		{1366, "HY000", record.ThisOne, "never takes this value"},
		{1690, "22003", record.ThisOne, "never takes this value"},
		{1062, "23000", record.ThisOne, "never takes this value"},
		{4025, "23000", record.ThisOne, "never takes this value"},
		{9999, "HY000", record.Again, "ask Buylo operations if it stays"},
	} {
		e := &driver.MySQLError{Number: c.number, Message: "what the server said"}
		copy(e.SQLState[:], c.state)
		got := Explain(fmt.Errorf("outer: %w", e))
		if record.ClassOf(got) != c.class || !strings.Contains(got.Error(), c.advice) || !strings.Contains(got.Error(), fmt.Sprint(c.number)) ||
			!strings.Contains(got.Error(), e.Message) || !errors.Is(got, e) {
			t.Errorf("%d: class %d, %v", c.number, record.ClassOf(got), got)
		}
		if again := Explain(fmt.Errorf("settle: %w", got)); again.Error() != "settle: "+got.Error() || record.ClassOf(again) != c.class {
			t.Errorf("explained twice: %v", again)
		}
	}
}

func TestExplainTheWay(t *testing.T) {
	for _, c := range []struct {
		err    error
		advice string
	}{
		{sqldriver.ErrBadConn, "connected again"},
		{driver.ErrInvalidConn, "connected again"},
		{io.EOF, "connected again"},
		{context.DeadlineExceeded, "no answer in time"},
		{&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, "no answer in time"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "can't be reached"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connected again"},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, "connected again"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: unknown certificate authority")}, "client certificate"},
		{&net.DNSError{Err: "no such host", Name: "db", IsNotFound: true}, "can't be reached"},
		{driver.ErrNoTLS, "set tls to off"},
		{x509.UnknownAuthorityError{}, "CA file"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "db"}, "server name"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "clock"},
		{errors.New("read secret: the file is empty"), "read secret: the file is empty"},
		{&fs.PathError{Op: "open", Path: "/etc/x", Err: syscall.ENOENT}, "outer: open /etc/x: no such file or directory"},
		{context.Canceled, "context canceled"},
	} {
		got := Explain(fmt.Errorf("outer: %w", c.err))
		if record.ClassOf(got) != record.Again || !strings.Contains(got.Error(), c.advice) || !errors.Is(got, c.err) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	if Explain(nil) != nil {
		t.Error("explains nothing")
	}
}

// TestHostileMessage: what a server says is bounded and stays on its line.
func TestHostileMessage(t *testing.T) {
	got := Explain(&driver.MySQLError{Number: 1045, Message: "\x1b[2J\r\n\xff\u202e" + strings.Repeat("ж", 70_000)}).Error()
	if len(got) > 1000 || strings.ContainsAny(got, "\x1b\r\n\u202e") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// words are what an explained error can be asked.
type words interface {
	error
	NotDone() bool
	Contended() bool
	OverTime() bool
	Unknown() bool
}

func ask(t *testing.T, err error) words {
	t.Helper()
	e, ok := errors.AsType[words](Explain(fmt.Errorf("outer: %w", err)))
	if !ok {
		t.Fatalf("%v can't be asked", err)
	}
	return e
}

func refused(number uint16) error { return &driver.MySQLError{Number: number} }

func TestNotDone(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{refused(1142), true},
		{refused(1205), true},
		{refused(1213), true},
		{refused(1406), true},
		{refused(1045), true},
		{sqldriver.ErrBadConn, true},
		{refused(1053), false},
		{refused(1180), false},
		{refused(1317), false},
		{refused(2013), false},
		{driver.ErrInvalidConn, false},
		{io.ErrUnexpectedEOF, false},
		{context.DeadlineExceeded, false},
		{&net.OpError{Op: "write", Err: syscall.ECONNRESET}, false},
	} {
		if got := ask(t, c.err).NotDone(); got != c.want {
			t.Errorf("%v: not done %t, want %t", c.err, got, c.want)
		}
	}
}

func TestOverTime(t *testing.T) {
	for number, want := range map[uint16]bool{1969: true, 3024: true, 1317: false, 1205: false} {
		if got := ask(t, refused(number)).OverTime(); got != want {
			t.Errorf("%d: over time %t", number, got)
		}
	}
}

func TestContendedAndUnknown(t *testing.T) {
	contended, unknown := map[uint16]bool{1020: true, 1205: true, 1213: true, 3572: true}, map[uint16]bool{1064: true, 1105: true, 9999: true}
	for _, number := range []uint16{
		1020, 1205, 1213, 3572, 1064, 1105, 9999, 1040, 1044, 1045, 1049, 1053, 1129, 1142, 1143, 1146, 1226, 1290, 1317, 1406, 1062, 2006, 2013, 3159,
	} {
		got := ask(t, refused(number))
		if got.Contended() != contended[number] || got.Unknown() != unknown[number] {
			t.Errorf("%d: contended %t, unknown %t", number, got.Contended(), got.Unknown())
		}
	}
	for _, err := range []error{io.EOF, driver.ErrInvalidConn, sqldriver.ErrBadConn, context.DeadlineExceeded} {
		if got := ask(t, err); got.Contended() || got.Unknown() {
			t.Errorf("%v: contended %t, unknown %t", err, got.Contended(), got.Unknown())
		}
	}
}
