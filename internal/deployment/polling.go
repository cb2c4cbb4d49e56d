package deployment

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/workflows/orderflow"
)

// pollAge is how long ago a living worker may have asked for a task. Each request waits for a minute.
const pollAge = 90 * time.Second

// polling counts the polling processes by build id and task queue. A worker that stops in order says so and no longer
// counts; a worker that was killed counts for up to pollAge.
func (d *Deployment) polling(ctx context.Context) (map[string]map[string]int, error) {
	stops, err := d.stops(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]int{}
	for queue, kind := range map[string]enumspb.TaskQueueType{
		orderflow.OrdersQueue:   enumspb.TASK_QUEUE_TYPE_WORKFLOW,
		orderflow.PaymentsQueue: enumspb.TASK_QUEUE_TYPE_ACTIVITY,
	} {
		answer, err := d.temporal.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace:     d.namespace,
			TaskQueue:     &taskqueuepb.TaskQueue{Name: queue, Kind: enumspb.TASK_QUEUE_KIND_NORMAL},
			TaskQueueType: kind,
		})
		if err != nil {
			return nil, fmt.Errorf("describe the task queue %s: %w", queue, err)
		}
		for _, p := range answer.GetPollers() {
			last := p.GetLastAccessTime().AsTime()
			if p.GetDeploymentOptions().GetDeploymentName() != d.name || time.Since(last) > pollAge {
				continue
			}
			build := p.GetDeploymentOptions().GetBuildId()
			stopped, err := d.hasStopped(ctx, stops[process{p.GetIdentity(), queue, build}], last)
			if err != nil {
				return nil, err
			}
			if stopped {
				continue
			}
			if out[build] == nil {
				out[build] = map[string]int{}
			}
			out[build][queue]++
		}
	}
	return out, nil
}

// process is a worker process on one task queue. A container that is started again keeps its identity.
type process struct{ identity, queue, build string }

// stops lists the instances of each process that have told Temporal that they stop.
func (d *Deployment) stops(ctx context.Context) (map[process][]string, error) {
	out := map[process][]string{}
	request := &workflowservice.ListWorkersRequest{Namespace: d.namespace}
	for {
		page, err := d.temporal.WorkflowService().ListWorkers(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list the workers: %w", err)
		}
		for _, w := range page.GetWorkers() {
			if w.GetDeploymentVersion().GetDeploymentName() != d.name {
				continue
			}
			switch w.GetStatus() {
			case enumspb.WORKER_STATUS_SHUTTING_DOWN, enumspb.WORKER_STATUS_SHUTDOWN:
				p := process{w.GetWorkerIdentity(), w.GetTaskQueue(), w.GetDeploymentVersion().GetBuildId()}
				out[p] = append(out[p], w.GetWorkerInstanceKey())
			default:
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return out, nil
		}
	}
}

// hasStopped reports whether one of the instances stopped after the last request for a task. If all stopped before it,
// another instance has asked since.
func (d *Deployment) hasStopped(ctx context.Context, instances []string, lastPoll time.Time) (bool, error) {
	for _, instance := range instances {
		described, err := d.temporal.WorkflowService().DescribeWorker(ctx, &workflowservice.DescribeWorkerRequest{
			Namespace:         d.namespace,
			WorkerInstanceKey: instance,
		})
		var gone *serviceerror.NotFound
		if errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("describe the worker %s: %w", instance, err)
		}
		if !described.GetWorkerInfo().GetWorkerHeartbeat().GetHeartbeatTime().AsTime().Before(lastPoll) {
			return true, nil
		}
	}
	return false, nil
}
