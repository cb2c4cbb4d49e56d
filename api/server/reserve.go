package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
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
	ask := asked{lines: body.Lines, short: short}
	if ask.states, err = h.sold(c.Request.Context(), held.ID, body.Lines, short); err != nil {
		httpx.Fail(c, err)
		return
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
	view, err := h.reserve(c.Request.Context(), in, h.workflows.Reserve)
	repeated := err == nil && !view.PlacedAt.Equal(in.PlacedAt)
	if errors.Is(err, orderclient.ErrEnded) || repeated && view.Refusal != nil {
		// The answer of an earlier run, which was refused or terminated before it held anything. This is a new try.
		view, err = h.reserve(c.Request.Context(), in, h.workflows.ReserveAnew)
		repeated = false
	}
	row, ok := h.held(c, in, view, err, ask)
	if ok && repeated && row.Status == inventoryapi.StatusPending {
		row, ok = h.takeUp(c, row, in, ask)
	}
	if ok {
		c.Header("Location", "/api/inventory/reserve/"+held.ID.String())
		c.JSON(http.StatusCreated, wireReservation(held, row))
	}
}

// asked is what a caller asks to reserve.
type asked struct {
	lines  []orderapi.CreateOrderLine
	short  bool               // by the short form: one product and its quantity
	states map[uuid.UUID]bool // of the products that the catalogue knows: whether they are sold
}

// held returns the reservation as inventory has it when the workflow's view says that it is held; else it has answered
// the request.
func (h *handlers) held(c *gin.Context, in orderflow.ReservationStart, view orderflow.ReservationView, err error, ask asked) (inventoryapi.Reservation, bool) {
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "a reservation was not decided at once", "reservation_id", in.ReservationID, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory has not decided yet; send the same request again"))
		return inventoryapi.Reservation{}, false
	}
	if err := notHeld(view, in.RequestHash, ask.short); err != nil {
		if view.RequestHash == in.RequestHash {
			err = h.orUnknown(c.Request.Context(), err, view.Short, ask)
		}
		httpx.Fail(c, err)
		return inventoryapi.Reservation{}, false
	}
	row, ok := h.read(c, in.ReservationID)
	if ok && row.Status != inventoryapi.StatusPending && row.Status != inventoryapi.StatusConfirmed {
		httpx.Fail(c, resolvedOtherwise(string(row.Status))) // it ended since the workflow answered
		return row, false
	}
	return row, ok
}

// takeUp sees to it that a workflow runs for a reservation that an earlier request made and that is still pending. When
// its workflow was terminated or deleted, another one is started: its reserve finds the same reservation, and it owns
// the timer from then on. It returns the reservation, or has answered the request.
func (h *handlers) takeUp(c *gin.Context, row inventoryapi.Reservation, in orderflow.ReservationStart, ask asked) (inventoryapi.Reservation, bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), lookBudget)
	defer cancel()
	runs, err := h.workflows.Runs(ctx, in.ReservationID)
	if err != nil {
		h.log.WarnContext(ctx, "cannot see whether a reservation's workflow runs", "reservation_id", in.ReservationID, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "it is not known whether the reservation is still attended to; send the same request again"))
		return row, false
	}
	if runs {
		return row, true
	}
	h.log.WarnContext(ctx, "a reservation without a running workflow is taken up", "reservation_id", in.ReservationID)
	view, err := h.reserve(c.Request.Context(), in, h.workflows.ReserveAnew)
	row, ok := h.held(c, in, view, err, ask)
	if ok && row.Status == inventoryapi.StatusPending && !row.ExpiresAt.After(time.Now()) {
		httpx.Fail(c, resolvedOtherwise(orderflow.ReservationExpired)) // its new timer is due already
		return row, false
	}
	return row, ok
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

// sold refuses products that the catalogue has and does not sell, unless the reservation is there already: then this is
// a repeat, which is answered like the first. It returns what the catalogue knows of the products. One that it does not
// know may still be kept in stock for a shop that has its catalogue elsewhere.
func (h *handlers) sold(ctx context.Context, id uuid.UUID, lines []orderapi.CreateOrderLine, short bool) (map[uuid.UUID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookBudget)
	defer cancel()
	ids := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	states, err := h.store.ProductStates(ctx, ids)
	if err != nil {
		h.log.ErrorContext(ctx, "the orders database did not answer", "error", err)
		return nil, orderapi.Table.New(problem.Unavailable, "the orders database did not answer; send the same request again")
	}
	for i, l := range lines {
		if active, known := states[l.ProductID]; !known || active {
			continue
		}
		_, err := h.inventory.GetReservation(ctx, id)
		switch {
		case err == nil:
			return states, nil
		case errors.Is(err, inventoryapi.ReservationNotFound):
			return nil, orderapi.Table.New(orderapi.UnknownProduct, "product %s is not sold any more", l.ProductID).At(lineField(i, short))
		}
		h.log.WarnContext(ctx, "inventory did not answer", "reservation_id", id, "error", err)
		return nil, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory does not answer; send the same request again")
	}
	return states, nil
}

// orUnknown says that a product does not exist rather than that it is out of stock, where neither the catalogue nor
// inventory knows it.
func (h *handlers) orUnknown(ctx context.Context, refusal error, missing []orderflow.ShortLine, ask asked) error {
	var ids []uuid.UUID
	for _, l := range missing {
		if _, known := ask.states[l.ProductID]; !known && l.Available == 0 {
			ids = append(ids, l.ProductID)
		}
	}
	if len(ids) == 0 {
		return refusal
	}
	ctx, cancel := context.WithTimeout(ctx, lookBudget)
	defer cancel()
	kept, err := h.inventory.Availabilities(ctx, ids)
	if err != nil {
		return refusal // which is right as well
	}
	for i, l := range ask.lines {
		unknown := slices.Contains(ids, l.ProductID) && !slices.ContainsFunc(kept, func(a inventoryapi.Availability) bool { return a.ProductID == l.ProductID })
		if unknown {
			return orderapi.Table.New(orderapi.UnknownProduct, "there is no product %s", l.ProductID).At(lineField(i, ask.short))
		}
	}
	return refusal
}

// lineField is where a line's product stands in the request.
func lineField(i int, short bool) string {
	if short {
		return "product_id"
	}
	return fmt.Sprintf("lines[%d].product_id", i)
}

// reserve asks the workflow within the time that a caller waits.
func (h *handlers) reserve(ctx context.Context, in orderflow.ReservationStart, ask func(context.Context, orderflow.ReservationStart) (orderflow.ReservationView, error)) (orderflow.ReservationView, error) {
	ctx, cancel := context.WithTimeout(ctx, createBudget)
	defer cancel()
	return ask(ctx, in)
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
