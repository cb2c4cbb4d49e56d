package deployment

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/workflows/orderflow"
)

// pollAge is how long ago a living worker may have asked for a task. Each request waits for a minute.
const pollAge = 90 * time.Second

// polling counts the polling processes by build id and task queue. A worker that stops in order says so and no longer
// counts; a worker that was killed counts for up to pollAge.
func (d *Deployment) polling(ctx context.Context) (map[string]map[string]int, error) {
	stopped, err := d.stopped(ctx)
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
			build := p.GetDeploymentOptions().GetBuildId()
			if p.GetDeploymentOptions().GetDeploymentName() != d.name ||
				time.Since(p.GetLastAccessTime().AsTime()) > pollAge ||
				stopped[process{p.GetIdentity(), queue, build}] {
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

// process is a worker process on one task queue.
type process struct{ identity, queue, build string }

// stopped lists the processes that have told Temporal that they stop.
func (d *Deployment) stopped(ctx context.Context) (map[process]bool, error) {
	out := map[process]bool{}
	request := &workflowservice.ListWorkersRequest{Namespace: d.namespace}
	for {
		page, err := d.temporal.WorkflowService().ListWorkers(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list the workers: %w", err)
		}
		for _, w := range page.GetWorkers() {
			if w.GetStatus() == enumspb.WORKER_STATUS_SHUTTING_DOWN || w.GetStatus() == enumspb.WORKER_STATUS_SHUTDOWN {
				out[process{w.GetWorkerIdentity(), w.GetTaskQueue(), w.GetDeploymentVersion().GetBuildId()}] = true
			}
		}
		request.NextPageToken = page.GetNextPageToken()
		if len(request.NextPageToken) == 0 {
			return out, nil
		}
	}
}
