package assign

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

const (
	rowTime  = 500 * time.Millisecond // what each row adds to the time in which a transaction has to end
	rowsWait = 2 * time.Second        // like lockWait, where rows are locked meanwhile
)

// transaction is one on a connection of its own. Other than those of database/sql, it ends with its context even while
// COMMIT or ROLLBACK wait for an answer.
//
// What it locks, nobody else can change. So it waits for a lock for a shorter time than a lone statement; and since a server
// that loses a client in the middle, without a word from the network, waits for the next statement for eight hours by
// default, it is told to wait as long as the client would for an answer.
type transaction struct {
	conn  *sql.Conn
	limit time.Duration // of one statement
	open  bool          // to be rolled back
}

func begin(ctx context.Context, db *sql.DB, limit time.Duration) (*transaction, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &transaction{conn: conn, limit: limit, open: true}
	waits := fmt.Sprintf("SET SESSION wait_timeout = %d, innodb_lock_wait_timeout = %d", seconds(limit), seconds(rowsWait))
	for _, text := range []string{waits, "START TRANSACTION"} {
		if err := t.run(ctx, text); err != nil {
			t.end(ctx)
			return nil, err
		}
	}
	return t, nil
}

// seconds rounds up.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

func (t *transaction) run(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, text)
	return err
}

func (t *transaction) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	return t.conn.PrepareContext(ctx, text)
}

// exec gives the number of rows that matched.
func (t *transaction) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *transaction) commit(ctx context.Context) error {
	err := t.run(ctx, "COMMIT")
	t.open = err != nil
	return err
}

// end gives the connection back as it was, or breaks it: one that may hold locks must not serve anybody else.
func (t *transaction) end(ctx context.Context) {
	defer t.conn.Close()
	waits := fmt.Sprintf("SET SESSION wait_timeout = DEFAULT, innodb_lock_wait_timeout = %d", seconds(lockWait))
	if t.open && t.run(ctx, "ROLLBACK") != nil || t.run(ctx, waits) != nil {
		_ = t.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}
