package stock

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"holdfast/inventory/inventoryapi"
)

// Reserve reserves stock for every line, or for none.
type Reserve struct {
	in            inventoryapi.ReserveRequest // line numbers set
	ttl           time.Duration
	hash          []byte
	correlationID string

	defaultStrategy inventoryapi.Strategy // if the request names none; not part of the hash
}

// NewReserve checks a request; defaultTTL applies if the request has no time to live.
func NewReserve(in inventoryapi.ReserveRequest, defaultTTL time.Duration, correlationID string) (Reserve, error) {
	if err := checkReserve(&in); err != nil {
		return Reserve{}, err
	}
	ttl := defaultTTL
	if in.TTLSeconds != 0 {
		ttl = time.Duration(in.TTLSeconds) * time.Second
	}
	return Reserve{in: in, ttl: ttl, hash: requestHash(in), correlationID: correlationID}, nil
}

// WithDefaultStrategy returns the request with the strategy that applies if the request names none.
func (r Reserve) WithDefaultStrategy(strategy inventoryapi.Strategy) Reserve {
	r.defaultStrategy = strategy
	return r
}

// requestHash distinguishes a repeated request from a different request with the same id. It covers the fields that
// decide the reservation, and the time to live and the strategy as they were given: with a changed default the request
// stays the same. A given strategy follows the lines, after a 0, with which no line begins. Without a strategy the hash
// is what it was before strategies existed.
func requestHash(in inventoryapi.ReserveRequest) []byte {
	var buf []byte
	buf = append(append(buf, in.OwnerKind...), 0)
	buf = append(buf, in.OwnerID[:]...)
	buf = binary.AppendVarint(buf, int64(in.Number))
	buf = binary.AppendVarint(buf, in.TTLSeconds)

	lines := slices.Clone(in.Lines)
	slices.SortFunc(lines, func(x, y inventoryapi.ReserveLine) int { return cmp.Compare(x.LineNo, y.LineNo) })
	for _, l := range lines {
		buf = binary.AppendVarint(buf, int64(l.LineNo))
		buf = append(buf, l.ProductID[:]...)
		buf = binary.AppendVarint(buf, l.Quantity)
	}

	if in.Strategy != "" {
		buf = append(append(buf, 0), in.Strategy...)
	}
	sum := sha256.Sum256(buf)
	return sum[:]
}

// Kind names the operation.
func (Reserve) Kind() string { return "reserve" }

// TellsVersion reports that the answer does not contain the product's version.
func (Reserve) TellsVersion() bool { return false }

// Reads adds the products' items, and any reservation that already has the id or the owner's number.
func (r Reserve) Reads(reads *Reads) {
	for _, l := range r.in.Lines {
		reads.Products = append(reads.Products, l.ProductID)
	}
	reads.Reserves = append(reads.Reserves, r.in.ReservationID)
	reads.Owners = append(reads.Owners, r.owner())
}

func (r Reserve) owner() Owner {
	return Owner{Kind: r.in.OwnerKind, ID: r.in.OwnerID, Number: r.in.Number}
}

func (r Reserve) decide(b *Book) (out inventoryapi.Reservation, err error) {
	if held := b.reservations[r.in.ReservationID]; held != nil {
		return r.again(b, held)
	}
	if a, ok := b.archived[r.in.ReservationID]; ok {
		return out, &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: a.ID, Status: a.Status}
	}
	if other, ok := b.owners[r.owner()]; ok {
		return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "number",
			"%s %s has reservation %s under number %d", r.in.OwnerKind, r.in.OwnerID, other, r.in.Number)
	}

	picks, err := b.allocate(r.in.Lines, cmp.Or(r.in.Strategy, r.defaultStrategy))
	if err != nil {
		return out, err
	}

	held := &Reservation{
		ID:          r.in.ReservationID,
		Owner:       r.owner(),
		RequestHash: r.hash,
		Status:      inventoryapi.StatusPending,
		ExpiresAt:   b.now.Add(r.ttl),
		WorkflowID:  r.in.WorkflowID,
		Version:     1,
		Actor:       r.in.Actor,
		ReserveOp:   r.in.OperationID,
		CreatedAt:   b.now,
	}
	entries := make([]Entry, len(picks))
	for i, p := range picks {
		held.Lines = append(held.Lines, Line{No: p.line, ItemID: p.item.ID, Quantity: p.quantity})
		entries[i] = b.record(p.item, Entry{
			OperationID:   r.in.OperationID,
			Line:          p.line,
			Kind:          Reserved,
			ReservedDelta: p.quantity,
			ReservationID: held.ID,
			Actor:         r.in.Actor,
		})
	}

	b.reservations[held.ID] = held
	b.owners[held.Owner] = held.ID
	b.announce(inventoryapi.EventReserved, held, r.in.OperationID, entries, r.correlationID)
	return b.reservationAnswer(held, false)
}

// again answers a reserve whose id exists. The same request gets the same reservation, unless the reservation was
// released or expired; a different request is refused.
func (r Reserve) again(b *Book, held *Reservation) (out inventoryapi.Reservation, err error) {
	over := held.Status == inventoryapi.StatusReleased || held.Status == inventoryapi.StatusExpired
	switch {
	case held.RequestHash != nil && !bytes.Equal(held.RequestHash, r.hash):
		return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "reservation_id",
			"reservation %s exists with another owner, other lines or another time to live", held.ID)
	case over:
		return out, resolvedOtherwise(held)
	default:
		return b.reservationAnswer(held, true)
	}
}
