package servers

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"testing"

	driver "github.com/go-sql-driver/mysql"
)

// Open is the database as an account sees it, in sessions in UTC as uplink/mysql makes them, until the test ends.
func (d *Database) Open(t testing.TB, user, password string) *sql.DB {
	t.Helper()
	c := driver.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = user, password, "tcp", d.Addr
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	c.Logger = &driver.NopLogger{}
	connector, err := driver.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	pool := sql.OpenDB(connector)
	t.Cleanup(func() { pool.Close() })
	return pool
}

// Exec executes statements as the administrator, in one session that ends with them. One that fails is an error of the test and
// doesn't end it, so that any goroutine may call this.
func (d *Database) Exec(t testing.TB, statements ...string) {
	t.Helper()
	conn, err := d.root.Conn(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Raw(func(any) error { return sqldriver.ErrBadConn }) // with what the statements set for the session
	for _, s := range statements {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Errorf("%.200s: %v", s, err)
		}
	}
}
