package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

// Recorder keeps the projection of orders.
type Recorder interface {
	Record(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error)
	// Find returns an order as it is recorded, or ErrNoRow.
	Find(ctx context.Context, id uuid.UUID) (orderflow.RecordedOrder, error)
}

// RecordActivities are the steps that write the orders database.
type RecordActivities struct {
	recorder Recorder
}

// NewRecord returns the activities on the given recorder.
func NewRecord(recorder Recorder) *RecordActivities { return &RecordActivities{recorder: recorder} }

// RecordOrder brings an order's row, timeline, payments and outbox up to in.View.Seq. It is idempotent by seq. Final
// errors: ErrRecordConflict, ErrRecordImpossible.
func (a *RecordActivities) RecordOrder(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	out, err := a.recorder.Record(ctx, in)
	switch {
	case errors.Is(err, orderflow.ErrRowTaken):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrRecordConflict, err)
	case errors.Is(err, orderflow.ErrUnrecordable):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrRecordImpossible, err)
	case err != nil:
		err = fmt.Errorf("record order %s up to %d: %w", in.View.OrderID, in.View.Seq, err)
	}
	return out, err
}

// FindOrder returns an order as it is recorded, and whether the asking run of its workflow has recorded it.
func (a *RecordActivities) FindOrder(
	ctx context.Context, in orderflow.FindOrderInput,
) (orderflow.FindOrderResult, error) {
	row, err := a.recorder.Find(ctx, in.OrderID)
	switch {
	case errors.Is(err, orderflow.ErrNoRow):
		return orderflow.FindOrderResult{}, nil
	case err != nil:
		return orderflow.FindOrderResult{}, fmt.Errorf("find order %s: %w", in.OrderID, err)
	}
	return orderflow.FindOrderResult{Order: &row, Own: row.RunID == in.RunID}, nil
}
