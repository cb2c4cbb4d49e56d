package sandboxserver

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/problem"
)

// maxDelay bounds the delay of a fault.
const maxDelay = time.Minute

// maxFaults bounds how many faults are switched on at once.
const maxFaults = 100

// faults are those that are switched on. They are kept in memory: a restart of the sandbox ends them.
type faults struct {
	mu sync.Mutex
	on []sandbox.Fault
}

// take returns the faults of a request and counts them.
func (f *faults) take(operation sandbox.Operation) []sandbox.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.on) == 0 {
		return nil
	}
	var taken, left []sandbox.Fault
	for _, fault := range f.on {
		if fault.Operation != "" && fault.Operation != operation {
			left = append(left, fault)
			continue
		}
		taken = append(taken, fault)
		switch fault.Times {
		case 0:
			left = append(left, fault)
		case 1: // used up
		default:
			fault.Times--
			left = append(left, fault)
		}
	}
	f.on = left
	return taken
}

// effects is what the faults of one request do to it.
type effects struct {
	slow        time.Duration
	down, lost  bool
	copies      int32 // deliveries of each webhook
	lateWebhook time.Duration
}

func effectsOf(all []sandbox.Fault) effects {
	out := effects{copies: 1}
	for _, f := range all {
		delay := time.Duration(f.DelayMS) * time.Millisecond
		switch f.Kind {
		case sandbox.FaultSlow:
			out.slow = max(out.slow, delay)
		case sandbox.FaultDown:
			out.down = true
		case sandbox.FaultAnswerLost:
			out.lost = true
		case sandbox.FaultDuplicateWebhook:
			out.copies = 2
		case sandbox.FaultLateWebhook:
			out.lateWebhook = max(out.lateWebhook, delay)
		}
	}
	return out
}

// effectsKey is where spoil keeps the effects of a request.
const effectsKey = "sandbox.effects"

// effectsIn returns the effects of the request.
func effectsIn(c *gin.Context) effects {
	if e, ok := c.Value(effectsKey).(effects); ok {
		return e
	}
	return effects{copies: 1}
}

// spoil does to a request what the faults that are switched on say, and the fault of its own header.
func (s *server) spoil(operation sandbox.Operation) gin.HandlerFunc {
	return func(c *gin.Context) {
		all := s.faults.take(operation)
		if header := c.GetHeader(sandbox.FaultHeader); header != "" {
			own, err := parseFault(header)
			if err != nil {
				httpx.Fail(c, err)
				return
			}
			all = append(all, own)
		}
		if len(all) == 0 {
			return
		}
		e := effectsOf(all)
		c.Set(effectsKey, e)
		if e.slow > 0 {
			select {
			case <-c.Request.Context().Done():
			case <-time.After(e.slow):
			}
		}
		if e.down {
			httpx.Fail(c, problem.Common.New(problem.Unavailable, "the sandbox is down on purpose"))
			return
		}
		if e.lost {
			c.Writer = &silent{ResponseWriter: c.Writer}
			c.Next()
			panic(http.ErrAbortHandler) // net/http's way to cut the connection
		}
	}
}

// silent drops the answer.
type silent struct{ gin.ResponseWriter }

func (*silent) WriteHeaderNow()                      {}
func (*silent) Write(b []byte) (int, error)          { return len(b), nil }
func (*silent) WriteString(text string) (int, error) { return len(text), nil }
func (*silent) Flush()                               {}

// parseFault reads the header, as in "slow 500ms".
func parseFault(header string) (sandbox.Fault, error) {
	kind, delay, delayed := strings.Cut(header, " ")
	f := sandbox.Fault{Kind: sandbox.FaultKind(kind)}
	if delayed {
		d, err := time.ParseDuration(delay)
		if err != nil {
			return f, problem.Invalid(sandbox.FaultHeader, "%q is no duration; write one as in 500ms", delay)
		}
		f.DelayMS = int(d.Milliseconds())
	}
	return f, checkFault(f, sandbox.FaultHeader)
}

func checkFault(f sandbox.Fault, field string) error {
	kinds := []sandbox.FaultKind{
		sandbox.FaultSlow,
		sandbox.FaultDown,
		sandbox.FaultAnswerLost,
		sandbox.FaultDuplicateWebhook,
		sandbox.FaultLateWebhook,
	}
	operations := []sandbox.Operation{
		"",
		sandbox.OperationAuthorise,
		sandbox.OperationCapture,
		sandbox.OperationVoid,
		sandbox.OperationRefund,
		sandbox.OperationLookUp,
		sandbox.OperationComplete,
	}
	needsDelay := f.Kind == sandbox.FaultSlow || f.Kind == sandbox.FaultLateWebhook
	switch {
	case !slices.Contains(kinds, f.Kind):
		return problem.Invalid(field, "%q is no kind of fault; send one of %q", f.Kind, kinds)
	case !slices.Contains(operations, f.Operation):
		return problem.Invalid(field, "%q is no operation; send one of %q", f.Operation, operations[1:])
	case f.Times < 0:
		return problem.Invalid(field, "times is not below 0")
	case f.DelayMS < 0 || int64(f.DelayMS) > maxDelay.Milliseconds() || needsDelay != (f.DelayMS > 0):
		return problem.Invalid(field, "slow and late_webhook have a delay of 1 to %d ms, and no other fault has one",
			maxDelay.Milliseconds())
	}
	return nil
}

func (s *server) listFaults(c *gin.Context) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	c.JSON(http.StatusOK, sandbox.FaultList{Items: append([]sandbox.Fault{}, s.faults.on...)})
}

func (s *server) addFault(c *gin.Context) {
	var in sandbox.Fault
	err := httpx.DecodeJSON(c, &in)
	if err == nil {
		err = checkFault(in, "")
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if len(s.faults.on) >= maxFaults {
		httpx.Fail(c, problem.Invalid("", "%d faults are switched on; switch them off first", maxFaults))
		return
	}
	s.faults.on = append(s.faults.on, in)
	c.Status(http.StatusNoContent)
}

func (s *server) clearFaults(c *gin.Context) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.on = nil
	c.Status(http.StatusNoContent)
}
