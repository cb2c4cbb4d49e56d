package workers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/correlation"
	"holdfast/workflows/orderflow"
)

// stepLog writes one line for each attempt of a step, regular and local activities alike. The context of the activity
// names the order and the workflow, so that the lines that the activity causes have them too.
type stepLog struct {
	interceptor.WorkerInterceptorBase
	log *slog.Logger
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (s *stepLog) InterceptActivity(
	_ context.Context, next interceptor.ActivityInboundInterceptor,
) interceptor.ActivityInboundInterceptor {
	return &loggedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}, s.log}
}

type loggedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	log *slog.Logger
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (a *loggedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	attrs := []slog.Attr{
		slog.String("workflow_id", info.WorkflowExecution.ID),
		slog.String("run_id", info.WorkflowExecution.RunID),
		slog.String("activity", info.ActivityType.Name),
		slog.Int("attempt", int(info.Attempt)),
	}
	if order, ok := orderflow.OrderOfWorkflow(info.WorkflowExecution.ID); ok {
		attrs = append(attrs, slog.String("order_id", order.String()))
	}
	ctx = correlation.WithAttrs(ctx, attrs...)

	start := time.Now()
	out, err := a.Next.ExecuteActivity(ctx, in)
	took := float64(time.Since(start).Microseconds()) / 1000

	level, outcome := slog.LevelInfo, outcomeOf(err)
	if outcome == "failed" {
		level = slog.LevelWarn
	}
	a.log.LogAttrs(ctx, level, "step", append(causeOf(err),
		slog.String("outcome", outcome),
		slog.Bool("local", info.IsLocalActivity),
		slog.Float64("duration_ms", took))...)
	return out, err
}

// outcomeOf returns how an attempt ended. A refusal is final; after a failure the step is tried again.
func outcomeOf(err error) string {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &app) && app.NonRetryable():
		return "refused"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "failed"
}

// causeOf returns why an attempt did not succeed. Of an application error it returns the type only: its text may be
// that of a payment provider, and may name a person.
func causeOf(err error) []slog.Attr {
	var app *temporal.ApplicationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &app):
		return []slog.Attr{slog.String("refusal", app.Type())}
	}
	return []slog.Attr{slog.String("error", err.Error())}
}
