package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
)

// rollbackTimeout bounds a rollback. After it the connection is closed, which releases its locks as well.
const rollbackTimeout = time.Second

// step is a statement of a transaction: run calls one generated query on db and checks its answer. The transaction
// calls run twice: first to send the statement, when it ignores the result, then to read the answer.
type step struct {
	what string // for the error
	run  func(db inventorydb.DBTX) error
}

// transaction is a database transaction whose statements are pipelined: it sends a statement without waiting for the
// answer to the one before. So a whole phase costs one round trip, and the server can begin with the first rows while
// the client still encodes the last.
type transaction struct {
	ctx        context.Context
	conn       *pgxpool.Conn
	statements map[string]*pgconn.StatementDescription
	pipe       *pgconn.Pipeline
	builder    pgx.ExtendedQueryBuilder
	sent       []step // the steps whose answers have not been read
	failed     error  // of encoding or sending
}

// begin takes a connection and sends BEGIN; the first receive reports whether that worked.
func (s *Store) begin(ctx context.Context) (*transaction, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	statements, err := s.prepared(ctx, conn)
	if err != nil {
		conn.Release()
		return nil, err
	}
	t := &transaction{ctx: ctx, conn: conn, statements: statements, pipe: conn.Conn().PgConn().StartPipeline(ctx)}
	t.send(control(ctx, sqlBegin))
	return t, nil
}

// The statements without a generated query.
const (
	sqlBegin  = "begin"
	sqlCommit = "commit"
)

func control(ctx context.Context, sql string) step {
	return step{sql, func(db inventorydb.DBTX) error {
		_, err := db.Exec(ctx, sql)
		return err
	}}
}

// send queues steps.
func (t *transaction) send(steps ...step) {
	for _, s := range steps {
		if t.failed != nil {
			return
		}
		_ = s.run(sender{t})
		t.sent = append(t.sent, s)
	}
}

// flush sends the queued statements, so that the server can begin.
func (t *transaction) flush() {
	if t.failed == nil {
		t.failed = t.pipe.Flush()
	}
}

// flushForAnswers sends the queued statements and asks the server to answer them now. Without this, the server answers
// at the end of the phase.
func (t *transaction) flushForAnswers() {
	if t.failed == nil {
		t.pipe.SendFlushRequest()
	}
	t.flush()
}

// receive reads the answers to all statements that were sent and flushed, and stops at the first failure.
func (t *transaction) receive() error {
	for len(t.sent) > 0 {
		if err := t.receiveFirst(); err != nil {
			return err
		}
	}
	return nil
}

// receiveFirst reads the answer to the oldest statement that is unanswered.
func (t *transaction) receiveFirst() error {
	if t.failed != nil {
		return fmt.Errorf("send statements: %w", t.failed)
	}
	first := t.sent[0]
	t.sent = t.sent[1:]
	if err := first.run(receiver{t}); err != nil {
		return fmt.Errorf("%s: %w", first.what, err)
	}
	return nil
}

// sync ends a phase: the server answers all statements and, also after an error, is ready for the next ones.
func (t *transaction) sync() error {
	if t.failed == nil {
		t.failed = t.pipe.Sync()
	}
	if t.failed != nil {
		return fmt.Errorf("send statements: %w", t.failed)
	}
	if err := t.receive(); err != nil {
		return err
	}
	if _, err := t.pipe.GetResults(); err != nil {
		return fmt.Errorf("end a phase: %w", err)
	}
	return nil
}

// commit sends COMMIT together with the statements that are still queued.
func (t *transaction) commit() error {
	t.send(control(t.ctx, sqlCommit))
	if err := t.sync(); err != nil {
		return err
	}
	if err := t.pipe.Close(); err != nil {
		return fmt.Errorf("end the transaction: %w", err)
	}
	return nil
}

// end returns the connection to the pool, rolled back unless the transaction was committed. It is called once for each
// transaction, also if the caller has left, so that no connection keeps its locks.
func (t *transaction) end() {
	defer t.conn.Release() // closes the connection unless it is idle
	raw := t.conn.Conn().PgConn()
	if raw.IsClosed() {
		// The connection broke, and a goroutine of pgx is closing it. Sync would write to it at the same time, and pgx
		// would panic in that goroutine, where no caller can recover.
		return
	}
	if t.pipe.Sync() == nil { // after an error the server ignores all statements up to a sync
		_ = t.pipe.Close()
	}
	if raw.IsClosed() || raw.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTimeout)
	defer cancel()
	_ = raw.Exec(ctx, "rollback").Close()
}

// invalidate closes the connection, so that the pool does not use it again.
func (t *transaction) invalidate() { _ = t.conn.Conn().Close(t.ctx) }

var errSent = errors.New("the statement was sent; its answer is read later")

// sender stands in for a connection while statements are sent.
type sender struct{ t *transaction }

func (s sender) queue(sql string, args []any) {
	t := s.t
	statement := t.statements[sql]
	if statement == nil {
		t.failed = fmt.Errorf("%w: statement %.60q was not prepared", ErrFault, sql)
		return
	}
	if err := t.builder.Build(t.conn.Conn().TypeMap(), statement, args); err != nil {
		t.failed = fmt.Errorf("%w: encode the arguments of %.60q: %w", ErrFault, sql, err)
		return
	}
	// The answer's reader needs the formats later, when the builder has been used for other statements.
	formats := slices.Clone(t.builder.ResultFormats)
	t.pipe.SendQueryStatement(statement, t.builder.ParamValues, t.builder.ParamFormats, formats)
}

func (s sender) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s.queue(sql, args)
	return pgconn.CommandTag{}, errSent
}

func (s sender) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	s.queue(sql, args)
	return nil, errSent
}

func (s sender) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	s.queue(sql, args)
	return noRow{errSent}
}

type noRow struct{ err error }

func (r noRow) Scan(...any) error { return r.err }

// receiver stands in for a connection while answers are read, in the order of sending.
type receiver struct{ t *transaction }

func (r receiver) next() (*pgconn.ResultReader, error) {
	result, err := r.t.pipe.GetResults()
	if err != nil {
		return nil, err
	}
	reader, ok := result.(*pgconn.ResultReader)
	if !ok {
		return nil, fmt.Errorf("the server answered with %T instead of rows", result)
	}
	return reader, nil
}

func (r receiver) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	reader, err := r.next()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return reader.Close()
}

func (r receiver) Query(context.Context, string, ...any) (pgx.Rows, error) {
	reader, err := r.next()
	if err != nil {
		return nil, err
	}
	return pgx.RowsFromResultReader(r.t.conn.Conn().TypeMap(), reader), nil
}

func (r receiver) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := r.Query(ctx, sql, args...)
	if err != nil {
		return noRow{err}
	}
	return oneRow{rows}
}

// oneRow reads the only row of a result.
type oneRow struct{ rows pgx.Rows }

func (r oneRow) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		return errors.Join(r.rows.Err(), pgx.ErrNoRows)
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
