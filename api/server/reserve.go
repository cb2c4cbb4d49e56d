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

// CreateReservation starts the workflow that holds the stock and owns its timer, or attaches to it. It answers with the
// reservation as inventory has it afterwards.
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
		ID:           inventoryapi.NewReservationID(inventoryapi.OwnerCustomer, owner, 1),
		OwnerID:      owner,
		Issuer:       who.Issuer,
		CustomerID:   who.Subject,
		TheirOrderID: body.OrderID.String(),
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
		ReservationID: held.ID,
		OwnerID:       owner,
		RequestHash:   hash,
		Actor:         who.Subject,
		TTLSeconds:    body.TTLSeconds,
		CorrelationID: correlation.From(c.Request.Context()),
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
	}
	for i, l := range body.Lines {
		in.Lines = append(in.Lines, orderflow.ReserveLine{LineNo: i + 1, ProductID: l.ProductID, Quantity: l.Quantity})
	}

	view, err := h.reserve(c.Request.Context(), in, h.workflows.Reserve)
	repeated := err == nil && !view.PlacedAt.Equal(in.PlacedAt)
	if errors.Is(err, orderclient.ErrEnded) || repeated && view.Refusal != nil {
		// The answer is of an earlier run, which was refused or terminated before it held stock. This request tries anew.
		view, err = h.reserve(c.Request.Context(), in, h.workflows.ReserveAnew)
		repeated = false
	}

	row, ok := h.held(c, in, view, err, ask)
	if ok && repeated && row.Status == inventoryapi.StatusPending {
		row, ok = h.ensureWorkflow(c, row, in, ask)
	}
	if ok {
		c.Header("Location", "/api/inventory/reserve/"+held.ID.String())
		c.JSON(http.StatusCreated, wireReservation(held, row))
	}
}

// asked is what a caller asks to reserve.
type asked struct {
	lines  []orderapi.CreateOrderLine
	short  bool               // the request has the short form: one product and its quantity
	states map[uuid.UUID]bool // whether each product that the catalogue knows is sold
}

// held returns the reservation as inventory has it, if the workflow's view says that it is held. Otherwise it answers
// the request and reports false.
func (h *handlers) held(
	c *gin.Context, in orderflow.ReservationStart, view orderflow.ReservationView, err error, ask asked,
) (inventoryapi.Reservation, bool) {
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "a reservation was not decided at once",
			"reservation_id", in.ReservationID, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable,
			"inventory has not decided yet; send the same request again"))
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
		httpx.Fail(c, resolvedOtherwise(string(row.Status))) // it has ended since the workflow answered
		return row, false
	}
	return row, ok
}

// ensureWorkflow makes sure that a workflow runs for a reservation that an earlier request made and that is still
// pending. If an operator terminated or deleted the workflow, it starts another. The new workflow's reserve finds the
// same reservation, and the new workflow owns the timer from then on. ensureWorkflow returns the reservation; if it has
// answered the request, it reports false.
func (h *handlers) ensureWorkflow(
	c *gin.Context, row inventoryapi.Reservation, in orderflow.ReservationStart, ask asked,
) (inventoryapi.Reservation, bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), lookBudget)
	defer cancel()
	runs, err := h.workflows.Runs(ctx, in.ReservationID)
	if err != nil {
		h.log.WarnContext(ctx, "cannot see whether a reservation's workflow runs",
			"reservation_id", in.ReservationID, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"it is not known whether the reservation's workflow still runs; send the same request again"))
		return row, false
	}
	if runs {
		return row, true
	}

	h.log.WarnContext(ctx, "a reservation has no running workflow and gets a new one",
		"reservation_id", in.ReservationID)
	view, err := h.reserve(c.Request.Context(), in, h.workflows.ReserveAnew)
	row, ok := h.held(c, in, view, err, ask)
	if ok && row.Status == inventoryapi.StatusPending && !row.ExpiresAt.After(time.Now()) {
		httpx.Fail(c, resolvedOtherwise(orderflow.ReservationExpired)) // the new workflow's timer is already due
		return row, false
	}
	return row, ok
}

// reservationBody reads the request. It turns the short form, one product and its quantity, into the line that it
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
		return body, short, problem.Invalid("product_id", "product_id is required if there are no lines")
	case short && body.Quantity == 0:
		return body, short, problem.Invalid("quantity", "quantity is required if there are no lines")
	case short:
		body.Lines = []orderapi.CreateOrderLine{{ProductID: body.ProductID, Quantity: body.Quantity}}
		body.ProductID, body.Quantity = uuid.Nil, 0
	}
	return body, short, nil
}

// sold refuses products that the catalogue has and does not sell. If the reservation exists already, the request is a
// repeat, which gets the same answer as the first. sold returns whether each product that the catalogue knows is sold.
// Inventory may keep stock of a product that the catalogue does not know, for a shop that has its catalogue elsewhere.
func (h *handlers) sold(
	ctx context.Context, id uuid.UUID, lines []orderapi.CreateOrderLine, short bool,
) (map[uuid.UUID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookBudget)
	defer cancel()
	ids := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	states, err := h.store.ProductStates(ctx, ids)
	if err != nil {
		h.log.ErrorContext(ctx, "the orders database did not answer", "error", err)
		return nil, orderapi.Table.New(problem.Unavailable,
			"the orders database did not answer; send the same request again")
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
			p := orderapi.Table.New(orderapi.UnknownProduct, "product %s is not sold any more", l.ProductID)
			return nil, p.At(lineField(i, short))
		}
		h.log.WarnContext(ctx, "inventory did not answer", "reservation_id", id, "error", err)
		return nil, orderapi.Table.New(orderapi.InventoryUnavailable,
			"inventory does not answer; send the same request again")
	}
	return states, nil
}

// orUnknown replaces a refusal for lack of stock by one that says that the product does not exist, if neither the
// catalogue nor inventory knows the product.
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
		return refusal // also a correct answer
	}
	for i, l := range ask.lines {
		isKept := slices.ContainsFunc(kept, func(a inventoryapi.Availability) bool { return a.ProductID == l.ProductID })
		if slices.Contains(ids, l.ProductID) && !isKept {
			p := orderapi.Table.New(orderapi.UnknownProduct, "there is no product %s", l.ProductID)
			return p.At(lineField(i, ask.short))
		}
	}
	return refusal
}

// lineField is the field of a line's product in the request.
func lineField(i int, short bool) string {
	if short {
		return "product_id"
	}
	return fmt.Sprintf("lines[%d].product_id", i)
}

// reserve asks the workflow within the time that a caller waits.
func (h *handlers) reserve(
	ctx context.Context, in orderflow.ReservationStart,
	ask func(context.Context, orderflow.ReservationStart) (orderflow.ReservationView, error),
) (orderflow.ReservationView, error) {
	ctx, cancel := context.WithTimeout(ctx, createBudget)
	defer cancel()
	return ask(ctx, in)
}

// notHeld turns the view of a reservation that does not hold its stock into a problem.
func notHeld(view orderflow.ReservationView, hash string, short bool) error {
	switch {
	case view.RequestHash != hash:
		return orderIDReused()
	case view.Refusal == nil &&
		(view.Status == orderflow.ReservationPending || view.Status == orderflow.ReservationConfirmed):
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
		p := orderapi.Table.New(orderapi.OutOfStock, "nothing is held; ask for less, or ask again later")
		return p.WithLines(view.Short)
	case why.Code == orderflow.ErrReservationClosed:
		return resolvedOtherwise(why.Detail)
	case why.Code == string(inventoryapi.ProductNotFound):
		return orderapi.Table.New(orderapi.UnknownProduct, "%s", why.Detail).At(field)
	case why.Code == string(inventoryapi.AlreadyExists):
		return orderIDReused()
	}
	return orderapi.Table.New(orderapi.ReservationRefused, "%s", why.Detail).At(field)
}

func orderIDReused() error {
	return orderapi.Table.New(orderapi.IdempotencyKeyReused,
		"this order_id was used with another body; use a new order_id for another reservation").At("order_id")
}

func resolvedOtherwise(status string) error {
	if status == orderflow.ReservationExpired {
		p := orderapi.Table.New(orderapi.ReservationExpired,
			"the reservation has expired; use a new order_id for another reservation")
		p.CurrentStatus = status
		return p
	}
	p := orderapi.Table.New(orderapi.AlreadyResolved, "the reservation is %s", status)
	p.CurrentStatus = status
	return p
}
