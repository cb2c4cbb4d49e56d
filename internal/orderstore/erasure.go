package orderstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/workflows/orderflow"
)

// Erasure is a request to erase a customer's personal data.
type Erasure struct {
	Issuer, CustomerID string // of the customer's token
	Actor              string // who asks
	Reason             string // why, for the record
}

// Erased is an erasure that was carried out.
type Erased struct {
	ID     uuid.UUID
	Orders int64 // the orders whose data this request erased
	At     time.Time
}

// OpenOrdersError says that a customer's data cannot be erased while orders are open.
type OpenOrdersError struct {
	Orders []uuid.UUID // the first of them
}

func (e *OpenOrdersError) Error() string {
	ids := make([]string, len(e.Orders))
	for i, id := range e.Orders {
		ids[i] = id.String()
	}
	return "these orders are open: " + strings.Join(ids, ", ")
}

// platform are the actors whose reasons are the platform's own words and not personal data.
var platform = []string{orderflow.ActorSystem, orderflow.ActorTemporal}

// Erase erases the personal data of a customer's orders: address, email, metadata, the reasons that people gave, notes,
// review, and what was noted about mails and parcels. Lines, amounts, payments, states and times stay. A repeat erases
// what has closed since, and is recorded as a request of its own. Erase returns ErrNotFound if the customer has no
// order, and an OpenOrdersError while one is open.
func (s *Store) Erase(ctx context.Context, e Erasure) (Erased, error) {
	all, err := s.q.CountOrdersOfCustomer(ctx, s.pool, ordersdb.CountOrdersOfCustomerParams{
		CustomerID: e.CustomerID,
		Issuer:     e.Issuer,
	})
	if err != nil {
		return Erased{}, fmt.Errorf("count the customer's orders: %w", err)
	}
	if all == 0 {
		return Erased{}, fmt.Errorf("orders of the customer: %w", ErrNotFound)
	}

	open, err := s.q.OpenOrdersOfCustomer(ctx, s.pool, ordersdb.OpenOrdersOfCustomerParams{
		CustomerID: e.CustomerID,
		Issuer:     e.Issuer,
		Closed:     closed,
	})
	if err != nil {
		return Erased{}, fmt.Errorf("look for open orders of the customer: %w", err)
	}
	if len(open) > 0 {
		return Erased{}, &OpenOrdersError{open}
	}

	// An order that is placed from here on keeps its data, because it is not closed.
	row, err := s.q.EraseCustomer(ctx, s.pool, ordersdb.EraseCustomerParams{
		ErasureID:  uuid.New(),
		Issuer:     e.Issuer,
		CustomerID: e.CustomerID,
		Actor:      e.Actor,
		Reason:     storable(e.Reason),
		Closed:     closed,
		Platform:   platform,
	})
	if err != nil {
		return Erased{}, fmt.Errorf("erase the customer's data: %w", err)
	}
	return Erased{row.ErasureID, row.Orders, row.ErasedAt}, nil
}
