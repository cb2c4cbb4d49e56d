package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/follow"
	"holdfast/api/orderapi"
	"holdfast/api/review"
	"holdfast/api/starter"
	"holdfast/internal/address"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/internal/telemetry"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

const (
	// readTimeout limits one read from the orders database or from inventory.
	readTimeout = 2 * time.Second
	// maxMetadataKey is the greatest length of a metadata key, in bytes.
	maxMetadataKey = 100
	// defaultCurrency is the currency of an order that names none.
	defaultCurrency = "EUR"
)

type handlers struct {
	store     *orderstore.Store
	workflows Workflows
	inventory Inventory
	log       *slog.Logger
	sellable  *sellableSync
	starter   *starter.Starter
	review    review.Config
	returns   ReturnConfig
	hub       *follow.Hub
	pace      pace   // of the streams of events
	namespace string // of Temporal
}

// Workflows is what the handlers need of orderclient.Client.
type Workflows interface {
	starter.Workflows
	CancelNew(ctx context.Context, order orderflow.OrderInput, in orderflow.CancelInput) (orderflow.CancelResult, error)
	Pay(ctx context.Context, order uuid.UUID, key string, in orderflow.PayInput) (orderflow.PayResult, error)
	Cancel(ctx context.Context, order uuid.UUID, in orderflow.CancelInput) (orderflow.CancelResult, error)
	Extend(ctx context.Context, order uuid.UUID, key string, in orderflow.ExtendInput) (orderflow.ExtendResult, error)
	Edit(ctx context.Context, order uuid.UUID, key string, in orderflow.EditInput) (orderflow.EditResult, error)
	Approve(ctx context.Context, order uuid.UUID, key string, in orderflow.ApproveInput) (orderflow.ApproveResult, error)

	ReportShipment(
		ctx context.Context, order uuid.UUID, name, key string, in orderflow.ShipmentInput,
	) (orderflow.FulfilmentResult, error)
	CancelLines(
		ctx context.Context, order uuid.UUID, key string, in orderflow.CancelLinesInput,
	) (orderflow.FulfilmentResult, error)
	PreviewCancel(
		ctx context.Context, order uuid.UUID, in orderflow.CancelLinesInput,
	) (orderflow.CancelPreview, error)
	Hold(ctx context.Context, order uuid.UUID, key string, in orderflow.HoldInput) (orderflow.FulfilmentResult, error)
	Unhold(ctx context.Context, order uuid.UUID, key string, in orderflow.UnholdInput) (orderflow.FulfilmentResult, error)
	Return(
		ctx context.Context, in orderflow.OrderInput, name, key string, arg orderflow.ReturnInput,
	) (orderflow.FulfilmentResult, error)
	PreviewReturn(
		ctx context.Context, order uuid.UUID, in orderflow.PreviewReturnInput,
	) (orderflow.ReturnPreview, error)
	GoOn(ctx context.Context, in orderflow.OrderInput) error
	TakeUpOrder(ctx context.Context, in orderflow.OrderInput) (bool, error)
	TakeUpReservation(ctx context.Context, reservation uuid.UUID) (bool, error)
	RetryNow(ctx context.Context, namespace, workflowID string) ([]string, error)
	SkipStep(ctx context.Context, order uuid.UUID, key string, in orderflow.SkipStepInput) error
	NoteRepair(ctx context.Context, order uuid.UUID, key string, in orderflow.NoteRepairInput) error
	TakeUpSettled(ctx context.Context, in orderflow.OrderInput) (bool, error)
	StartReservation(ctx context.Context, in orderflow.ReservationStart) error
	WorkflowIsRunning(ctx context.Context, workflowID string) (bool, error)
	PaymentChanged(ctx context.Context, order uuid.UUID, event string, in orderflow.PaymentChangedInput) error

	Reserve(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error)
	ReserveAgain(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error)
	IsRunning(ctx context.Context, reservation uuid.UUID) (bool, error)
	Confirm(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error
	Release(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error
	ExtendReservation(ctx context.Context, reservation uuid.UUID, key string, in orderflow.ExtendInput) error
}

var _ ServerInterface = (*handlers)(nil)

// CreateOrder inserts the order and then starts its workflow (package starter). It waits until the workflow has
// recorded whether the stock is held, and answers 201 or 409 then, or 202 if that takes longer than the client waits. A
// request whose order has a row already is a repeat and starts nothing.
func (h *handlers) CreateOrder(c *gin.Context, params orderapi.CreateOrderParams) {
	var body orderapi.CreateOrder
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	in, err := h.newOrder(c, params, body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	wait := preferredWait(c, params.Prefer)
	placed, err := h.place(c, in, body)
	if err != nil {
		h.answerNotPlaced(c, in, err)
		return
	}
	httpx.Annotate(c, "order_id", in.OrderID, "order_number", in.Number)
	if !placed.New {
		if answered := h.answerRepeat(c, in, wait); !answered {
			h.fail(c, fmt.Errorf("order %s is in the database and cannot be read", in.OrderID))
		}
		return
	}
	switch result := placed.Await(c.Request.Context(), wait); {
	case errors.Is(result.Err, orderclient.ErrEnded): // the order may be recorded all the same
		if answered := h.answerRepeat(c, in, 0); !answered {
			httpx.Fail(c, stopped(in.OrderID))
		}
	case result.Err != nil:
		p := orderapi.Table.New(orderapi.OrderRejected, cannotRecord)
		p.OrderID = in.OrderID.String()
		httpx.Fail(c, p)
	default:
		h.answerCreated(c, in, asRecorded(*in, result.View))
	}
}

// errNotKnown says that the orders database did not answer whether it has inserted an order.
var errNotKnown = errors.New("the orders database did not say whether it has inserted the order")

// place prices and inserts the order.
func (h *handlers) place(
	c *gin.Context, in *orderflow.OrderInput, body orderapi.CreateOrder,
) (placed starter.Placed, err error) {
	ctx := c.Request.Context()
	leave, err := h.starter.Admit(ctx)
	if err != nil {
		return placed, err
	}
	defer leave()
	if err := h.price(c, in, body); err != nil {
		return placed, err
	}
	if in.Review, err = h.review.Of(ctx, h.store, *in); err != nil {
		return placed, h.unavailable(c, err)
	}
	placed, err = h.starter.Place(ctx, *in)
	in.Number = placed.Number
	var hoarding *orderstore.HoardingError
	if err != nil && !errors.Is(err, starter.ErrFull) && !errors.As(err, &hoarding) {
		err = fmt.Errorf("%w: %w", errNotKnown, err)
	}
	return placed, err
}

// answerNotPlaced answers a request whose order place has not inserted. A repeat is answered with the order that there
// is, whatever the catalogue says by now and however many orders wait.
func (h *handlers) answerNotPlaced(c *gin.Context, in *orderflow.OrderInput, cause error) {
	var hoarding *orderstore.HoardingError
	switch {
	case errors.Is(cause, starter.ErrBusy):
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "more orders arrive at once than can be accepted; "+
			"this request ordered nothing; send it again in a second, with the same Idempotency-Key"))
	case errors.Is(cause, errNotKnown):
		h.log.ErrorContext(c.Request.Context(), "cannot insert an order", "order_id", in.OrderID, "error", cause)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"it is not known whether the order was accepted; send it again with the same Idempotency-Key"))
	case h.answerRepeat(c, in, 0):
	case errors.Is(cause, starter.ErrFull):
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"too many orders wait to be processed; nothing was ordered; send the order again in a minute"))
	case errors.As(cause, &hoarding):
		httpx.Fail(c, orderapi.Table.New(orderapi.OpenOrderLimit,
			"you have %d unpaid orders of %d units in all, and the shop allows no more than that at once; "+
				"pay or cancel one of them, or order less", hoarding.OpenOrders, hoarding.OpenUnits))
	default:
		httpx.Fail(c, cause)
	}
}

// asRecorded returns the order's row as the workflow has recorded it. view is nil if the workflow has recorded nothing.
func asRecorded(in orderflow.OrderInput, view *orderflow.View) orderstore.Order {
	row := orderstore.Placed(in)
	if view == nil {
		return row
	}
	row.Seq, row.State, row.Reason = view.Seq, view.State, view.Reason
	row.RefusalCode, row.Short = view.RefusalCode, view.Short
	row.ReservationID, row.ExpiresAt = view.ReservationID, view.ExpiresAt
	row.PaymentAttempts = view.PaymentAttempts
	row.UpdatedAt = view.ChangedAt.Truncate(time.Microsecond) // as exact as the database is
	return row
}

const (
	// defaultWait is how long CreateOrder waits for the stock to be decided if the client does not say. The value is also
	// in the contract.
	defaultWait = 2 * time.Second
	// maxWait is the longest wait that a client gets. It is also in the contract.
	maxWait = 10 * time.Second
)

// preferredWait reads the Prefer header (RFC 7240) and names the preference that it applies in the answer. As the RFC
// says, it ignores a preference that it does not know or cannot read.
func preferredWait(c *gin.Context, prefer string) time.Duration {
	wait, applied := defaultWait, ""
	for _, preference := range strings.Split(prefer, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		switch strings.ToLower(name) {
		case "respond-async":
			if applied == "" {
				wait, applied = 0, "respond-async"
			}
		case "wait":
			if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
				seconds = min(seconds, int(maxWait/time.Second))
				wait, applied = time.Duration(seconds)*time.Second, fmt.Sprintf("wait=%d", seconds)
			}
		}
	}
	if applied != "" {
		c.Header("Preference-Applied", applied)
	}
	return wait
}

// newOrder makes the workflow's input from the request, still without prices.
func (h *handlers) newOrder(
	c *gin.Context, params orderapi.CreateOrderParams, body orderapi.CreateOrder,
) (*orderflow.OrderInput, error) {
	if body.Currency == "" {
		body.Currency = defaultCurrency
	}
	if _, err := money.Exponent(body.Currency); err != nil {
		return nil, problem.Invalid("currency", "%s", err)
	}

	key, err := idempotencyKey(params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	c.Header("Idempotency-Key", key)

	who := auth.From(c)
	customer, err := customerOf(who, body)
	if err != nil {
		return nil, err
	}
	hash, err := orderHash(body)
	if err != nil {
		return nil, err
	}
	in := &orderflow.OrderInput{
		OrderID:       orderflow.OrderID(who.Issuer, who.Subject, key),
		RequestHash:   hash,
		CustomerID:    customer,
		PlacedBy:      who.Subject,
		Issuer:        who.Issuer,
		Total:         money.Amount{Currency: body.Currency},
		TTLSeconds:    body.TTLSeconds,
		WaitSeconds:   body.WaitForStockSeconds,
		PaymentMethod: body.PaymentMethod,
		Email:         body.Email,
		Metadata:      body.Metadata,
		CorrelationID: correlation.From(c.Request.Context()),
		Traceparent:   telemetry.Traceparent(c.Request.Context()),
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
	}
	ttl := time.Duration(cmp.Or(body.TTLSeconds, defaultTTL)) * time.Second
	startBy := in.PlacedAt.Add(ttl)
	in.StartBy = &startBy
	if in.WaitSeconds > 0 && in.TTLSeconds == 0 {
		in.TTLSeconds = grantedTTL
	}

	for name := range body.Metadata {
		if len(name) > maxMetadataKey {
			return nil, problem.Invalid("metadata", "a name may have at most %d bytes", maxMetadataKey)
		}
	}
	if body.ShipTo != (address.Address{}) {
		in.ShipTo = &body.ShipTo
	}
	for i, l := range body.Lines {
		in.Lines = append(in.Lines, orderflow.Line{LineNo: i + 1, ProductID: l.ProductID, Quantity: l.Quantity})
	}
	return in, nil
}

// defaultTTL is how many seconds stock is reserved for if the request does not say. The value is also in the contract.
const defaultTTL = 900

// grantedTTL is how many seconds stock is reserved for an order that would wait for it, if the request does not say:
// the customer learns of the stock by a mail. The value is also in the contract.
const grantedTTL = 4 * 60 * 60

// orderHash returns the hash of an order's request. The server compares it to tell a repeat from a different request
// under the same key.
//
// Two requests that mean the same have the same hash. So before hashing, ids are in lower case, metadata is sorted by
// name, empty fields are left out, a missing currency becomes the default currency, and the default time to live is
// left out. The orders database stores these hashes, so the hash of a request must never change.
func orderHash(body orderapi.CreateOrder) (string, error) {
	if body.Currency == "" {
		body.Currency = defaultCurrency
	}
	if body.TTLSeconds == defaultTTL {
		body.TTLSeconds = 0
	}
	return orderflow.RequestHash(body)
}

// reservationHash returns the hash of a request for a reservation without an order, by the rules of orderHash. The
// caller must have replaced the short form by its line (reservationBody).
func reservationHash(body orderapi.CreateReservation) (string, error) {
	if body.TTLSeconds == defaultTTL {
		body.TTLSeconds = 0
	}
	return orderflow.RequestHash(body)
}

// answerRepeat answers a request whose order has a row already. It reports whether it has answered. If the order still
// waits for its workflow, answerRepeat waits for the given time.
func (h *handlers) answerRepeat(c *gin.Context, in *orderflow.OrderInput, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	pause := 50 * time.Millisecond
	row, err := h.row(c, in.OrderID)
	for err == nil && row.Waits() && row.RequestHash == in.RequestHash && time.Now().Add(pause).Before(deadline) {
		select {
		case <-time.After(pause):
		case <-c.Request.Context().Done():
			return true // the client has left
		}
		pause *= 2
		row, err = h.row(c, in.OrderID)
	}

	halted := false
	if err == nil && row.Waits() {
		row, halted, err = h.neverStarts(c, row)
	}
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		return false
	case err != nil:
		h.fail(c, err)
	case halted && row.RequestHash == in.RequestHash:
		httpx.Fail(c, stopped(in.OrderID))
	default:
		if row.RequestHash == in.RequestHash {
			c.Header("Idempotency-Replayed", "true")
		}
		h.answerCreated(c, in, row)
	}
	return true
}

// neverStarts reports whether no process will start the workflow of an order that waits for it: an operator has ended
// the workflow before it recorded the order. It also returns the order, which may have been recorded meanwhile.
func (h *handlers) neverStarts(c *gin.Context, row orderstore.Order) (orderstore.Order, bool, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readTimeout)
	defer cancel()
	position, err := h.store.PositionInLine(ctx, row.OrderID)
	if err != nil || position > 0 {
		return row, false, err
	}
	row, err = h.store.Get(ctx, row.OrderID)
	return row, row.Waits(), err
}

// answerCreated answers with the order's row. A repeat of a refused order is refused again: it needs a new key.
func (h *handlers) answerCreated(c *gin.Context, in *orderflow.OrderInput, row orderstore.Order) {
	switch {
	case row.RequestHash != in.RequestHash:
		httpx.Fail(c, keyReused(row.OrderID))
	case row.State == order.Rejected && row.RefusalCode == orderflow.ErrOutOfStock:
		p := orderapi.Table.New(orderapi.OutOfStock, "there is not enough stock, and nothing is reserved; "+
			"order less, or order again later, with a new Idempotency-Key")
		p = p.WithLines(row.Short)
		p.OrderID = row.OrderID.String()
		httpx.Fail(c, p)
	case row.State == order.Rejected,
		row.State.Closed() && row.ReservationID == nil: // it ended before inventory reserved anything
		detail := row.Reason
		if detail == "" {
			detail = "the order is " + string(row.State) + "; use a new Idempotency-Key for another order"
		}
		p := orderapi.Table.New(orderapi.OrderRejected, "%s", detail)
		p.OrderID, p.CurrentStatus = row.OrderID.String(), string(row.State)
		httpx.Fail(c, p)
	case row.State == order.Pending:
		c.Header("Location", orderLocation(row.OrderID))
		c.JSON(http.StatusAccepted, h.wireWithPosition(c, row))
	default:
		c.Header("Location", orderLocation(row.OrderID))
		c.JSON(http.StatusCreated, h.wireWithPosition(c, row))
	}
}

func keyReused(id uuid.UUID) error {
	p := orderapi.Table.New(orderapi.IdempotencyKeyReused,
		"this Idempotency-Key was already used for a different request; send a new Idempotency-Key").At("Idempotency-Key")
	p.OrderID = id.String()
	return p
}
