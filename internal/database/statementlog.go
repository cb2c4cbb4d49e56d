package database

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
)

// tracer returns what observes the statements of a pool, or nil if nothing does.
func (p *Pool) tracer() pgx.QueryTracer {
	var all []pgx.QueryTracer
	if p.Log != nil {
		all = append(all, statementLog{p.Log})
	}
	if p.Tracer != nil {
		all = append(all, p.Tracer)
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return multitracer.New(all...)
}

// statementLog writes each statement to the log at debug level. pgx has a logger of its own, tracelog, but that one
// copies the values of the parameters before it asks for the level, and would write them.
type statementLog struct{ log *slog.Logger }

type statementKey struct{}

// statement is one under way; a batch has no SQL of its own.
type statement struct {
	sql   string
	began time.Time
}

// TraceQueryStart implements pgx.QueryTracer.
func (l statementLog) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return l.begin(ctx, q.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (l statementLog) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryEndData) {
	l.end(ctx, "statement", q.CommandTag.String(), q.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (l statementLog) TraceBatchStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData,
) context.Context {
	return l.begin(ctx, "")
}

// TraceBatchQuery implements pgx.BatchTracer. It writes the statement without its time, because only the batch has one.
func (l statementLog) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.LogAttrs(ctx, slog.LevelDebug, "statement of a batch",
			append(failure(q.Err), slog.String("sql", q.SQL), slog.String("result", q.CommandTag.String()))...)
	}
}

// TraceBatchEnd implements pgx.BatchTracer.
func (l statementLog) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, q pgx.TraceBatchEndData) {
	l.end(ctx, "batch of statements", "", q.Err)
}

func (l statementLog) begin(ctx context.Context, sql string) context.Context {
	if !l.log.Enabled(ctx, slog.LevelDebug) {
		return ctx
	}
	return context.WithValue(ctx, statementKey{}, statement{sql, time.Now()})
}

func (l statementLog) end(ctx context.Context, what, result string, err error) {
	s, logged := ctx.Value(statementKey{}).(statement)
	if !logged { // the level was another one when the statement began
		return
	}
	attrs := append(failure(err), slog.Float64("duration_ms", float64(time.Since(s.began).Microseconds())/1000))
	if s.sql != "" {
		attrs = append(attrs, slog.String("sql", s.sql), slog.String("result", result))
	}
	l.log.LogAttrs(ctx, slog.LevelDebug, what, attrs...)
}

func failure(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	return []slog.Attr{slog.String("error", err.Error())}
}
