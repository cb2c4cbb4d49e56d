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
	"holdfast/api/starter"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// reserveTimeout limits how long CreateReservation waits for the workflow. If the outcome is still unknown then, it
// answers 503, and the caller sends the same request again.
const reserveTimeout = 4 * time.Second

// CreateReservation starts the workflow that reserves the stock and owns the reservation's timer. If the workflow runs
// already, it attaches to the workflow. It then answers with the reservation as inventory has it.
func (h *handlers) CreateReservation(c *gin.Context) {
	body, shortForm, err := reservationBody(c)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	hash, err := reservationHash(body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	who := auth.From(c)
	owner := orderflow.CustomerReservationOwner(who.Issuer, who.Subject, body.OrderID.String())
	registered := orderstore.Reservation{
		ID:           inventoryapi.NewReservationID(inventoryapi.OwnerCustomer, owner, 1),
		OwnerID:      owner,
		Issuer:       who.Issuer,
		CustomerID:   who.Subject,
		TheirOrderID: body.OrderID.String(),
	}
	products, err := h.checkSold(c.Request.Context(), registered.ID, body.Lines, shortForm)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	registerCtx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	if err := h.store.RegisterReservation(registerCtx, registered); err != nil {
		h.fail(c, err)
		return
	}

	in := orderflow.ReservationStart{
		ReservationID: registered.ID,
		OwnerID:       owner,
		RequestHash:   hash,
		Actor:         who.Subject,
		TTLSeconds:    body.TTLSeconds,
		CorrelationID: correlation.From(c.Request.Context()),
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
	}
	for i, l := range body.Lines {
		in.Lines = append(in.Lines, orderflow.ReserveLine{
			LineNo:    i + 1,
			ProductID: l.ProductID,
			Quantity:  l.Quantity,
			SKU:       products[l.ProductID].SKU,
		})
	}

	view, err := h.reserve(c.Request.Context(), in, h.workflows.Reserve)
	repeated := err == nil && !view.PlacedAt.Equal(in.PlacedAt)
	if errors.Is(err, orderclient.ErrEnded) || repeated && view.Refusal != nil {
		// The answer comes from an earlier run, which ended without reserving stock. This request tries again.
		view, err = h.reserve(c.Request.Context(), in, h.workflows.ReserveAgain)
		repeated = false
	}

	req := reserveRequest{start: in, shortForm: shortForm, products: products}
	row, ok := h.currentReservation(c, req, view, err)
	if ok && repeated && row.Status == inventoryapi.StatusPending {
		row, ok = h.ensureWorkflow(c, req, row)
	}
	if !ok {
		return
	}
	c.Header("Location", "/api/inventory/reserve/"+registered.ID.String())
	c.JSON(http.StatusCreated, wireReservation(registered, row))
}

// reserveRequest is a caller's request to reserve stock.
type reserveRequest struct {
	start     orderflow.ReservationStart
	shortForm bool                                  // the request names one product and its quantity in place of lines
	products  map[uuid.UUID]orderstore.ProductState // those that the catalogue has
}

// currentReservation returns the reservation as inventory has it. view and err are the workflow's answer. If the
// reservation is neither pending nor confirmed, currentReservation answers the request with the reason and reports
// false.
func (h *handlers) currentReservation(
	c *gin.Context, req reserveRequest, view orderflow.ReservationView, err error,
) (inventoryapi.Reservation, bool) {
	id := req.start.ReservationID
	if errors.Is(err, starter.ErrBusy) {
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"too many reservations are being made; nothing is reserved; send the same request again"))
		return inventoryapi.Reservation{}, false
	}
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "the workflow did not answer whether the stock is reserved",
			"reservation_id", id, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable,
			"inventory has not decided yet; send the same request again"))
		return inventoryapi.Reservation{}, false
	}

	if err := reservationProblem(view, req.start.RequestHash, req.shortForm); err != nil {
		if view.RequestHash == req.start.RequestHash {
			err = h.refineOutOfStock(c.Request.Context(), err, view.Short, req)
		}
		httpx.Fail(c, err)
		return inventoryapi.Reservation{}, false
	}

	row, ok := h.read(c, id)
	status := statusOf(row)
	if ok && status != inventoryapi.StatusPending && status != inventoryapi.StatusConfirmed {
		httpx.Fail(c, reservationEnded(string(status))) // it has ended since the workflow answered
		return row, false
	}
	return row, ok
}

// ensureWorkflow starts a new workflow for a pending reservation of an earlier request if no workflow runs, because an
// operator terminated or deleted it. The new workflow's reserve finds the same reservation, and the new workflow owns
// the timer from then on. ensureWorkflow returns the reservation, or answers the request with an error and reports
// false.
func (h *handlers) ensureWorkflow(
	c *gin.Context, req reserveRequest, row inventoryapi.Reservation,
) (inventoryapi.Reservation, bool) {
	id := req.start.ReservationID
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	running, err := h.workflows.IsRunning(ctx, id)
	if err != nil {
		h.log.WarnContext(ctx, "cannot see whether a reservation's workflow runs", "reservation_id", id, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"the state of the reservation cannot be checked now; send the same request again"))
		return row, false
	}
	if running {
		return row, true
	}

	h.log.WarnContext(ctx, "a reservation has no running workflow and gets a new one", "reservation_id", id)
	view, err := h.reserve(c.Request.Context(), req.start, h.workflows.ReserveAgain)
	return h.currentReservation(c, req, view, err)
}

// reservationBody reads the request. If it has the short form, one product and its quantity, reservationBody replaces
// that by one line, so that both forms of a request have the same hash.
func reservationBody(c *gin.Context) (body orderapi.CreateReservation, shortForm bool, err error) {
	if err := httpx.DecodeJSON(c, &body); err != nil {
		return body, false, err
	}
	shortForm = len(body.Lines) == 0
	switch {
	case !shortForm && (body.ProductID != uuid.Nil || body.Quantity != 0):
		return body, shortForm, problem.Invalid("lines", "give lines, or product_id and quantity, not both")
	case shortForm && body.ProductID == uuid.Nil:
		return body, shortForm, problem.Invalid("product_id", "product_id is required if there are no lines")
	case shortForm && body.Quantity == 0:
		return body, shortForm, problem.Invalid("quantity", "quantity is required if there are no lines")
	case shortForm:
		body.Lines = []orderapi.ProductQuantity{{ProductID: body.ProductID, Quantity: body.Quantity}}
		body.ProductID, body.Quantity = uuid.Nil, 0
	}
	return body, shortForm, nil
}

// checkSold returns an error if the catalogue has one of the products and does not sell it. If the reservation exists
// already, the request is a repeat, and checkSold allows it. It also allows a product that the catalogue does not have:
// inventory can hold stock for a shop whose catalogue is elsewhere.
//
// It returns the products that the catalogue has.
func (h *handlers) checkSold(
	ctx context.Context, id uuid.UUID, lines []orderapi.ProductQuantity, shortForm bool,
) (map[uuid.UUID]orderstore.ProductState, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ids := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	products, err := h.store.ProductStates(ctx, ids)
	if err != nil {
		h.log.ErrorContext(ctx, "the orders database did not answer", "error", err)
		return nil, orderapi.Table.New(problem.Unavailable,
			"the orders database did not answer; send the same request again")
	}

	unsold := slices.IndexFunc(ids, func(product uuid.UUID) bool {
		state, known := products[product]
		return known && !state.Active
	})
	if unsold < 0 {
		return products, nil
	}

	_, err = h.inventory.GetReservation(ctx, id)
	switch {
	case err == nil:
		return products, nil
	case errors.Is(err, inventoryapi.ReservationNotFound):
		p := orderapi.Table.New(orderapi.UnknownProduct, "product %s is not sold any more", ids[unsold])
		return nil, p.At(lineField(unsold, shortForm))
	}
	h.log.WarnContext(ctx, "inventory did not answer", "reservation_id", id, "error", err)
	return nil, orderapi.Table.New(orderapi.InventoryUnavailable,
		"inventory does not answer; send the same request again")
}

// refineOutOfStock turns an out_of_stock refusal into unknown_product if neither the catalogue nor inventory knows a
// product that is short. It returns any other refusal unchanged.
func (h *handlers) refineOutOfStock(
	ctx context.Context, refusal error, short []orderflow.ShortLine, req reserveRequest,
) error {
	var unknown []uuid.UUID
	for _, l := range short {
		if _, known := req.products[l.ProductID]; !known && l.Available == 0 {
			unknown = append(unknown, l.ProductID)
		}
	}
	if len(unknown) == 0 {
		return refusal
	}

	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stocked, err := h.inventory.Availabilities(ctx, unknown)
	if err != nil {
		return refusal // also a correct answer
	}
	for i, l := range req.start.Lines {
		isStocked := slices.ContainsFunc(stocked, func(a inventoryapi.Availability) bool {
			return a.ProductID == l.ProductID
		})
		if slices.Contains(unknown, l.ProductID) && !isStocked {
			p := orderapi.Table.New(orderapi.UnknownProduct, "there is no product %s", l.ProductID)
			return p.At(lineField(i, req.shortForm))
		}
	}
	return refusal
}

// lineField names the product of line i as a field of the request.
func lineField(i int, shortForm bool) string {
	if shortForm {
		return "product_id"
	}
	return fmt.Sprintf("lines[%d].product_id", i)
}

// reserve sends the request to the workflow by place, within reserveTimeout, once fewer other starts are under way than
// Temporal serves quickly. starter.ErrBusy: it did not, because too many are.
func (h *handlers) reserve(
	ctx context.Context, in orderflow.ReservationStart,
	place func(context.Context, orderflow.ReservationStart) (orderflow.ReservationView, error),
) (view orderflow.ReservationView, err error) {
	err = h.starter.Limited(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, reserveTimeout)
		defer cancel()
		view, err = place(ctx, in)
		return err
	})
	return view, err
}

// reservationProblem returns the answer for a reservation that is neither pending nor confirmed, or nil.
func reservationProblem(view orderflow.ReservationView, hash string, shortForm bool) error {
	switch {
	case view.RequestHash != "" && view.RequestHash != hash: // it is empty once an operator has adopted the reservation
		return orderIDReused()
	case view.Refusal == nil &&
		(view.Status == orderflow.ReservationPending || view.Status == orderflow.ReservationConfirmed):
		return nil
	case view.Refusal == nil:
		return reservationEnded(view.Status)
	}

	why := *view.Refusal
	field := why.Field
	if shortForm {
		field = strings.TrimPrefix(field, "lines[0].")
	}
	switch {
	case why.Code == orderflow.ErrOutOfStock:
		p := orderapi.Table.New(orderapi.OutOfStock, "there is not enough stock, and nothing is reserved; "+
			"reserve less, or send the same request again later")
		return p.WithLines(view.Short)
	case why.Code == orderflow.ErrReservationClosed:
		return reservationEnded(why.Detail)
	case why.Code == string(inventoryapi.ProductNotFound):
		return orderapi.Table.New(orderapi.UnknownProduct, "%s", why.Detail).At(field)
	case why.Code == string(inventoryapi.AlreadyExists):
		return orderIDReused()
	}
	return orderapi.Table.New(orderapi.ReservationRefused, "%s", why.Detail).At(field)
}

func orderIDReused() error {
	return orderapi.Table.New(orderapi.IdempotencyKeyReused,
		"this order_id was already used for a different request; send a new order_id").At("order_id")
}

// reservationEnded returns the answer for a reservation that has already ended with another status than the request
// wants.
func reservationEnded(status string) error {
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
