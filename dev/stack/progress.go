package stack

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// progressHandler turns the log messages of the backing services into lines of progress for a person.
type progressHandler struct {
	say   func(format string, args ...any)
	attrs []slog.Attr
}

func (progressHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h progressHandler) Handle(_ context.Context, r slog.Record) error {
	var details []string
	add := func(a slog.Attr) bool {
		details = append(details, fmt.Sprintf("%s %s", strings.ReplaceAll(a.Key, "_", " "), a.Value))
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.say("%s (%s)", r.Message, strings.Join(details, ", "))
	return nil
}

func (h progressHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

func (h progressHandler) WithGroup(string) slog.Handler { return h }
