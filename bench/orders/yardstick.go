package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// The yardsticks are workflows that do nothing, on a queue of their own, carried out by a worker in this process with
// the SDK's defaults.
const yardstickQueue = "bench-yardstick"

func nothing(context.Context) error { return nil }

// bareWorkflow has one activity that does nothing: the least that a workflow with an effect costs.
func bareWorkflow(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 10 * time.Second})
	return workflow.ExecuteActivity(ctx, nothing).Get(ctx, nil)
}

// orderShape does what an order's workflow does for its customer, with nothing behind it: it starts with an update,
// runs two local activities, arms a timer, and ends with one more update.
func orderShape(ctx workflow.Context) error {
	placed, paid := false, false
	err := workflow.SetUpdateHandler(ctx, "place", func(ctx workflow.Context) error {
		return workflow.Await(ctx, func() bool { return placed })
	})
	if err != nil {
		return err
	}
	if err := workflow.SetUpdateHandler(ctx, "pay", func(workflow.Context) error { paid = true; return nil }); err != nil {
		return err
	}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 10 * time.Second})
	for range 2 {
		if err := workflow.ExecuteLocalActivity(local, nothing).Get(ctx, nil); err != nil {
			return err
		}
	}
	placed = true
	timerCtx, stop := workflow.WithCancel(ctx)
	workflow.NewTimer(timerCtx, 15*time.Minute)
	err = workflow.Await(ctx, func() bool { return paid })
	stop()
	return err
}

// yardsticks runs their worker until the returned function is called.
func (p *platform) yardsticks() (stop func(), err error) {
	w := worker.New(p.temporal, yardstickQueue, worker.Options{})
	w.RegisterWorkflow(bareWorkflow)
	w.RegisterWorkflow(orderShape)
	w.RegisterActivity(nothing)
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start the yardsticks' worker: %w", err)
	}
	return w.Stop, nil
}

func (p *platform) runBare(ctx context.Context) error {
	run, err := p.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "bare-" + uuid.NewString(), TaskQueue: yardstickQueue,
	}, bareWorkflow)
	if err != nil {
		return err
	}
	return run.Get(ctx, nil)
}

func (p *platform) runOrderShape(ctx context.Context) error {
	id := "shape-" + uuid.NewString()
	start := p.temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID:                       id,
		TaskQueue:                yardstickQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
	}, orderShape)
	placed, err := p.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: "place", WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err != nil {
		return err
	}
	if err := placed.Get(ctx, nil); err != nil {
		return err
	}
	paid, err := p.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: "pay", WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return paid.Get(ctx, nil)
}
