package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// Inventory is what the api needs of the inventory service. The api changes no reservation there, because a reservation
// without a workflow would have no timer. It only reads, and tells inventory which products are sold.
type Inventory interface {
	GetReservation(ctx context.Context, reservationID uuid.UUID) (inventoryapi.Reservation, error)
	GetBackorder(ctx context.Context, backorderID uuid.UUID) (inventoryapi.Backorder, error)
	Overdue(ctx context.Context, page inventoryapi.Page) (inventoryapi.OverdueList, error)
	Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error)
	SetSellable(ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest) (inventoryapi.Sellable, error)
}

// GetReservation answers a reservation without an order as inventory has it.
func (h *handlers) GetReservation(c *gin.Context, id uuid.UUID) {
	held, ok := h.ownedReservation(c, id)
	if !ok {
		return
	}
	if row, ok := h.read(c, id); ok {
		c.JSON(http.StatusOK, wireReservation(held, row))
	}
}

// ReleaseReservation gives the stock back.
func (h *handlers) ReleaseReservation(c *gin.Context, id uuid.UUID) {
	held, row, ok := h.resolve(c, id, inventoryapi.StatusReleased, func(ctx context.Context) error {
		return h.workflows.Release(ctx, id, resolveInput(c, "released on request"))
	})
	if !ok {
		return
	}
	f := figuresOf(row)
	c.JSON(http.StatusOK, orderapi.ReleasedReservation{
		ReservationID:    id,
		OrderID:          uuid.MustParse(held.TheirOrderID),
		Status:           orderapi.ReservationStatus(row.Status),
		QuantityReleased: f.held,
		AvailableStock:   f.quantity - f.reserved,
		ReservedStock:    f.reserved,
	})
}

// ConfirmReservation takes the stock out. Only operators may do this, because no payment covers the reservation.
func (h *handlers) ConfirmReservation(c *gin.Context, id uuid.UUID) {
	if !auth.From(c).Operates() {
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators confirm a reservation without an order"))
		return
	}
	held, row, ok := h.resolve(c, id, inventoryapi.StatusConfirmed, func(ctx context.Context) error {
		return h.workflows.Confirm(ctx, id, resolveInput(c, "confirmed by an operator"))
	})
	if !ok {
		return
	}
	f := figuresOf(row)
	c.JSON(http.StatusOK, orderapi.ConfirmedReservation{
		ReservationID:     id,
		OrderID:           uuid.MustParse(held.TheirOrderID),
		Status:            orderapi.ReservationStatus(row.Status),
		QuantityConfirmed: f.held,
		FinalStock:        f.quantity,
		ReservedStock:     f.reserved,
	})
}

// ExtendReservation holds the stock for longer.
func (h *handlers) ExtendReservation(c *gin.Context, id uuid.UUID, params orderapi.ExtendReservationParams) {
	var body orderapi.Extend
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	key, err := idempotencyKey(params.IdempotencyKey)
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	in := orderflow.ExtendInput{
		TTLSeconds: body.TTLSeconds, Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context()),
	}
	held, row, ok := h.resolve(c, id, inventoryapi.StatusPending, func(ctx context.Context) error {
		return h.workflows.ExtendReservation(ctx, id, key, in)
	})
	if ok {
		c.JSON(http.StatusOK, wireReservation(held, row))
	}
}

func resolveInput(c *gin.Context, reason string) orderflow.ResolveInput {
	return orderflow.ResolveInput{
		Actor: auth.From(c).Subject, Reason: reason, CorrelationID: correlation.From(c.Request.Context()),
	}
}

// resolve asks a reservation's workflow. It then reads the reservation from inventory and returns it if it has the
// wanted status; otherwise it answers the request. The status in inventory decides, so that a repeated request gets the
// same answer as the first, also when the workflow has ended.
func (h *handlers) resolve(
	c *gin.Context, id uuid.UUID, want inventoryapi.Status, ask func(context.Context) error,
) (held orderstore.Reservation, row inventoryapi.Reservation, ok bool) {
	if held, ok = h.ownedReservation(c, id); !ok {
		return held, row, false
	}

	err := ask(c.Request.Context())
	var refused *orderclient.RefusedError
	errors.As(err, &refused)
	switch {
	case orderclient.RefusalKind(err) == orderflow.ErrTooManyExtensions:
		httpx.Fail(c, orderapi.Table.New(orderapi.TooManyExtensions, "%s", refused.Detail))
		return held, row, false
	case orderclient.RefusalKind(err) == orderflow.ErrInvalidDuration:
		httpx.Fail(c, orderapi.Table.New(orderapi.InvalidDuration, "%s", refused.Detail).At("ttl_seconds"))
		return held, row, false
	case errors.Is(err, orderclient.ErrUnderWay),
		orderclient.OutcomeUnknown(err),
		orderclient.RefusalKind(err) == orderflow.ErrUnavailable:
		h.log.WarnContext(c.Request.Context(), "a reservation was not resolved at once",
			"reservation_id", id, "wanted", want, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable,
			"inventory has not answered yet; send the same request again"))
		return held, row, false
	}

	if row, ok = h.read(c, id); !ok {
		return held, row, false
	}
	switch {
	case row.Status == want && (want != inventoryapi.StatusPending || err == nil):
		return held, row, true
	case row.Status == inventoryapi.StatusPending && errors.Is(err, orderclient.ErrEnded):
		p := orderapi.Table.New(orderapi.ReservationStopped, "the shop has stopped the processing of this reservation; "+
			"first send the request that made the reservation again, with the same order_id, and then this request")
		p.CurrentStatus = string(row.Status)
		httpx.Fail(c, p)
	default:
		httpx.Fail(c, reservationEnded(string(row.Status)))
	}
	return held, row, false
}

// ownedReservation returns a reservation without an order that the caller may change. It answers 409 if the reservation
// belongs to an order of the caller, which can cancel or extend that order instead, and 404 otherwise.
func (h *handlers) ownedReservation(c *gin.Context, id uuid.UUID) (orderstore.Reservation, bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	held, err := h.store.GetReservation(ctx, id)
	if err == nil && auth.From(c).ActsFor(held.Issuer, held.CustomerID) {
		return held, true
	}

	if errors.Is(err, orderstore.ErrNotFound) {
		var of orderstore.Order
		of, err = h.store.OfReservation(ctx, id)
		if err == nil && auth.From(c).ActsFor(of.Issuer, of.CustomerID) {
			p := orderapi.Table.New(orderapi.OwnedByOrder,
				"the reservation belongs to order %s; cancel, extend or pay that order", of.OrderID)
			p.OrderID = of.OrderID.String()
			httpx.Fail(c, p)
			return held, false
		}
	}

	if err != nil && !errors.Is(err, orderstore.ErrNotFound) {
		h.fail(c, err)
		return held, false
	}
	httpx.Fail(c, noReservation(id))
	return held, false
}

func noReservation(id uuid.UUID) error {
	return orderapi.Table.New(orderapi.ReservationNotFound, "there is no reservation %s", id).At("reservation_id")
}

// read returns a reservation as inventory has it, or answers the request if inventory does not return it.
func (h *handlers) read(c *gin.Context, id uuid.UUID) (inventoryapi.Reservation, bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	row, err := h.inventory.GetReservation(ctx, id)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound):
		httpx.Fail(c, noReservation(id)) // inventory has refused the reserve, or has not decided it yet
	case err != nil:
		h.log.WarnContext(c.Request.Context(), "inventory did not answer", "reservation_id", id, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable,
			"inventory does not answer; send the same request again"))
	default:
		return row, true
	}
	return row, false
}

// statusOf is the reservation's status for clients. A reservation past its deadline is expired for them, also before
// its workflow has expired it: inventory gives its stock to others already.
func statusOf(row inventoryapi.Reservation) inventoryapi.Status {
	if row.Status == inventoryapi.StatusPending && !row.ExpiresAt.After(time.Now()) {
		return inventoryapi.StatusExpired
	}
	return row.Status
}

// figures are sums over the lines of a reservation and over the items that they concern.
type figures struct{ held, quantity, reserved int64 }

func figuresOf(row inventoryapi.Reservation) figures {
	var f figures
	type item struct {
		product  uuid.UUID
		location string
	}
	seen := map[item]bool{}
	for _, l := range row.Lines {
		f.held += l.Quantity
		if at := (item{l.ProductID, l.Location}); !seen[at] {
			seen[at] = true
			f.quantity += l.RemainingStock + l.ReservedQuantity
			f.reserved += l.ReservedQuantity
		}
	}
	return f
}

func wireReservation(held orderstore.Reservation, row inventoryapi.Reservation) orderapi.Reservation {
	out := orderapi.Reservation{
		ReservationID: held.ID,
		OrderID:       uuid.MustParse(held.TheirOrderID),
		Status:        orderapi.ReservationStatus(statusOf(row)),
		ExpiresAt:     row.ExpiresAt,
		Lines:         make([]orderapi.ReservationLine, len(row.Lines)),
	}
	for i, l := range row.Lines {
		out.Lines[i] = orderapi.ReservationLine{
			ProductID:        l.ProductID,
			Location:         l.Location,
			Quantity:         l.Quantity,
			RemainingStock:   l.RemainingStock,
			ReservedQuantity: l.ReservedQuantity,
		}
	}
	return out
}
