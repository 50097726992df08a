package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// Credential is an account and where its password is.
type Credential struct {
	User     string
	Password func() (string, error) // called at each connect
}

// login is what a credential comes to at one connect.
type login struct {
	user, password string
	err            error // of the password's source; then there is no password
}

func (l login) same(o login) bool {
	return l.user == o.user && l.password == o.password && (l.err == nil) == (o.err == nil)
}

func (c Credential) read() login {
	password, err := c.Password()
	if err == nil && password == "" {
		err = fmt.Errorf("read password of user %s: it is empty", c.User)
	}
	if err != nil {
		return login{user: c.User, err: unreadable{err}}
	}
	return login{user: c.User, password: password}
}

// connector connects with the credential that worked last and, if that is refused, with the other one at once:
//
//	last that worked ──no──▶ the other ──no──▶ error of both, and the server is left alone for a while (pace)
//
// So a rotation has no moment that the station must meet: the next password may lie in its file for days before, and for
// days after. A file of the next one that isn't there is no error while the current one works.
type connector struct {
	base        *driver.Config // all but user and password
	credentials []Credential   // the current one, then the next one if there is any

	mu   sync.Mutex
	last int // of credentials: the one that worked last
	pace pace
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	logins := c.read()
	first, err := c.begin(logins)
	if err != nil {
		return nil, err
	}
	answers := make([]error, len(logins))
	for i := range logins {
		n := (first + i) % len(logins)
		conn, err := c.try(ctx, logins[n])
		switch {
		case err == nil:
			c.worked(n)
			return conn, nil
		case !healable(err):
			return nil, err
		}
		answers[n] = err
	}
	return nil, c.refused(logins, answers)
}

// Driver implements driver.Connector.
func (c *connector) Driver() sqldriver.Driver { return driver.MySQLDriver{} }

// read gives the logins as they are now. One that is in both places is tried once.
func (c *connector) read() []login {
	logins := make([]login, len(c.credentials))
	for n, credential := range c.credentials {
		logins[n] = credential.read()
	}
	return slices.CompactFunc(logins, login.same)
}

// begin tells which login to try first, or what the server answered all of them a moment ago.
func (c *connector) begin(logins []login) (first int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.pace.answered(logins, time.Now())
}

func (c *connector) worked(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.pace = n, pace{}
}

// refused makes one error of what became of each login. If the server was asked, it isn't asked again so soon.
func (c *connector) refused(logins []login, answers []error) error {
	err := answers[0]
	if len(answers) > 1 {
		err = refusal{current: answers[0], next: answers[1]}
	}
	if _, asked := errors.AsType[*driver.MySQLError](errors.Join(answers...)); asked {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pace.refused(logins, err, time.Now())
	}
	return err
}

// try connects with one login.
func (c *connector) try(ctx context.Context, l login) (sqldriver.Conn, error) {
	if l.err != nil {
		return nil, l.err
	}
	cfg, heard := c.base.Clone(), &overheard{}
	cfg.User, cfg.Passwd, cfg.Logger = l.user, l.password, heard
	one, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := one.Connect(ctx)
	return conn, heard.complete(err)
}

// healable tells whether another credential may do where one gave err.
func healable(err error) bool {
	if _, ok := errors.AsType[unreadable](err); ok {
		return true
	}
	e, ok := errors.AsType[*driver.MySQLError](err)
	return ok && slices.Contains([]uint16{1045, 1698, 1820, 1862, 3118, 3955, 4150, 4151}, e.Number)
}

// refusal is that neither credential did. The current one's error speaks for it.
type refusal struct{ current, next error }

func (r refusal) Error() string { return r.current.Error() + r.besides() }
func (r refusal) Unwrap() error { return r.current }

func (r refusal) besides() string { return "; next credential: " + clean(r.next.Error()) }

// overheard is the log of one connection: the driver says only there why a connect broke.
type overheard struct {
	mu    sync.Mutex
	first error
}

// Print implements the driver's Logger.
func (o *overheard) Print(said ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range said {
		if err, ok := v.(error); ok && o.first == nil {
			o.first = err
		}
	}
}

// complete adds the reason to an error that isn't the server's answer, such as "invalid connection".
func (o *overheard) complete(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, answered := errors.AsType[*driver.MySQLError](err); err == nil || answered || o.first == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, o.first)
}
