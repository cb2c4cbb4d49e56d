package orderstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// Version identifies what is recorded of an order: every record changes it. The zero value is no version of any order.
type Version struct {
	Seq       int64
	UpdatedAt time.Time
}

// Recorded is the timeline of an order at one of its versions.
type Recorded struct {
	Version Version
	State   order.State
	Entries []TimelineEntry // oldest first
}

// ChangedTimelines returns the timelines of those orders that are not at the given version. It asks the database once,
// whatever the number of orders. It leaves out an order that has no row.
func (s *Store) ChangedTimelines(ctx context.Context, known map[uuid.UUID]Version) (map[uuid.UUID]Recorded, error) {
	var arg ordersdb.ChangedTimelinesParams
	for id, v := range known {
		arg.OrderIds = append(arg.OrderIds, id)
		arg.Seqs = append(arg.Seqs, v.Seq)
		arg.Times = append(arg.Times, v.UpdatedAt)
	}
	rows, err := s.q.ChangedTimelines(ctx, s.pool, arg)
	if err != nil {
		return nil, fmt.Errorf("read the changed timelines of %d orders: %w", len(known), err)
	}
	out := map[uuid.UUID]Recorded{}
	for _, r := range rows {
		id := r.OrderTimeline.OrderID
		recorded := out[id]
		recorded.Version = Version{Seq: r.OrderSeq, UpdatedAt: r.UpdatedAt}
		recorded.State = order.State(r.OrderState)
		recorded.Entries = append(recorded.Entries, entryOf(r.OrderTimeline))
		out[id] = recorded
	}
	return out, nil
}
