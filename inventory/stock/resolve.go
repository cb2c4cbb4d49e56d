package stock

import (
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// resolution is what Confirm, Release and Expire have in common: each ends a pending reservation.
type resolution struct {
	id            uuid.UUID
	operationID   uuid.UUID
	actor         string
	reason        string
	correlationID string
}

// Reads adds the reservation.
func (r resolution) Reads(reads *Reads) { reads.Reservations = append(reads.Reservations, r.id) }

func (r resolution) find(b *Book) (*Reservation, error) {
	held := b.reservations[r.id]
	if held == nil {
		if a, ok := b.archived[r.id]; ok {
			return nil, a.NotFound()
		}
		return nil, inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id", "there is no reservation %s", r.id)
	}
	return held, nil
}

// end gives a pending reservation its terminal status and moves its stock: what was reserved is
// reserved no longer, and with takes it leaves the stock as well.
func (r resolution) end(b *Book, held *Reservation, kind Kind, status inventoryapi.Status, takes bool, event string) error {
	need := map[int64]int64{}
	for _, l := range held.Lines {
		if b.items[l.ItemID] == nil {
			return ErrStale
		}
		need[l.ItemID] += l.Quantity
	}
	for id, n := range need {
		it := b.items[id]
		switch {
		case it.Reserved < n && !takes:
			return inventoryapi.Errorf(inventoryapi.InvalidRelease, "", "product %s at %s has %d reserved, less than the %d to release", it.ProductID, it.Location, it.Reserved, n)
		case takes && (it.Reserved < n || it.Quantity < n):
			return inventoryapi.Errorf(inventoryapi.InvalidConfirm, "", "product %s at %s has %d in stock and %d reserved, less than the %d to confirm", it.ProductID, it.Location, it.Quantity, it.Reserved, n)
		}
	}
	held.Status, held.ResolvedAt, held.ResolveOp = status, b.now, r.operationID
	held.Actor, held.Reason = r.actor, r.reason
	held.Version++
	entries := make([]Entry, len(held.Lines))
	for i, l := range held.Lines {
		e := Entry{
			OperationID: r.operationID, Line: l.No, Kind: kind, ReservedDelta: -l.Quantity,
			ReservationID: held.ID, Actor: r.actor, Reason: r.reason,
		}
		if takes {
			e.QuantityDelta = -l.Quantity
		}
		entries[i] = b.record(b.items[l.ItemID], e)
	}
	b.announce(event, held, r.operationID, entries, r.correlationID)
	return nil
}

func resolvedOtherwise(held *Reservation) error {
	return &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: held.ID, Status: held.Status}
}

func pastDeadline(held *Reservation) error {
	return &inventoryapi.DeadlineError{Code: inventoryapi.ReservationExpired, ReservationID: held.ID, ExpiresAt: held.ExpiresAt, Status: held.Status}
}

// due reports whether the deadline has come: from that very instant on a reservation can be expired
// and no longer be confirmed, so that exactly one of the two is possible at any time.
func (b *Book) due(held *Reservation) bool { return !b.now.Before(held.ExpiresAt) }

// Confirm takes the reserved stock out for good.
type Confirm struct{ resolution }

// NewConfirm checks a request.
func NewConfirm(id uuid.UUID, in inventoryapi.ResolveRequest, correlationID string) (Confirm, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	return Confirm{r}, err
}

// Kind names the operation.
func (Confirm) Kind() string { return "confirm" }

func (c Confirm) decide(b *Book) (any, error) {
	held, err := c.find(b)
	if err != nil {
		return nil, err
	}
	switch held.Status {
	case inventoryapi.StatusConfirmed:
	case inventoryapi.StatusReleased:
		return nil, resolvedOtherwise(held)
	case inventoryapi.StatusExpired:
		return nil, pastDeadline(held)
	default:
		if b.due(held) {
			return nil, pastDeadline(held)
		}
		if err := c.end(b, held, Confirmed, inventoryapi.StatusConfirmed, true, inventoryapi.EventConfirmed); err != nil {
			return nil, err
		}
	}
	entries, err := b.entriesOf(held.ResolveOp, held.ID)
	if err != nil {
		return nil, err
	}
	t := sum(entries)
	return inventoryapi.ConfirmResult{
		ReservationID: held.ID, Status: held.Status, QuantityConfirmed: t.moved, FinalStock: t.quantity,
		ReservedStock: t.reserved, Lines: b.stockLines(entries),
	}, nil
}

// Release gives the stock back before the deadline, or plants a tombstone.
type Release struct {
	resolution
	owner      Owner // of the tombstone; zero plants none
	workflowID string
}

// NewRelease checks a request.
func NewRelease(id uuid.UUID, in inventoryapi.ReleaseRequest, correlationID string) (Release, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	if err != nil {
		return Release{}, err
	}
	if err := checkReleaseOwner(in); err != nil {
		return Release{}, err
	}
	return Release{resolution: r, owner: Owner{Kind: in.OwnerKind, ID: in.OwnerID, Number: in.Number}, workflowID: in.WorkflowID}, nil
}

// Kind names the operation.
func (Release) Kind() string { return "release" }

// Reads adds the reservation and whatever has the owner's number.
func (r Release) Reads(reads *Reads) {
	r.resolution.Reads(reads)
	if r.owner != (Owner{}) {
		reads.Owners = append(reads.Owners, r.owner)
	}
}

func (r Release) decide(b *Book) (any, error) {
	held := b.reservations[r.id]
	if held == nil {
		if _, archived := b.archived[r.id]; archived || r.owner == (Owner{}) {
			return r.find(b)
		}
		return r.plantTombstone(b)
	}
	switch held.Status {
	case inventoryapi.StatusReleased:
	case inventoryapi.StatusPending:
		if err := r.end(b, held, Released, inventoryapi.StatusReleased, false, inventoryapi.EventReleased); err != nil {
			return nil, err
		}
	default:
		return nil, resolvedOtherwise(held)
	}
	return b.releaseAnswer(held)
}

// plantTombstone records the release of a reservation that was never seen. Its reserve may still be
// on its way: without this row it would hold stock that nobody gives back. No stock moved, so nothing
// is announced.
func (r Release) plantTombstone(b *Book) (any, error) {
	if other, ok := b.owners[r.owner]; ok {
		return nil, inventoryapi.Errorf(inventoryapi.AlreadyExists, "number",
			"%s %s has reservation %s under number %d", r.owner.Kind, r.owner.ID, other, r.owner.Number)
	}
	held := &Reservation{
		ID: r.id, Owner: r.owner, Status: inventoryapi.StatusReleased, ExpiresAt: b.now, WorkflowID: r.workflowID, Version: 1,
		Actor: r.actor, Reason: r.reason, ReserveOp: r.operationID, ResolveOp: r.operationID, CreatedAt: b.now, ResolvedAt: b.now,
	}
	b.reservations[held.ID] = held
	b.owners[held.Owner] = held.ID
	return b.releaseAnswer(held)
}

func (b *Book) releaseAnswer(held *Reservation) (any, error) {
	entries, err := b.entriesOf(held.ResolveOp, held.ID)
	if err != nil {
		return nil, err
	}
	t := sum(entries)
	return inventoryapi.ReleaseResult{
		ReservationID: held.ID, Status: held.Status, QuantityReleased: t.moved, AvailableStock: t.quantity - t.reserved,
		ReservedStock: t.reserved, Lines: b.stockLines(entries),
	}, nil
}

// Expire gives the stock back because the deadline passed.
type Expire struct{ resolution }

// NewExpire checks a request.
func NewExpire(id uuid.UUID, in inventoryapi.ResolveRequest, correlationID string) (Expire, error) {
	r, err := newResolution(id, in.OperationID, in.Actor, in.Reason, correlationID)
	return Expire{r}, err
}

// Kind names the operation.
func (Expire) Kind() string { return "expire" }

func (x Expire) decide(b *Book) (any, error) {
	held, err := x.find(b)
	if err != nil {
		return nil, err
	}
	switch held.Status {
	case inventoryapi.StatusExpired:
	case inventoryapi.StatusPending:
		if !b.due(held) {
			return nil, &inventoryapi.DeadlineError{Code: inventoryapi.NotDue, ReservationID: held.ID, ExpiresAt: held.ExpiresAt, Status: held.Status}
		}
		if err := x.end(b, held, Expired, inventoryapi.StatusExpired, false, inventoryapi.EventExpired); err != nil {
			return nil, err
		}
	default:
		return nil, resolvedOtherwise(held)
	}
	return b.releaseAnswer(held)
}

// Extend moves the deadline to a later moment.
type Extend struct {
	resolution
	to time.Time
}

// NewExtend checks a request; how far the deadline may lie is judged by the database's clock.
func NewExtend(id uuid.UUID, in inventoryapi.ExtendRequest, correlationID string) (Extend, error) {
	if in.ExpiresAt.IsZero() {
		return Extend{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "expires_at", "the new deadline is required")
	}
	// Every extend is its own operation in effect: it moves no stock and is repeatable as it is.
	r, err := newResolution(id, uuid.Max, in.Actor, in.Reason, correlationID)
	return Extend{r, in.ExpiresAt.UTC().Truncate(time.Microsecond)}, err
}

// Kind names the operation.
func (Extend) Kind() string { return "extend" }

func (x Extend) decide(b *Book) (any, error) {
	held, err := x.find(b)
	switch {
	case err != nil:
		return nil, err
	case held.Status == inventoryapi.StatusExpired, held.Status == inventoryapi.StatusPending && b.due(held):
		return nil, pastDeadline(held)
	case held.Status != inventoryapi.StatusPending:
		return nil, &inventoryapi.StatusError{Code: inventoryapi.ReservationNotPending, ReservationID: held.ID, Status: held.Status}
	case x.to.After(b.now.Add(inventoryapi.MaxTTLSeconds * time.Second)):
		return nil, inventoryapi.Errorf(inventoryapi.InvalidDuration, "expires_at", "a deadline may lie at most 24 hours from now")
	}
	if x.to.After(held.ExpiresAt) { // never shortened
		held.ExpiresAt = x.to
		held.Actor, held.Reason = x.actor, x.reason
		held.Version++
	}
	return inventoryapi.ExtendResult{ReservationID: held.ID, Status: held.Status, ExpiresAt: held.ExpiresAt}, nil
}
