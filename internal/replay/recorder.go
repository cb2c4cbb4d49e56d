package replay

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Step is something that a workflow's code asked the SDK for.
type Step struct {
	// What is the kind and the name, as "local activity ReserveStock".
	What string
	// Lines are the calls that led to it, the innermost first, as "workflows/steps.go:40".
	Lines []string
}

func (s Step) String() string { return s.What + " at " + strings.Join(s.Lines, " < ") }

// recorder is an interceptor that notes the steps of a replay with the lines of code that take them.
type recorder struct {
	interceptor.WorkerInterceptorBase

	mu    sync.Mutex
	steps []Step
}

func (r *recorder) all() []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.steps
}

func (r *recorder) note(format string, args ...any) {
	step := Step{What: fmt.Sprintf(format, args...), Lines: callers()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step)
}

// maxLines is how many calls of a step are kept.
const maxLines = 4

// callers returns the lines of the workflow's code on this goroutine's stack.
func callers() []string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var out []string
	for more := true; more && len(out) < maxLines; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.File != "" && !isForeign(f.Function) {
			out = append(out, shorten(fmt.Sprintf("%s:%d", f.File, f.Line)))
		}
	}
	return out
}

// panicked returns where the workflow's own code panicked, if that is the reason why the replay failed.
func panicked(err error) []Step {
	var traced interface{ StackTrace() string }
	if !errors.As(err, &traced) {
		return nil
	}
	if strings.Contains(traced.StackTrace(), "replay.(*Replayer).run") {
		return nil // the SDK panicked outside the workflow's coroutines, at an event that it did not expect
	}
	step := Step{What: "panic"}
	function := ""
	for line := range strings.Lines(traced.StackTrace()) {
		file, isPlace := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		if !isPlace {
			function = line
			continue
		}
		file, _, _ = strings.Cut(file, " ")
		if !isForeign(function) && len(step.Lines) < maxLines {
			step.Lines = append(step.Lines, shorten(file))
		}
	}
	if len(step.Lines) == 0 {
		return nil
	}
	return []Step{step}
}

// isForeign reports whether a function is not the workflow's code.
func isForeign(function string) bool {
	for _, prefix := range []string{
		"go.temporal.io/", "runtime.", "runtime/", "reflect.", "panic(", "goroutine ", "created by ", "testing.",
		"holdfast/internal/replay.",
	} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

// shorten keeps the last two parts of the path of "file:line".
func shorten(file string) string {
	return filepath.Base(filepath.Dir(file)) + "/" + filepath.Base(file)
}

// InterceptWorkflow is called for each workflow that is replayed.
func (r *recorder) InterceptWorkflow(
	_ workflow.Context, next interceptor.WorkflowInboundInterceptor,
) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, recorder: r}
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	recorder *recorder
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	base := interceptor.WorkflowOutboundInterceptorBase{Next: next}
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: base, recorder: i.recorder})
}

// outbound notes the requests that become commands, and thereby events.
type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	recorder *recorder
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.note("activity %s", name)
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *outbound) ExecuteLocalActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.recorder.note("local activity %s", name)
	return o.Next.ExecuteLocalActivity(ctx, name, args...)
}

func (o *outbound) ExecuteChildWorkflow(
	ctx workflow.Context, name string, args ...any,
) workflow.ChildWorkflowFuture {
	o.recorder.note("child workflow %s", name)
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.recorder.note("timer of %s", d)
	return o.Next.NewTimer(ctx, d)
}

func (o *outbound) NewTimerWithOptions(
	ctx workflow.Context, d time.Duration, options workflow.TimerOptions,
) workflow.Future {
	o.recorder.note("timer of %s", d)
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) Sleep(ctx workflow.Context, d time.Duration) error {
	o.recorder.note("sleep of %s", d)
	return o.Next.Sleep(ctx, d)
}

func (o *outbound) UpsertTypedSearchAttributes(
	ctx workflow.Context, attributes ...temporal.SearchAttributeUpdate,
) error {
	o.recorder.note("change of search attributes")
	return o.Next.UpsertTypedSearchAttributes(ctx, attributes...)
}

func (o *outbound) GetVersion(
	ctx workflow.Context, changeID string, minSupported, maxSupported workflow.Version,
) workflow.Version {
	o.recorder.note("version of %s", changeID)
	return o.Next.GetVersion(ctx, changeID, minSupported, maxSupported)
}

func (o *outbound) NewContinueAsNewError(ctx workflow.Context, wfn any, args ...any) error {
	o.recorder.note("continue as new")
	return o.Next.NewContinueAsNewError(ctx, wfn, args...)
}
