package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// Inventory is what the interface reads of the inventory service. It writes nothing there: a
// reservation without a workflow would have no timer.
type Inventory interface {
	GetReservation(ctx context.Context, reservationID uuid.UUID) (inventoryapi.Reservation, error)
}

// CreateReservation starts the workflow that holds the stock and owns its timer, or attaches to it, and
// answers as inventory has the reservation afterwards.
func (h *handlers) CreateReservation(c *gin.Context) {
	var body orderapi.CreateReservation
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	short := len(body.Lines) == 0
	switch {
	case !short && (body.ProductID != uuid.Nil || body.Quantity != 0):
		httpx.Fail(c, problem.Invalid("lines", "give lines, or product_id and quantity, not both"))
		return
	case short && body.ProductID == uuid.Nil:
		httpx.Fail(c, problem.Invalid("product_id", "product_id is required where there are no lines"))
		return
	case short && body.Quantity == 0:
		httpx.Fail(c, problem.Invalid("quantity", "quantity is required where there are no lines"))
		return
	case short:
		body.Lines = []orderapi.CreateOrderLine{{ProductID: body.ProductID, Quantity: body.Quantity}}
		body.ProductID, body.Quantity = uuid.Nil, 0
	}
	who := auth.From(c)
	hash, err := requestHash(body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	owner := orderflow.CustomerReservationOwner(who.Issuer, who.Subject, body.OrderID.String())
	held := orderstore.Reservation{
		ID: inventoryapi.NewReservationID(inventoryapi.OwnerCustomer, owner, 1), OwnerID: owner,
		Issuer: who.Issuer, CustomerID: who.Subject, TheirOrderID: body.OrderID.String(),
	}
	if err := h.store.RegisterReservation(c.Request.Context(), held); err != nil {
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
	view, err := h.hold(c.Request.Context(), in, who.Subject)
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "a reservation was not decided at once", "reservation_id", held.ID, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory has not decided yet; send the same request again"))
		return
	}
	if err := notHeld(view, hash, short); err != nil {
		httpx.Fail(c, err)
		return
	}
	if row, ok := h.read(c, held.ID); ok {
		c.Header("Location", "/api/inventory/reserve/"+held.ID.String())
		c.JSON(http.StatusCreated, wireReservation(held, row))
	}
}

// hold starts the reservation's workflow, or attaches to the one that runs, and waits until inventory
// has decided. The update only looks, so it has an id of its own each time; after a refusal the same
// workflow id may start again.
func (h *handlers) hold(ctx context.Context, in orderflow.ReservationStart, customer string) (orderflow.ReservationView, error) {
	ctx, cancel := context.WithTimeout(ctx, createBudget)
	defer cancel()
	id := orderflow.ReservationWorkflowID(in.ReservationID)
	start := h.temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID: id, TaskQueue: orderflow.OrdersQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:            fmt.Sprintf("reservation from outside, %d line(s)", len(in.Lines)),
		TypedSearchAttributes:    temporal.NewSearchAttributes(orderflow.AttrCustomerID.ValueSet(customer)),
	}, orderflow.ReservationWorkflow, in)
	var out orderflow.ReservationView
	handle, err := h.temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateID: uuid.NewString(), UpdateName: orderflow.UpdatePlace,
			Args: []any{orderflow.PlaceInput{}}, WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	if err == nil {
		err = handle.Get(ctx, &out)
	}
	return out, err
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

// GetReservation answers a reservation from outside as inventory has it.
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
	held, row, ok := h.resolve(c, id, orderflow.UpdateRelease, orderflow.UpdateRelease, resolveInput(c, "released on request"), inventoryapi.StatusReleased)
	if !ok {
		return
	}
	f := figuresOf(row)
	c.JSON(http.StatusOK, orderapi.ReleasedReservation{
		ReservationID: id, OrderID: uuid.MustParse(held.TheirOrderID), Status: orderapi.ReservationStatus(row.Status),
		QuantityReleased: f.held, AvailableStock: f.quantity - f.reserved, ReservedStock: f.reserved,
	})
}

// ConfirmReservation takes the stock out; operators only, since nothing was paid.
func (h *handlers) ConfirmReservation(c *gin.Context, id uuid.UUID) {
	if !auth.From(c).Operates() {
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators confirm a reservation from outside"))
		return
	}
	held, row, ok := h.resolve(c, id, orderflow.UpdateConfirm, orderflow.UpdateConfirm, resolveInput(c, "confirmed by an operator"), inventoryapi.StatusConfirmed)
	if !ok {
		return
	}
	f := figuresOf(row)
	c.JSON(http.StatusOK, orderapi.ConfirmedReservation{
		ReservationID: id, OrderID: uuid.MustParse(held.TheirOrderID), Status: orderapi.ReservationStatus(row.Status),
		QuantityConfirmed: f.held, FinalStock: f.quantity, ReservedStock: f.reserved,
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
	in := orderflow.ExtendInput{TTLSeconds: body.TTLSeconds, Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context())}
	if held, row, ok := h.resolve(c, id, orderflow.UpdateExtend, "extend-"+key, in, inventoryapi.StatusPending); ok {
		c.JSON(http.StatusOK, wireReservation(held, row))
	}
}

func resolveInput(c *gin.Context, reason string) orderflow.ResolveInput {
	return orderflow.ResolveInput{Actor: auth.From(c).Subject, Reason: reason, CorrelationID: correlation.From(c.Request.Context())}
}

// resolve sends an update to a reservation's workflow and returns the reservation as inventory has it
// afterwards, when it then has the wanted status; else it has answered the request. What inventory says
// decides, so that a repeated request is answered like the first, also when the workflow has ended.
func (h *handlers) resolve(c *gin.Context, id uuid.UUID, name, updateID string, in any, want inventoryapi.Status) (held orderstore.Reservation, row inventoryapi.Reservation, ok bool) {
	if held, ok = h.ownedReservation(c, id); !ok {
		return held, row, false
	}
	err := h.update(c.Request.Context(), client.UpdateWorkflowOptions{
		WorkflowID: orderflow.ReservationWorkflowID(id), UpdateID: updateID, UpdateName: name, Args: []any{in},
	}, nil)
	var refused *temporal.ApplicationError
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &refused) && refused.Type() == orderflow.ErrInvalidDuration:
		httpx.Fail(c, orderapi.Table.New(orderapi.InvalidDuration, "%s", refused.Message()).At("ttl_seconds"))
		return held, row, false
	case errors.Is(err, errUnderWay), unknown(err), errors.As(err, &refused) && refused.Type() == orderflow.ErrUnavailable:
		h.log.WarnContext(c.Request.Context(), "a reservation was not resolved at once", "reservation_id", id, "update", name, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory has not answered yet; send the same request again"))
		return held, row, false
	}
	if row, ok = h.read(c, id); !ok {
		return held, row, false
	}
	switch {
	case row.Status == want && (want != inventoryapi.StatusPending || err == nil):
		return held, row, true
	case row.Status == inventoryapi.StatusPending && errors.As(err, &gone):
		httpx.Fail(c, orderapi.Table.New(orderapi.ReservationRefused, "the reservation's workflow was ended by an operator; send the reserve again to take it up"))
	default:
		httpx.Fail(c, resolvedOtherwise(string(row.Status)))
	}
	return held, row, false
}

// ownedReservation returns a reservation from outside that the caller may touch. One that belongs to an
// order is 409: it is the order that can be cancelled or extended. Anything else is 404.
func (h *handlers) ownedReservation(c *gin.Context, id uuid.UUID) (orderstore.Reservation, bool) {
	held, err := h.store.GetReservation(c.Request.Context(), id)
	if err == nil && auth.From(c).MaySee(held.Issuer, held.CustomerID) {
		return held, true
	}
	if errors.Is(err, orderstore.ErrNotFound) {
		var of orderstore.Order
		of, err = h.store.OfReservation(c.Request.Context(), id)
		if err == nil && auth.From(c).MaySee(of.Issuer, of.CustomerID) {
			p := orderapi.Table.New(orderapi.OwnedByOrder, "the reservation belongs to order %s; cancel, extend or pay that", of.OrderID)
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

// read returns a reservation as inventory has it, or answers that it cannot be had.
func (h *handlers) read(c *gin.Context, id uuid.UUID) (inventoryapi.Reservation, bool) {
	row, err := h.inventory.GetReservation(c.Request.Context(), id)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound):
		httpx.Fail(c, noReservation(id)) // asked for, and refused or not decided
	case err != nil:
		h.log.WarnContext(c.Request.Context(), "inventory did not answer", "reservation_id", id, "error", err)
		httpx.Fail(c, orderapi.Table.New(orderapi.InventoryUnavailable, "inventory does not answer; send the same request again"))
	default:
		return row, true
	}
	return row, false
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
		ReservationID: held.ID, OrderID: uuid.MustParse(held.TheirOrderID), Status: orderapi.ReservationStatus(row.Status),
		ExpiresAt: row.ExpiresAt, Lines: make([]orderapi.ReservationLine, len(row.Lines)),
	}
	for i, l := range row.Lines {
		out.Lines[i] = orderapi.ReservationLine{
			ProductID: l.ProductID, Location: l.Location, Quantity: l.Quantity,
			RemainingStock: l.RemainingStock, ReservedQuantity: l.ReservedQuantity,
		}
	}
	return out
}
