package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/address"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

const (
	// createBudget is how long a caller waits until a new order is recorded. After it the caller hears that the outcome
	// is unknown, so that create never hangs.
	createBudget = 4 * time.Second
	// lookBudget bounds one read from the orders database or from inventory.
	lookBudget = 2 * time.Second
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
	teller    *teller
}

// Workflows are the calls of the handlers to the workflows (orderclient).
type Workflows interface {
	Place(ctx context.Context, in orderflow.OrderInput) (orderflow.PlaceResult, error)
	Pay(ctx context.Context, order uuid.UUID, key string, in orderflow.PayInput) (orderflow.PayResult, error)
	Cancel(ctx context.Context, order uuid.UUID, in orderflow.CancelInput) (orderflow.CancelResult, error)
	Extend(ctx context.Context, order uuid.UUID, key string, in orderflow.ExtendInput) (orderflow.ExtendResult, error)

	Reserve(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error)
	ReserveAnew(ctx context.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error)
	Runs(ctx context.Context, reservation uuid.UUID) (bool, error)
	Confirm(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error
	Release(ctx context.Context, reservation uuid.UUID, in orderflow.ResolveInput) error
	ExtendReservation(ctx context.Context, reservation uuid.UUID, key string, in orderflow.ExtendInput) error
}

var _ ServerInterface = (*handlers)(nil)

// CreateOrder starts the order's workflow and waits until the order is recorded. The row decides the answer: the server
// confirms an order only when its row exists, and an existing row decides about a repeat.
func (h *handlers) CreateOrder(c *gin.Context, params orderapi.CreateOrderParams) {
	in, err := h.newOrder(c, params)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	if done := h.answerKnown(c, in); done {
		return
	}
	if err := h.price(c, in); err != nil {
		httpx.Fail(c, err)
		return
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), createBudget)
	defer cancel()
	placed, err := h.workflows.Place(ctx, *in)
	if err == nil && placed.View.RequestHash != in.RequestHash {
		httpx.Fail(c, keyReused(in.OrderID))
		return
	}
	if err != nil {
		h.log.WarnContext(c.Request.Context(), "an order was not placed at once", "order_id", in.OrderID, "error", err)
	}

	row, rerr := h.row(c, in.OrderID)
	if rerr != nil {
		if !errors.Is(rerr, orderstore.ErrNotFound) {
			h.log.ErrorContext(c.Request.Context(), "cannot read an order that was just placed",
				"order_id", in.OrderID, "error", rerr)
		}
		if errors.Is(rerr, orderstore.ErrNotFound) && errors.Is(err, orderclient.ErrEnded) {
			httpx.Fail(c, stopped(in.OrderID))
			return
		}
		if errors.Is(rerr, orderstore.ErrNotFound) && orderclient.RefusedAs(err) != "" {
			p := orderapi.Table.New(orderapi.OrderRejected, cannotRecord)
			p.OrderID = in.OrderID.String()
			httpx.Fail(c, p)
			return
		}
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"the order is not recorded yet; send it again with the same Idempotency-Key"))
		return
	}
	answerCreated(c, in, row)
}

// newOrder reads the request into the workflow's input, still without prices.
func (h *handlers) newOrder(c *gin.Context, params orderapi.CreateOrderParams) (*orderflow.OrderInput, error) {
	var body orderapi.CreateOrder
	if err := httpx.DecodeJSON(c, &body); err != nil {
		return nil, err
	}
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
	hash, err := orderHash(body)
	if err != nil {
		return nil, err
	}
	in := &orderflow.OrderInput{
		OrderID:       orderflow.OrderID(who.Issuer, who.Subject, key),
		RequestHash:   hash,
		CustomerID:    who.Subject,
		Issuer:        who.Issuer,
		Total:         money.Amount{Currency: body.Currency},
		TTLSeconds:    body.TTLSeconds,
		PaymentMethod: body.PaymentMethod,
		Email:         body.Email,
		Metadata:      body.Metadata,
		CorrelationID: correlation.From(c.Request.Context()),
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
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

// defaultTTL is how long stock is held if a request does not say, in seconds, as in the contract.
const defaultTTL = 900

// orderHash returns the hash of an order's request. It tells a repeat under the same key from another request. Equal
// requests have equal hashes, however they are written: the hashed form has ids in small letters, no empty parts,
// sorted names of metadata, the currency always and the default time to live never. Hashes in the database were made
// that way, so the hash of a request without defaults must not change.
func orderHash(body orderapi.CreateOrder) (string, error) {
	if body.Currency == "" {
		body.Currency = defaultCurrency
	}
	if body.TTLSeconds == defaultTTL {
		body.TTLSeconds = 0
	}
	return orderflow.RequestHash(body)
}

// reservationHash returns the hash of a request for a reservation from outside, by the same rules. The short form must
// have become its line before.
func reservationHash(body orderapi.CreateReservation) (string, error) {
	if body.TTLSeconds == defaultTTL {
		body.TTLSeconds = 0
	}
	return orderflow.RequestHash(body)
}

// answerKnown answers from the order's row, if it exists. It reports whether it has answered.
func (h *handlers) answerKnown(c *gin.Context, in *orderflow.OrderInput) bool {
	row, err := h.row(c, in.OrderID)
	switch {
	case errors.Is(err, orderstore.ErrNotFound):
		return false
	case err != nil:
		h.fail(c, err)
	default:
		c.Header("Idempotency-Replayed", "true")
		answerCreated(c, in, row)
	}
	return true
}

// price takes names and prices from the catalogue and adds up the total.
func (h *handlers) price(c *gin.Context, in *orderflow.OrderInput) error {
	ids := make([]uuid.UUID, 0, len(in.Lines))
	seen := make(map[uuid.UUID]bool, len(in.Lines))
	for _, l := range in.Lines {
		if !seen[l.ProductID] {
			seen[l.ProductID] = true
			ids = append(ids, l.ProductID)
		}
	}

	ctx, cancel := context.WithTimeout(c.Request.Context(), lookBudget)
	defer cancel()
	priced, known, err := h.store.PriceProducts(ctx, ids, in.Total.Currency)
	if err != nil {
		return h.unavailable(c, err)
	}

	for i := range in.Lines {
		l := &in.Lines[i]
		p, ok := priced[l.ProductID]
		field := fmt.Sprintf("lines[%d].product_id", i)
		switch {
		case !known[l.ProductID]:
			return orderapi.Table.New(orderapi.UnknownProduct, "there is no product %s", l.ProductID).At(field)
		case !ok:
			return orderapi.Table.New(orderapi.NoPrice, "product %s is not sold in %s", l.ProductID, in.Total.Currency).At(field)
		}

		l.SKU, l.Name, l.UnitPrice = p.SKU, p.Name, p.Price
		if l.Total, err = p.Price.Times(l.Quantity); err == nil {
			in.Total, err = in.Total.Add(l.Total)
		}
		if err != nil {
			p := orderapi.Table.New(orderapi.AmountTooLarge, "the order's total is too large; order less")
			return p.At(fmt.Sprintf("lines[%d].quantity", i))
		}
	}
	return nil
}

// answerCreated answers by the order's row. A refused order stays refused under its key.
func answerCreated(c *gin.Context, in *orderflow.OrderInput, row orderstore.Order) {
	switch {
	case row.RequestHash != in.RequestHash:
		httpx.Fail(c, keyReused(row.OrderID))
	case row.State == order.Rejected && row.RefusalCode == orderflow.ErrOutOfStock:
		p := orderapi.Table.New(orderapi.OutOfStock, "nothing is held; order less, or order again later with a new key")
		p = p.WithLines(row.Short)
		p.OrderID = row.OrderID.String()
		httpx.Fail(c, p)
	case row.State == order.Rejected, row.ReservationID == nil && row.State.Closed():
		detail := row.Reason
		if detail == "" {
			detail = "the order is " + string(row.State) + "; use a new key for another one"
		}
		p := orderapi.Table.New(orderapi.OrderRejected, "%s", detail)
		p.OrderID, p.CurrentStatus = row.OrderID.String(), string(row.State)
		httpx.Fail(c, p)
	case row.State == order.Pending:
		c.Header("Location", orderLocation(row.OrderID))
		c.JSON(http.StatusAccepted, wireOrder(row))
	default:
		c.Header("Location", orderLocation(row.OrderID))
		c.JSON(http.StatusCreated, wireOrder(row))
	}
}

func keyReused(id uuid.UUID) error {
	p := orderapi.Table.New(orderapi.IdempotencyKeyReused,
		"this key was used with another body; use a new key for another request").At("Idempotency-Key")
	p.OrderID = id.String()
	return p
}
