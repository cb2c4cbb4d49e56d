package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

// Recorder keeps the projection of orders.
type Recorder interface {
	Record(ctx context.Context, in orderflow.RecordInput) error
}

// RecordActivities are the steps that write the orders database.
type RecordActivities struct {
	recorder Recorder
}

// NewRecord returns the activities on the given recorder.
func NewRecord(recorder Recorder) *RecordActivities { return &RecordActivities{recorder: recorder} }

// RecordOrder brings an order's row, timeline, payments and outbox up to in.View.Seq. It is idempotent
// by seq.
func (a *RecordActivities) RecordOrder(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	err := a.recorder.Record(ctx, in)
	if errors.Is(err, orderflow.ErrRowTaken) {
		return orderflow.RecordResult{}, temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrRecordConflict, err)
	}
	if err != nil {
		return orderflow.RecordResult{}, fmt.Errorf("record order %s up to %d: %w", in.View.OrderID, in.View.Seq, err)
	}
	return orderflow.RecordResult{Seq: in.View.Seq}, nil
}
