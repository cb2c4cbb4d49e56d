package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// The author of an expiry that no caller asked for.
const overdueBackorderReason = "overdue: the deadline of the backorder has passed"

// backorderChange is what CancelBackorder, ExpireBackorder and ExtendBackorder have in common.
type backorderChange struct {
	id          uuid.UUID
	operationID uuid.UUID
	actor       string
	reason      string
}

func newBackorderChange(id, op uuid.UUID, actor, reason string) (backorderChange, error) {
	if id == uuid.Nil {
		return backorderChange{}, required("backorder_id")
	}
	return backorderChange{id, op, actor, reason}, checkChange(op, actor, reason)
}

// Reads adds the backorder with the items of its products.
func (c backorderChange) Reads(reads *Reads) { reads.Backorders = append(reads.Backorders, c.id) }

// find returns the backorder. If it was granted when it was placed, there is only a reservation.
func (c backorderChange) find(b *Book) (*Backorder, error) {
	if w := b.backorders[c.id]; w != nil {
		return w, nil
	}
	_, archived := b.archived[c.id]
	if held := b.reservations[c.id]; archived || held != nil && held.RequestHash != nil {
		return nil, &inventoryapi.BackorderStatusError{BackorderID: c.id, Status: inventoryapi.BackorderGranted}
	}
	return nil, BackorderNotFound(c.id)
}

// BackorderNotFound tells a client that there is no backorder.
func BackorderNotFound(id uuid.UUID) error {
	return inventoryapi.Errorf(inventoryapi.BackorderNotFound, "backorder_id", "there is no backorder %s", id)
}

// end ends the wait without a reservation. The other backorders of the products are looked at again.
func (c backorderChange) end(b *Book, w *Backorder, status inventoryapi.BackorderStatus) {
	w.Status, w.ResolvedAt, w.ResolveOp = status, b.now, c.operationID
	w.Actor, w.Reason = c.actor, c.reason
	w.Version++
	b.addWaiting(w, -1)
	for _, l := range w.Lines {
		b.stir(l.ProductID)
	}
}

// CancelBackorder ends the wait before the deadline. If the backorder does not exist, it records a tombstone.
type CancelBackorder struct {
	backorderChange
	owner      Owner // of the tombstone; without an owner no tombstone is recorded
	workflowID string
}

// NewCancelBackorder checks a request.
func NewCancelBackorder(id uuid.UUID, in inventoryapi.ReleaseRequest) (CancelBackorder, error) {
	c, err := newBackorderChange(id, in.OperationID, in.Actor, in.Reason)
	if err != nil {
		return CancelBackorder{}, err
	}
	if err := checkReleaseOwner(in); err != nil {
		return CancelBackorder{}, err
	}
	return CancelBackorder{
		backorderChange: c,
		owner:           Owner{Kind: in.OwnerKind, ID: in.OwnerID, Number: in.Number},
		workflowID:      in.WorkflowID,
	}, nil
}

// Kind names the operation.
func (CancelBackorder) Kind() string { return "cancel_backorder" }

// TellsVersion reports that the answer does not contain the product's version.
func (CancelBackorder) TellsVersion() bool { return false }

// Reads adds the backorder with the items of its products, and whatever has the owner's number already.
func (c CancelBackorder) Reads(reads *Reads) {
	c.backorderChange.Reads(reads)
	if c.owner != (Owner{}) {
		reads.Owners = append(reads.Owners, c.owner)
	}
}

func (c CancelBackorder) decide(b *Book) (out inventoryapi.Backorder, err error) {
	w, err := c.find(b)
	switch {
	case err != nil && c.owner != (Owner{}) && inventoryapi.CodeOf(err) == inventoryapi.BackorderNotFound:
		return c.recordTombstone(b)
	case err != nil:
		return out, err
	}
	switch w.Status {
	case inventoryapi.BackorderCancelled:
	case inventoryapi.BackorderWaiting:
		c.end(b, w, inventoryapi.BackorderCancelled)
	default:
		return out, notWaiting(w)
	}
	return DescribeBackorder(w), nil
}

// recordTombstone records the cancellation of a backorder that does not exist. The request to place it may still be on
// its way: without this row it would wait for stock that no caller wants.
func (c CancelBackorder) recordTombstone(b *Book) (out inventoryapi.Backorder, err error) {
	if err := b.refuseUsedOwner(c.owner, c.id); err != nil {
		return out, err
	}
	w := &Backorder{
		ID:         c.id,
		Owner:      c.owner,
		Status:     inventoryapi.BackorderCancelled,
		Deadline:   b.now,
		TTL:        time.Second,
		WorkflowID: c.workflowID,
		Version:    1,
		Actor:      c.actor,
		Reason:     c.reason,
		PlaceOp:    c.operationID,
		ResolveOp:  c.operationID,
		CreatedAt:  b.now,
		ResolvedAt: b.now,
	}
	b.addBackorder(w)
	return DescribeBackorder(w), nil
}

// ExpireBackorder ends the wait because the deadline passed.
type ExpireBackorder struct{ backorderChange }

// NewExpireBackorder checks a request.
func NewExpireBackorder(id uuid.UUID, in inventoryapi.ResolveRequest) (ExpireBackorder, error) {
	c, err := newBackorderChange(id, in.OperationID, in.Actor, in.Reason)
	return ExpireBackorder{c}, err
}

// Kind names the operation.
func (ExpireBackorder) Kind() string { return "expire_backorder" }

// TellsVersion reports that the answer does not contain the product's version.
func (ExpireBackorder) TellsVersion() bool { return false }

func (x ExpireBackorder) decide(b *Book) (out inventoryapi.Backorder, err error) {
	w, err := x.find(b)
	if err != nil {
		return out, err
	}
	switch w.Status {
	case inventoryapi.BackorderExpired:
	case inventoryapi.BackorderWaiting:
		if !b.overdueBackorder(w) {
			return out, &inventoryapi.DeadlineError{
				Code:          inventoryapi.NotDue,
				ReservationID: w.ID,
				ExpiresAt:     w.Deadline,
				Status:        inventoryapi.Status(w.Status),
			}
		}
		x.end(b, w, inventoryapi.BackorderExpired)
	default:
		return out, notWaiting(w)
	}
	return DescribeBackorder(w), nil
}

// ExtendBackorder moves the deadline to a later moment.
type ExtendBackorder struct {
	backorderChange
	to time.Time
}

// NewExtendBackorder checks a request. The limit of the deadline is checked later, by the database's clock.
func NewExtendBackorder(id uuid.UUID, in inventoryapi.ExtendBackorderRequest) (ExtendBackorder, error) {
	switch {
	case id == uuid.Nil:
		return ExtendBackorder{}, required("backorder_id")
	case in.Deadline.IsZero():
		return ExtendBackorder{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "deadline", "the new deadline is required")
	}
	// It has no operation id: a repeat changes nothing.
	c := backorderChange{id: id, actor: in.Actor, reason: in.Reason}
	return ExtendBackorder{c, in.Deadline.UTC().Truncate(time.Microsecond)}, checkAuthor(in.Actor, in.Reason)
}

// Kind names the operation.
func (ExtendBackorder) Kind() string { return "extend_backorder" }

// TellsVersion reports that the answer does not contain the product's version.
func (ExtendBackorder) TellsVersion() bool { return false }

func (x ExtendBackorder) decide(b *Book) (out inventoryapi.Backorder, err error) {
	w, err := x.find(b)
	switch {
	case err != nil:
		return out, err
	case w.Status != inventoryapi.BackorderWaiting && w.Status != inventoryapi.BackorderExpired:
		return out, notWaiting(w)
	case w.Status == inventoryapi.BackorderExpired, b.overdueBackorder(w):
		return out, &inventoryapi.DeadlineError{
			Code:          inventoryapi.BackorderPastDeadline,
			ReservationID: w.ID,
			ExpiresAt:     w.Deadline,
			Status:        inventoryapi.Status(w.Status),
		}
	case x.to.After(b.now.Add(inventoryapi.MaxWaitSeconds * time.Second)):
		return out, inventoryapi.Errorf(inventoryapi.InvalidDuration, "deadline",
			"a deadline may lie at most %d days from now", inventoryapi.MaxWaitSeconds/(24*60*60))
	}

	if x.to.After(w.Deadline) { // never shortened
		w.Deadline = x.to
		w.Actor, w.Reason = x.actor, x.reason
		w.Version++
	}
	return DescribeBackorder(w), nil
}
