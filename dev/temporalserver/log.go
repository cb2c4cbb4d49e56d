package temporalserver

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// logger passes the server's messages of Warn and above to slog. The lower levels describe the server's own
// parts, which does not help a developer of the platform. While the server stops, its parts report each other
// as missing, which would look like a fault: then only errors that end the process pass.
type logger struct {
	to       *slog.Logger
	stopping *atomic.Bool
}

var (
	_ log.Logger     = logger{}
	_ log.WithLogger = logger{}
)

func newLogger(to *slog.Logger) logger {
	return logger{to.With("component", "temporal"), new(atomic.Bool)}
}

func (l logger) Debug(string, ...tag.Tag)           {}
func (l logger) Info(string, ...tag.Tag)            {}
func (l logger) Warn(msg string, tags ...tag.Tag)   { l.write(slog.LevelWarn, msg, tags) }
func (l logger) Error(msg string, tags ...tag.Tag)  { l.write(slog.LevelError, msg, tags) }
func (l logger) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }
func (l logger) With(tags ...tag.Tag) log.Logger {
	return logger{l.to.With(attributes(tags)...), l.stopping}
}

func (l logger) Panic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags); panic(msg) }

func (l logger) write(at slog.Level, msg string, tags []tag.Tag) {
	if !l.stopping.Load() && l.to.Enabled(context.Background(), at) {
		l.to.Log(context.Background(), at, msg, attributes(tags)...)
	}
}

// Fatal ends the process, as the server's own logger does: the server calls it when it cannot go on.
func (l logger) Fatal(msg string, tags ...tag.Tag) {
	l.to.Error(msg, attributes(tags)...)
	os.Exit(1)
}

func attributes(tags []tag.Tag) []any {
	attrs := make([]any, 0, len(tags))
	for _, t := range tags {
		attrs = append(attrs, slog.Any(t.Key(), t.Value()))
	}
	return attrs
}

// silent drops the SDK's messages while the server is not yet up.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
