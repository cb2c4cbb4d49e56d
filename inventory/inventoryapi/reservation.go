package inventoryapi

import (
	"context"
	"encoding/binary"

	"github.com/google/uuid"
)

// The limits of the contract.
const (
	MaxLines      = 100   // of one reservation
	MaxTTLSeconds = 86400 // also how far from now a deadline may lie
	MaxProducts   = 100   // of one availability list
)

// API is the contract as a Go interface. The service in process and Client over HTTP both implement it, and one
// conformance suite (inventorytest) tests both. Errors are those of this package.
type API interface {
	// Reserve holds every line or none. A repeated request returns the same reservation, marked as replayed; after a
	// release or expiry the error is AlreadyResolved.
	//
	// A request with Replaces also releases the replaced reservation, in the same transaction, and fails with
	// ReservationNotPending or ReservationExpired if that one has ended. Those errors have the id of the replaced one.
	Reserve(ctx context.Context, in ReserveRequest) (Reservation, error)
	// Confirm takes the reserved stock out for good. After the deadline the error is ReservationExpired, and nothing
	// changes.
	Confirm(ctx context.Context, reservationID uuid.UUID, in ResolveRequest) (ConfirmResult, error)
	// Release gives the stock back. If the request has an owner and the reservation does not exist, Release leaves a
	// tombstone, which refuses the reserve if it arrives later.
	Release(ctx context.Context, reservationID uuid.UUID, in ReleaseRequest) (ReleaseResult, error)
	// Expire gives the stock back because the deadline has passed. Before the deadline the error is NotDue, with the
	// deadline.
	Expire(ctx context.Context, reservationID uuid.UUID, in ResolveRequest) (ReleaseResult, error)
	// Extend moves the deadline to a later moment and returns the deadline in force.
	Extend(ctx context.Context, reservationID uuid.UUID, in ExtendRequest) (ExtendResult, error)
	// Return puts confirmed stock back, once per operation id. A request without lines returns all of it.
	Return(ctx context.Context, reservationID uuid.UUID, in ReturnRequest) (ReturnResult, error)
	GetReservation(ctx context.Context, reservationID uuid.UUID) (Reservation, error)
	Availability(ctx context.Context, productID uuid.UUID, quantity int64) (Availability, error)
	// Availabilities returns the given products in the order given, without unknown products.
	Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]Availability, error)
}

// reservationSpace is the namespace of reservation ids.
var reservationSpace = uuid.MustParse("6f0c2a0e-6a5d-5c3b-9f43-7c5a0b0f9d11")

// NewReservationID derives a reservation's id from its owner and number, so that every retry by any process means the
// same reservation.
func NewReservationID(kind OwnerKind, ownerID uuid.UUID, number int) uuid.UUID {
	key := append([]byte(kind), ownerID[:]...)
	key = binary.BigEndian.AppendUint64(key, uint64(number)) //nolint:gosec // numbers are positive
	return uuid.NewSHA1(reservationSpace, key)
}

// ReplaceOperation names the release of a reservation that another one replaces, in the ledger and in events. A
// reservation is replaced at most once, so its id is enough.
func ReplaceOperation(replaced uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(replaced, []byte("replaced"))
}

// WasReplayed reports whether an earlier call made the reservation.
func (r Reservation) WasReplayed() bool { return r.Replayed }
