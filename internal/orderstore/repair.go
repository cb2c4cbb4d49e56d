package orderstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
)

// RepairOutcome says how far a repair has come.
type RepairOutcome string

// The outcomes of repairs.
const (
	RepairBegun    RepairOutcome = "begun" // whether it took effect is not known
	RepairUnderWay RepairOutcome = "under_way"
	RepairDone     RepairOutcome = "done"
	RepairRefused  RepairOutcome = "refused"
)

// Repair is what an operator did about an order, or about a reservation without an order.
type Repair struct {
	ID                      uuid.UUID
	OrderID, ReservationID  uuid.UUID // one of them
	Action, Step, Reference string
	AmountMinor             int64 // of a refund by hand
	Attempt                 int   // of a void by hand: the attempt of the payment
	Reason                  string
	Issuer, Actor           string // of the operator's token
	Key                     string // of the request, unique among those of the operator
	Outcome                 RepairOutcome
	Code, Detail            string // why it was refused, or what was done
	CreatedAt               time.Time
	EndedAt                 *time.Time // of repairs that are done or refused
	// Again says that an earlier request under the same key has begun the repair, and that its outcome is not known.
	Again bool
}

// Same reports whether both repairs come from the same request.
func (r Repair) Same(other Repair) bool {
	return r.OrderID == other.OrderID && r.ReservationID == other.ReservationID && r.Action == other.Action &&
		r.Step == other.Step && r.Reference == other.Reference && r.Reason == other.Reason &&
		r.AmountMinor == other.AmountMinor && r.Attempt == other.Attempt
}

// BeginRepair records a repair before it acts. If the operator has made a repair under the same key, it returns that
// one and changes nothing. The caller gives the repair an id of its own.
func (s *Store) BeginRepair(ctx context.Context, r Repair) (Repair, error) {
	row, err := s.q.BeginRepair(ctx, s.pool, ordersdb.BeginRepairParams{
		RepairID:      r.ID,
		OrderID:       unlessNil(r.OrderID),
		ReservationID: unlessNil(r.ReservationID),
		Action:        r.Action,
		Step:          r.Step,
		Reference:     r.Reference,
		Reason:        r.Reason,
		Issuer:        r.Issuer,
		Actor:         r.Actor,
		Key:           r.Key,
		AmountMinor:   r.AmountMinor,
		Attempt:       int32(r.Attempt), //nolint:gosec // bounded by the contract
	})
	if err != nil {
		return Repair{}, fmt.Errorf("record a repair: %w", err)
	}
	out := repairOf(row)
	out.Again = out.ID != r.ID
	return out, nil
}

// EndRepair records the outcome of a repair. It returns ErrNotFound if the repair has an end already.
func (s *Store) EndRepair(
	ctx context.Context, id uuid.UUID, outcome RepairOutcome, code, detail string,
) (Repair, error) {
	row, err := s.q.EndRepair(ctx, s.pool, ordersdb.EndRepairParams{
		RepairID: id, Outcome: string(outcome), Code: code, Detail: storable(detail),
	})
	if err != nil {
		return Repair{}, fmt.Errorf("record the outcome of repair %s: %w", id, notFound(err))
	}
	return repairOf(row), nil
}

// RepairFilter selects the repairs of a list: of an order, of a reservation, or all.
type RepairFilter struct{ OrderID, ReservationID uuid.UUID }

// Repairs returns up to size repairs that follow a position, newest first.
func (s *Store) Repairs(ctx context.Context, f RepairFilter, after Position, size int) ([]Repair, error) {
	var rows []ordersdb.Repair
	var err error
	page := int32(size) //nolint:gosec // bounded by the contract
	switch {
	case f.OrderID != uuid.Nil:
		rows, err = s.q.ListRepairsOfOrder(ctx, s.pool, ordersdb.ListRepairsOfOrderParams{
			OrderID: f.OrderID, BeforeCreatedAt: after.CreatedAt, BeforeID: after.ID, PageSize: page,
		})
	case f.ReservationID != uuid.Nil:
		rows, err = s.q.ListRepairsOfReservation(ctx, s.pool, ordersdb.ListRepairsOfReservationParams{
			ReservationID: f.ReservationID, BeforeCreatedAt: after.CreatedAt, BeforeID: after.ID, PageSize: page,
		})
	default:
		rows, err = s.q.ListRepairs(ctx, s.pool, ordersdb.ListRepairsParams{
			BeforeCreatedAt: after.CreatedAt, BeforeID: after.ID, PageSize: page,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list repairs: %w", err)
	}
	out := make([]Repair, len(rows))
	for i, row := range rows {
		out[i] = repairOf(row)
	}
	return out, nil
}

func repairOf(row ordersdb.Repair) Repair {
	out := Repair{
		ID:          row.RepairID,
		Action:      row.Action,
		Step:        row.Step,
		Reference:   row.Reference,
		AmountMinor: row.AmountMinor,
		Attempt:     int(row.Attempt),
		Reason:      row.Reason,
		Issuer:      row.Issuer,
		Actor:       row.Actor,
		Key:         row.Key,
		Outcome:     RepairOutcome(row.Outcome),
		Code:        row.Code,
		Detail:      row.Detail,
		CreatedAt:   row.CreatedAt,
		EndedAt:     row.EndedAt,
	}
	if row.OrderID != nil {
		out.OrderID = *row.OrderID
	}
	if row.ReservationID != nil {
		out.ReservationID = *row.ReservationID
	}
	return out
}

func unlessNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
