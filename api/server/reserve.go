package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/internal/reserving"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// CreateReservation starts the workflow that holds the stock and owns its timer, or attaches to it, and
// answers as inventory has the reservation afterwards.
func (h *handlers) CreateReservation(c *gin.Context) {
	body, short, err := reservationBody(c)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	who := auth.From(c)
	hash, err := reservationHash(body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	owner := orderflow.CustomerReservationOwner(who.Issuer, who.Subject, body.OrderID.String())
	held := orderstore.Reservation{
		ID: inventoryapi.NewReservationID(inventoryapi.OwnerCustomer, owner, 1), OwnerID: owner,
		Issuer: who.Issuer, CustomerID: who.Subject, TheirOrderID: body.OrderID.String(),
	}
	register, cancel := context.WithTimeout(c.Request.Context(), lookBudget)
	defer cancel()
	if err := h.store.RegisterReservation(register, held); err != nil {
		h.fail(c, err)
		return
	}
	in := orderflow.ReservationStart{
		ReservationID: held.ID, OwnerID: owner, RequestHash: hash, Actor: who.Subject, TTLSeconds: body.TTLSeconds,
		CorrelationID: correlation.From(c.Request.Context()), PlacedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	for i, l := range body.Lines {
		in.Lines = append(in.Lines, orderflow.ReserveLine{LineNo: i + 1, ProductID: l.ProductID, Quantity: l.Quantity})
	}
	view, err := h.hold(c.Request.Context(), in, who.Subject, orderflow.UpdatePlace)
	if err == nil && view.Refusal != nil && !view.PlacedAt.Equal(in.PlacedAt) {
		// The answer of an earlier run, which was refused and has ended. Nothing came of it, so this is a new try.
		view, err = h.hold(c.Request.Context(), in, who.Subject, uuid.NewString())
	}
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "a reservation was not decided at once", "reservation_id", held.ID, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory has not decided yet; send the same request again"))
		return
	}
	if err := notHeld(view, hash, short); err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.read(c, held.ID)
	switch {
	case !ok:
	case row.Status != inventoryapi.StatusPending && row.Status != inventoryapi.StatusConfirmed:
		httpx.Fail(c, resolvedOtherwise(string(row.Status))) // it ended since the workflow answered
	default:
		c.Header("Location", "/api/inventory/reserve/"+held.ID.String())
		c.JSON(http.StatusCreated, wireReservation(held, row))
	}
}

// reservationBody reads the request. Its short form, one product and its quantity, becomes the line that it
// stands for, so that both forms are the same request.
func reservationBody(c *gin.Context) (body orderapi.CreateReservation, short bool, err error) {
	if err := httpx.DecodeJSON(c, &body); err != nil {
		return body, false, err
	}
	short = len(body.Lines) == 0
	switch {
	case !short && (body.ProductID != uuid.Nil || body.Quantity != 0):
		return body, short, problem.Invalid("lines", "give lines, or product_id and quantity, not both")
	case short && body.ProductID == uuid.Nil:
		return body, short, problem.Invalid("product_id", "product_id is required where there are no lines")
	case short && body.Quantity == 0:
		return body, short, problem.Invalid("quantity", "quantity is required where there are no lines")
	case short:
		body.Lines = []orderapi.CreateOrderLine{{ProductID: body.ProductID, Quantity: body.Quantity}}
		body.ProductID, body.Quantity = uuid.Nil, 0
	}
	return body, short, nil
}

// hold is reserving.Place within the time that a caller waits.
func (h *handlers) hold(ctx context.Context, in orderflow.ReservationStart, customer, updateID string) (orderflow.ReservationView, error) {
	ctx, cancel := context.WithTimeout(ctx, createBudget)
	defer cancel()
	return reserving.Place(ctx, h.temporal, in, customer, updateID)
}

// notHeld turns the view of a reservation that does not hold its stock into a problem.
func notHeld(view orderflow.ReservationView, hash string, short bool) error {
	switch {
	case view.RequestHash != hash:
		return orderapi.Table.New(orderapi.IdempotencyKeyReused, "this order_id was used with another body; use a new one for another reservation").At("order_id")
	case view.Refusal == nil && (view.Status == orderflow.ReservationPending || view.Status == orderflow.ReservationConfirmed):
		return nil
	case view.Refusal == nil:
		return resolvedOtherwise(view.Status)
	}
	why := *view.Refusal
	field := why.Field
	if short {
		field = strings.TrimPrefix(field, "lines[0].")
	}
	switch {
	case why.Code == orderflow.ErrOutOfStock:
		return orderapi.Table.New(orderapi.OutOfStock, "nothing is held; ask for less, or again later").WithLines(view.Short)
	case why.Code == orderflow.ErrReservationClosed:
		return resolvedOtherwise(why.Detail)
	case why.Code == string(inventoryapi.ProductNotFound):
		return orderapi.Table.New(orderapi.UnknownProduct, "%s", why.Detail).At(field)
	case why.Code == string(inventoryapi.AlreadyExists):
		return orderapi.Table.New(orderapi.IdempotencyKeyReused, "this order_id was used with another body; use a new one for another reservation").At("order_id")
	}
	return orderapi.Table.New(orderapi.ReservationRefused, "%s", why.Detail).At(field)
}

func resolvedOtherwise(status string) error {
	if status == orderflow.ReservationExpired {
		p := orderapi.Table.New(orderapi.ReservationExpired, "the reservation has expired; use a new order_id for another one")
		p.CurrentStatus = status
		return p
	}
	p := orderapi.Table.New(orderapi.AlreadyResolved, "the reservation is %s", status)
	p.CurrentStatus = status
	return p
}
