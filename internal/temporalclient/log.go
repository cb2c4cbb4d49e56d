package temporalclient

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/sdk/temporal"
)

// ownNames gives the attributes of the SDK's log lines the names that they have in our own lines, so that one search
// finds both.
type ownNames struct{ slog.Handler }

var attributeNames = map[string]string{
	"ActivityID":   "activity_id",
	"ActivityType": "activity",
	"Attempt":      "attempt",
	"Error":        "error",
	"Namespace":    "namespace",
	"RunID":        "run_id",
	"TaskQueue":    "task_queue",
	"WorkerID":     "worker_id",
	"WorkflowID":   "workflow_id",
	"WorkflowType": "workflow",
}

// renamed also replaces a refusal by its type, because the text of a refusal may quote what a customer has sent.
func renamed(a slog.Attr) slog.Attr {
	var refused *temporal.ApplicationError
	if err, ok := a.Value.Any().(error); ok && errors.As(err, &refused) && refused.Type() != "" {
		a.Value = slog.StringValue(refused.Type())
	}
	if name, known := attributeNames[a.Key]; known {
		a.Key = name
	}
	return a
}

// Handle implements slog.Handler.
func (h ownNames) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(renamed(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h ownNames) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = renamed(a)
	}
	return ownNames{h.Handler.WithAttrs(out)}
}

// WithGroup implements slog.Handler.
func (h ownNames) WithGroup(name string) slog.Handler { return ownNames{h.Handler.WithGroup(name)} }
