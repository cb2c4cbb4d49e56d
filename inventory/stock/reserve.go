package stock

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Reserve reserves stock for every line, or for none. If it would fall short, it first takes back the stock of overdue
// reservations; see Book.takeBack.
type Reserve struct {
	in            inventoryapi.ReserveRequest // every line has its number
	ttl           time.Duration
	hash          []byte // of the request, see requestHash
	correlationID string

	defaultStrategy inventoryapi.Strategy // applies if the request names no strategy
}

// NewReserve checks a request; defaultTTL applies if the request has no time to live and replaces no reservation.
func NewReserve(in inventoryapi.ReserveRequest, defaultTTL time.Duration, correlationID string) (Reserve, error) {
	if err := checkReserve(&in); err != nil {
		return Reserve{}, err
	}
	ttl := defaultTTL
	if in.Replaces != uuid.Nil {
		ttl = 0 // the deadline of the replaced reservation
	}
	if in.TTLSeconds != 0 {
		ttl = time.Duration(in.TTLSeconds) * time.Second
	}
	return Reserve{in: in, ttl: ttl, hash: requestHash(in), correlationID: correlationID}, nil
}

// WithDefaultStrategy returns a copy of r with the strategy that applies if the request names none.
func (r Reserve) WithDefaultStrategy(strategy inventoryapi.Strategy) Reserve {
	r.defaultStrategy = strategy
	return r
}

// requestHash tells a repeated request from a different request with the same reservation id. It covers the owner, the
// lines, the time to live and the strategy. It takes the time to live and the strategy as the client sent them, so that
// a new default does not make a repeated request look different. It does not cover the reservation to replace, so that
// a caller who knows only what is reserved now finds its reservation.
//
// The database keeps the hashes, so the encoding must not change. A strategy comes last, after a 0 byte; a line cannot
// begin with 0, because its number is at least 1. A request without a strategy has no such part, and so the same hash
// as before strategies existed.
func requestHash(in inventoryapi.ReserveRequest) []byte {
	var buf []byte
	buf = append(buf, in.OwnerKind...)
	buf = append(buf, 0)
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
		buf = append(buf, 0)
		buf = append(buf, in.Strategy...)
	}

	sum := sha256.Sum256(buf)
	return sum[:]
}

// Kind names the operation.
func (Reserve) Kind() string { return "reserve" }

// TellsVersion reports that the answer does not contain the product's version.
func (Reserve) TellsVersion() bool { return false }

// Reads adds the products' items, any reservation that already has the id or the owner's number, and the reservation to
// replace.
func (r Reserve) Reads(reads *Reads) {
	for _, l := range r.in.Lines {
		reads.Products = append(reads.Products, l.ProductID)
	}
	reads.Reserves = append(reads.Reserves, r.in.ReservationID)
	if r.in.Replaces != uuid.Nil {
		reads.Reservations = append(reads.Reservations, r.in.Replaces)
	}
	reads.Owners = append(reads.Owners, r.owner())
}

func (r Reserve) owner() Owner {
	return Owner{Kind: r.in.OwnerKind, ID: r.in.OwnerID, Number: r.in.Number}
}

func (r Reserve) decide(b *Book) (out inventoryapi.Reservation, err error) {
	if held := b.reservations[r.in.ReservationID]; held != nil {
		return r.answerRepeat(b, held)
	}
	if a, ok := b.archived[r.in.ReservationID]; ok {
		return out, &inventoryapi.StatusError{Code: inventoryapi.AlreadyResolved, ReservationID: a.ID, Status: a.Status}
	}
	if w := b.backorders[r.in.ReservationID]; w != nil && w.Status != inventoryapi.BackorderGranted {
		return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "reservation_id",
			"backorder %s has this id and is %s; send a new reservation_id", w.ID, w.Status)
	}
	if err := b.refuseUsedOwner(r.owner(), r.in.ReservationID); err != nil {
		return out, err
	}

	var picks []pick
	expiresAt := b.now.Add(r.ttl)
	if r.in.Replaces != uuid.Nil {
		picks, expiresAt, err = r.replace(b)
	} else {
		picks, err = b.allocate(r.in.Lines, r.strategy(), r.correlationID)
	}
	if err != nil {
		return out, err
	}

	held := &Reservation{
		ID:          r.in.ReservationID,
		Owner:       r.owner(),
		RequestHash: r.hash,
		Status:      inventoryapi.StatusPending,
		ExpiresAt:   expiresAt,
		WorkflowID:  r.in.WorkflowID,
		Version:     1,
		Actor:       r.in.Actor,
		ReserveOp:   r.in.OperationID,
		CreatedAt:   b.now,
	}
	b.hold(held, picks, r.correlationID)
	return b.reservationAnswer(held, false)
}

// hold reserves the picks for a new reservation, and returns the entries.
func (b *Book) hold(held *Reservation, picks []pick, correlationID string) []Entry {
	entries := make([]Entry, len(picks))
	for i, p := range picks {
		held.Lines = append(held.Lines, Line{No: p.line, ItemID: p.item.ID, Quantity: p.quantity})
		entries[i] = b.record(p.item, Entry{
			OperationID:   held.ReserveOp,
			Line:          p.line,
			Kind:          Reserved,
			ReservedDelta: p.quantity,
			ReservationID: held.ID,
			Actor:         held.Actor,
			Reason:        held.Reason,
		})
	}
	b.reservations[held.ID] = held
	b.owners[held.Owner] = held.ID
	b.addEvent(inventoryapi.EventReserved, held, held.ReserveOp, entries, correlationID)
	return entries
}

// strategy returns the strategy of the allocation; "" is priority.
func (r Reserve) strategy() inventoryapi.Strategy { return cmp.Or(r.in.Strategy, r.defaultStrategy) }

// backorderHash is the hash of a request to place a backorder. It covers all that the hash of a reserve covers, and the
// wait; the text keeps the two kinds of requests apart. The database keeps the hashes, so the encoding must not change.
func backorderHash(reserve []byte, waitSeconds int64) []byte {
	buf := append([]byte("backorder"), reserve...)
	buf = binary.AppendVarint(buf, waitSeconds)
	sum := sha256.Sum256(buf)
	return sum[:]
}

// answerRepeat answers a reserve whose reservation exists. A repeat of the same request gets the same reservation,
// unless it was released or has expired. A different request is refused.
func (r Reserve) answerRepeat(b *Book, held *Reservation) (out inventoryapi.Reservation, err error) {
	tombstone := held.RequestHash == nil // the release came before the reserve; see Release
	if !tombstone && !bytes.Equal(held.RequestHash, r.hash) {
		return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "reservation_id",
			"reservation %s was made by a different request (owner, lines, time to live or strategy differ); "+
				"send a new reservation_id", held.ID)
	}
	if held.Status == inventoryapi.StatusReleased || held.Status == inventoryapi.StatusExpired {
		return out, resolvedOtherwise(held)
	}
	return b.reservationAnswer(held, true)
}
