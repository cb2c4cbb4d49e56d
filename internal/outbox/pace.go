package outbox

import (
	"context"

	"github.com/cenkalti/backoff/v5"

	"holdfast/internal/service"
)

// pace decides how long a relay waits between two batches.
type pace struct {
	batch    int
	idle     *backoff.ExponentialBackOff // between batches that were not full
	failures *backoff.ExponentialBackOff // after batches of which nothing could be published
}

func newPace(cfg Config) *pace {
	p := &pace{
		batch:    cfg.Batch,
		idle:     backoff.NewExponentialBackOff(),
		failures: backoff.NewExponentialBackOff(),
	}
	p.idle.InitialInterval, p.idle.MaxInterval = cfg.PollMin, cfg.PollMax
	p.failures.InitialInterval, p.failures.MaxInterval = failurePauseMin, failurePauseMax
	for _, b := range []*backoff.ExponentialBackOff{p.idle, p.failures} {
		b.Reset()
	}
	return p
}

// wait waits for the next batch: after a full batch not at all, after a smaller one or an empty one for a moment that
// grows while there is nothing to do, and longer while nothing can be published.
func (p *pace) wait(ctx context.Context, o outcome, err error) {
	switch {
	case err != nil || o.leased > 0 && o.published == 0:
		service.Pause(ctx, p.failures.NextBackOff())
	case o.seen >= p.batch:
		p.reset()
	case o.seen > 0:
		p.reset()
		service.Pause(ctx, p.idle.NextBackOff())
	default:
		service.Pause(ctx, p.idle.NextBackOff())
	}
}

func (p *pace) reset() {
	p.idle.Reset()
	p.failures.Reset()
}
