package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestOperatorsAtRandom lets operators act on random orders at random moments with Temporal's tools, while the orders
// are created, paid, cancelled and expire: reset to any point, with and without the later requests, terminate, delete,
// start once more by type and input, and start a copy under another id. Afterwards each order whose workflow was
// stopped is reset or started once more, and then the books must agree.
func TestOperatorsAtRandom(t *testing.T) {
	t.Parallel()
	const orders, acts = 80, 120
	seed := chaosSeed(t)
	p := platform.Start(t)
	product := p.Product(orders * 2)
	clock := rand.New(rand.NewPCG(seed, 2))

	p.WithTemporal(func(c client.Client) {
		o := &operators{p: p, c: c, inputs: map[string]orderflow.OrderInput{}}
		ctx, done := context.WithCancel(t.Context())
		var acting sync.WaitGroup
		acting.Go(func() {
			for n := 0; n < acts && ctx.Err() == nil; {
				pause(ctx, time.Duration(clock.IntN(60))*time.Millisecond)
				if o.actAtRandom(ctx, clock) {
					n++
				}
			}
		})
		deadline := time.Now().Add(3 * time.Minute)
		var clients errgroup.Group
		clients.SetLimit(8)
		for i := range orders {
			l := orderRun{scenario: scenarios[i%len(scenarios)]}
			clients.Go(func() error {
				body := platform.OneLine(product, 1, append(l.scenario.extra, "ttl_seconds", 5)...)
				placed, err := place(p, deadline, body)
				if err != nil {
					return fmt.Errorf("place: %w", err)
				}
				if placed.Status != http.StatusCreated && placed.Status != http.StatusAccepted {
					return nil // an operator ended the order before it was answered
				}
				l.id = placed.Str("order_id")
				if err := l.scenario.do(&l, p, deadline); !errors.Is(err, errRefused) {
					return err
				}
				return nil // an operator stopped or ended the order before its lines changed
			})
		}
		require.NoError(t, clients.Wait())
		acting.Wait() // operators also act on orders that have ended
		done()
		o.carryOn()
		t.Logf("what the operators did: %v", o.did)
	})
	count := p.Audit()
	t.Logf("%d orders under operators at random: %v", orders, count)
}

// operators act with Temporal's own interfaces.
type operators struct {
	p *platform.Platform
	c client.Client

	inputs map[string]orderflow.OrderInput // of every workflow that they acted on, as its history shows it
	did    map[string]int
}

// actAtRandom does one random act on a random order and reports whether the act succeeded.
func (o *operators) actAtRandom(ctx context.Context, random *rand.Rand) bool {
	var ids []string
	rows, err := o.p.Orders.Query(ctx, "SELECT workflow_id FROM orders ORDER BY order_id")
	if err != nil {
		return false
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if rows.Scan(&id) != nil {
			return false
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return false
	}

	id := ids[random.IntN(len(ids))]
	run, points, input := o.look(ctx, id)
	if run == "" || len(points) == 0 {
		return false
	}
	o.inputs[id] = input
	point, reapply := points[random.IntN(len(points))], random.IntN(2) == 0
	acts := []struct {
		name string
		do   func() error
	}{
		{"reset", func() error { return o.p.Reset(o.c, id, run, point, reapply) }},
		{"reset to the first task", func() error { return o.p.Reset(o.c, id, run, points[0], reapply) }},
		{"terminate", func() error { return o.c.TerminateWorkflow(ctx, id, run, "a mistake") }},
		{"terminate and reset", func() error {
			if err := o.c.TerminateWorkflow(ctx, id, run, "a mistake"); err != nil {
				return err
			}
			return o.p.Reset(o.c, id, run, point, reapply)
		}},
		{"delete", func() error {
			_, err := o.c.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
				Namespace:         o.p.Namespace(),
				WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: run},
			})
			return err
		}},
		{"start again", func() error { return o.start(ctx, id, input) }},
		{"start a copy", func() error { return o.copy(ctx, input) }},
	}

	act := acts[random.IntN(len(acts))]
	if act.do() != nil { // the order's state does not allow it: it came too early or too late
		return false
	}
	if o.did == nil {
		o.did = map[string]int{}
	}
	o.did[act.name]++
	return true
}

// look returns a workflow's latest run, the points that it can be reset to, and its input.
func (o *operators) look(ctx context.Context, id string) (run string, points []int64, input orderflow.OrderInput) {
	allEvents := enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT
	for it := o.c.GetWorkflowHistory(ctx, id, "", false, allEvents); it.HasNext(); {
		e, err := it.Next()
		if err != nil {
			return "", nil, input
		}
		if started := e.GetWorkflowExecutionStartedEventAttributes(); started != nil {
			if converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &input) != nil {
				return "", nil, input
			}
		}
		if e.GetWorkflowTaskCompletedEventAttributes() != nil {
			points = append(points, e.GetEventId())
		}
	}
	described, err := o.c.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return "", nil, input
	}
	return described.GetWorkflowExecutionInfo().GetExecution().GetRunId(), points, input
}

func (o *operators) start(ctx context.Context, id string, input orderflow.OrderInput) error {
	_, err := o.c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                orderflow.OrdersQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
	}, orderflow.OrderWorkflow, input)
	return err
}

// copy starts the order under an id of the operator's own, and checks that the copy does nothing.
func (o *operators) copy(ctx context.Context, input orderflow.OrderInput) error {
	options := client.StartWorkflowOptions{ID: "copy-" + uuid.NewString(), TaskQueue: orderflow.OrdersQueue}
	run, err := o.c.ExecuteWorkflow(ctx, options, orderflow.OrderWorkflow, input)
	if err != nil {
		return err
	}
	if err := run.Get(ctx, nil); err == nil {
		return fmt.Errorf("a copy ran")
	}
	return nil
}

// carryOn takes up every order whose workflow was stopped, until each has ended.
func (o *operators) carryOn() {
	t := o.p.T
	ctx := t.Context()
	for id, input := range o.inputs {
		require.Eventually(t, func() bool {
			described, err := o.c.DescribeWorkflowExecution(ctx, id, "")
			if err != nil {
				_ = o.start(ctx, id, input) // deleted
				return false
			}
			info := described.GetWorkflowExecutionInfo()
			run := info.GetExecution().GetRunId()
			switch info.GetStatus() {
			case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
				return true
			case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
				// The order may have been extended, and its client has given up.
				path := "/api/orders/" + strings.TrimPrefix(id, "order-") + "/cancel"
				_, _ = o.p.Try("alice", http.MethodPost, path, nil)
				return false
			default: // the run has ended without the order's end
			}
			points := o.p.ResetPoints(o.c, id, run)
			if len(points) == 0 {
				_ = o.start(ctx, id, input)
			} else {
				_ = o.p.Reset(o.c, id, run, points[len(points)-1], true)
			}
			return false
		}, 3*time.Minute, 200*time.Millisecond, "workflow %s does not end", id)
	}
}
