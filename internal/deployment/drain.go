package deployment

import (
	"context"
	"fmt"
	"time"
)

// Busy is the error of a version whose last worker must not stop.
type Busy struct {
	Version Version
}

func (b *Busy) Error() string {
	v := b.Version
	switch {
	case v.State.TakesNewOrders():
		return fmt.Sprintf("version %s is %s: new orders start on it; promote another version first, "+
			"or take this one back with `holdfast deploy rollback`", v.BuildID, v.State)
	case v.Open.Total() > 0:
		return fmt.Sprintf("version %s still carries on %s: keep its workers until they have ended, or move them with "+
			"`holdfast deploy move --from %s --to BUILD_ID`", v.BuildID, v.Open, v.BuildID)
	}
	return fmt.Sprintf("version %s has no open workflow, but Temporal has not confirmed yet that it is drained, because "+
		"its list of workflows may be behind; that takes some minutes", v.BuildID)
}

// Drain returns nil if the last worker of a version may stop: no new order starts on it, no open workflow is on it, and
// Temporal has confirmed that it is drained. Otherwise its error is a *Busy. It changes nothing.
func (d *Deployment) Drain(ctx context.Context, buildID string) error {
	status, err := d.versions(ctx)
	if err != nil {
		return err
	}
	v, known := status.Find(buildID)
	if !known {
		return fmt.Errorf("%s has no version %s: Temporal has forgotten it, or no worker of it has polled; "+
			"`holdfast deploy status` lists the versions", d.name, buildID)
	}
	if err := d.countWorkflows(ctx, &v, time.Now()); err != nil {
		return err
	}
	if v.State.TakesNewOrders() || v.Open.Total() > 0 || v.State == Draining {
		return &Busy{Version: v}
	}
	return nil
}
