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
	"slices"
	"strings"
	"syscall"
	"unicode"

	driver "github.com/go-sql-driver/mysql"

	"station-agent/store/record"
)

// explained is an error in the words for a person: what MySQL said, and what to do.
type explained struct {
	text string
	err  error
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.err }

// NotDone tells whether the statement that gave this error did nothing and never will: the server refused it, or it was
// never sent. False means that nobody knows: the answer was lost, or never came.
func (e explained) NotDone() bool {
	if m, ok := errors.AsType[*driver.MySQLError](e.err); ok {
		return !farewell(m.Number)
	}
	return errors.Is(e.err, sqldriver.ErrBadConn) // the driver's word for "before anything was sent"
}

// Contended tells whether another transaction was in the way: soon tried again, rather than after a growing pause.
func (e explained) Contended() bool {
	m, ok := errors.AsType[*driver.MySQLError](e.err)
	return ok && slices.Contains([]uint16{1020, 1205, 1213, 3572}, m.Number)
}

// OverTime tells whether the server ended the statement after the time that was set for it (1969 is MariaDB's, 3024 MySQL's).
func (e explained) OverTime() bool {
	m, ok := errors.AsType[*driver.MySQLError](e.err)
	return ok && (m.Number == 1969 || m.Number == 3024)
}

// Unknown tells whether the server gave a number that nothing is known about here. It may pass, or never will.
func (e explained) Unknown() bool {
	m, ok := errors.AsType[*driver.MySQLError](e.err)
	return ok && !dataError(m) && !forbidden(m) && advices()[m.Number] == ""
}

// unreadable is an error of the password's source. It has nothing to do with the network, whatever is in it.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// Explain gives err its class and a text that names the thing, the reason and what to do. What can never work becomes
// record.Never: a value that the column doesn't take, and an action that the account has no right to. All else is to be
// tried again. Nil stays nil, and explaining twice changes nothing.
//
// What comes from the server or the way to it can be asked by errors.As:
//
//	NotDone() bool     the statement did nothing and never will
//	Contended() bool   another transaction was in the way: try again soon
//	OverTime() bool    the server ended the statement after the time that was set for it
//	Unknown() bool     nothing is known about the server's number: call somebody if it stays
func Explain(err error) error {
	if _, done := errors.AsType[explained](err); err == nil || done {
		return err
	}
	if e, ok := errors.AsType[*driver.MySQLError](err); ok {
		return answer(e, err)
	}
	return connection(err)
}

// answer explains an error that the server sent.
func answer(e *driver.MySQLError, err error) error {
	said := clean(e.Message)
	if r, ok := errors.AsType[refusal](err); ok {
		said += r.besides()
	}
	tell := func(advice string) error {
		return explained{fmt.Sprintf("mysql error %d: %s: %s", e.Number, said, advice), err}
	}
	advice := advices()[e.Number]
	switch {
	case dataError(e):
		return record.Never(tell("the database never takes this value: correct it"))
	case forbidden(e):
		return record.Never(tell("the account lacks this right, without it this can never work: ask Buylo operations for " + grant(e.Message)))
	case advice == "":
		return tell("tried again; ask Buylo operations if it stays")
	}
	return tell(advice)
}

// farewell is what a server says when it ends a statement or a connection from its side, or can't tell how the commit
// ended; 2000 to 2999 are a client's numbers, handed on by a proxy. Whether the statement was done isn't in it.
func farewell(number uint16) bool {
	switch number {
	case 1053, 1180, 1317, 1927, 4031:
		return true
	}
	return number >= 2000 && number < 3000
}

// dataError tells whether the value itself was refused: SQLSTATE classes 22 (data exception) and 23 (constraint), and
// those that come under HY000.
func dataError(e *driver.MySQLError) bool {
	switch e.Number {
	case 1048, 1062, 1264, 1267, 1300, 1366, 1406, 3819, 3854, 3988, 4025:
		return true
	}
	class := string(e.SQLState[:2])
	return class == "22" || class == "23"
}

// forbidden tells whether the account has no right to do this, on the table or on the column.
func forbidden(e *driver.MySQLError) bool { return e.Number == 1142 || e.Number == 1143 }

// advices says what to do about what is tried again, by the number of the error (MySQL error reference; 1927, 1969, 4025,
// 4150 and 4151 are MariaDB's).
func advices() map[uint16]string {
	const (
		login   = "wrong password or source address not allowed for this user (or it must use TLS): correct the password file or ask Buylo operations to allow this address"
		locked  = "the account is locked or its password expired: ask Buylo operations to renew it"
		blocked = "the account is blocked after too many wrong passwords: correct the password file and ask Buylo operations to unblock it"
		busy    = "the server has no room for this connection now: tried again"
		row     = "another transaction holds the row: tried again soon"
		back    = "the server closed the connection or stops: connected again"
		long    = "the server has much to do, or must read much for it: it ended the statement after its time, which is tried again"
		reading = "the server takes no changes now: tried again; if it stays, the address may be that of a replica"
	)
	return map[uint16]string{
		1045: login, 1130: login, 1698: login, 1129: "the server blocks this address after broken connects: ask Buylo operations to flush its hosts",
		1820: locked, 1862: locked, 3118: locked, 4151: locked, 3955: blocked, 4150: blocked,
		1044: "the account has no right on this schema: correct the schema or ask Buylo operations for the grant",
		1049: "there is no such schema: correct the schema in the configuration",
		1227: "the account lacks a right on the server: ask Buylo operations for the one that is named",
		1146: "the table isn't there (now): check schema and table in the configuration, or ask Buylo operations",
		1054: "the table has no such column: ask Buylo operations what changed",
		1020: row, 1205: row, 1213: row, 3572: row,
		1290: reading, 1792: reading, 1836: reading, 3100: reading,
		1040: busy, 1203: busy, 1226: busy, 1041: busy, 1135: busy, 1461: busy,
		1053: back, 1317: back, 1927: back, 2006: back, 2013: back, 4031: back, 1077: back, 1079: back,
		1969: long, 3024: long,
		3159: "the server wants TLS: set tls to verify or verify-ca",
	}
}

// connection explains an error of the way to the server.
func connection(err error) error {
	var (
		issuer x509.UnknownAuthorityError
		name   x509.HostnameError
		cert   x509.CertificateInvalidError
		secret unreadable
		file   *fs.PathError // holds a syscall.Errno, which passes for a net.Error
		netErr net.Error
		advice string
	)
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &secret), errors.As(err, &file):
		return err // its text says what is wrong, and it isn't the network
	case errors.As(err, &issuer):
		advice = "the CA file isn't the issuer of the server's certificate: name the right one"
	case errors.As(err, &name):
		advice = "the certificate is for another name: set the server name, or tls to verify-ca if MySQL made it for itself"
	case errors.As(err, &cert):
		advice = "the certificate doesn't hold: renew it, or set this machine's clock"
	case alerted(err):
		advice = "the server ended the TLS handshake: if it asks for a client certificate, name one that holds and that it takes"
	case errors.Is(err, driver.ErrNoTLS):
		advice = "set up TLS at the server, or set tls to off in a network that you trust wholly"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		advice = "no answer in time: check network, address and firewall"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		advice = "the server broke the connection: connected again; if it stays, it may not take this station's client certificate"
	case errors.Is(err, driver.ErrInvalidConn), errors.Is(err, sqldriver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		advice = "the connection broke: connected again"
	case errors.As(err, &netErr):
		advice = "the server can't be reached: check network, address and that MySQL runs"
	default:
		return err // the text is its own: the driver's words on authentication
	}
	return explained{"reach mysql: " + clean(err.Error()) + ": " + advice, err}
}

// alerted tells whether err is a TLS alert from the server; the type of an alert has no public name.
func alerted(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error"
}

// clean makes what the server said fit for one line of a log: at most 200 characters, none of them control characters.
func clean(s string) string {
	const limit = 200
	text := []rune(strings.ToValidUTF8(s[:min(len(s), 4*limit)], "?"))
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	return string(text[:min(len(text), limit)])
}
