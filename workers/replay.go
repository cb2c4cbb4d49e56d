package workers

import (
	"go.temporal.io/sdk/worker"

	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
)

// NewReplayer returns a replayer of the workflows of this build, with the data converter and the interceptors of the
// worker.
func NewReplayer(cfg temporalclient.Config) *replay.Replayer {
	return replay.New(cfg.ReplayerOptions(), func(r worker.WorkflowRegistry) {
		RegisterWorkflows(r)
		registerAudit(r)
	})
}
