package orderflow

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/address"
	"holdfast/internal/money"
	"holdfast/internal/order"
)

// Line is one line of an order as it was priced: a snapshot of the catalogue.
type Line struct {
	LineNo    int          `json:"line_no"`
	ProductID uuid.UUID    `json:"product_id"`
	SKU       string       `json:"sku"`
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	UnitPrice money.Amount `json:"unit_price"`
	// Discount and Tax are of all units together. Neither has an amount if it is 0.
	Discount money.Amount `json:"discount,omitzero"`
	Tax      money.Amount `json:"tax,omitzero"`
	Total    money.Amount `json:"total"` // the price of all units, less the discount, and the tax
}

// SKUs returns the SKUs of lines for the search attribute, as FirstSKUs.
func SKUs(lines []Line) []string {
	names := make([]string, len(lines))
	for i, l := range lines {
		names[i] = l.SKU
	}
	return FirstSKUs(names)
}

// FirstSKUs bounds what the search attribute has: the first 20 SKUs, each once and cut at 40 bytes.
func FirstSKUs(names []string) []string {
	const maxSKUs, maxSKU = 20, 40
	out := []string{}
	for _, name := range names[:min(len(names), maxSKUs)] {
		if name = name[:min(len(name), maxSKU)]; name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// ShortLine says how much of a product a refused line asked for and how much was available.
type ShortLine struct {
	ProductID uuid.UUID `json:"product_id"`
	Requested int64     `json:"requested"`
	Available int64     `json:"available"`
}

// OrderInput starts an order's workflow.
type OrderInput struct {
	OrderID     uuid.UUID `json:"order_id"`
	Number      string    `json:"number,omitempty"` // empty for orders of older versions
	RequestHash string    `json:"request_hash"`     // SHA-256 of the canonical request, hex
	CustomerID  string    `json:"customer_id"`
	PlacedBy    string    `json:"placed_by,omitempty"` // who sent the request; empty in inputs of older versions
	Issuer      string    `json:"issuer"`
	Lines       []Line    `json:"lines"`
	// Total is what the customer pays: the lines' totals and Shipping.
	Total         money.Amount      `json:"total"`
	Shipping      money.Amount      `json:"shipping,omitzero"`
	TTLSeconds    int               `json:"ttl_seconds"` // of the reservation; 0 leaves it to inventory
	PaymentMethod string            `json:"payment_method,omitempty"`
	ShipTo        *address.Address  `json:"ship_to,omitempty"`
	Email         string            `json:"email,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	CorrelationID string            `json:"correlation_id,omitempty"`
	// Traceparent is the W3C trace context of the request, so that the start of an order that has waited in line belongs
	// to its trace; empty if the request is not traced.
	Traceparent string    `json:"traceparent,omitempty"`
	PlacedAt    time.Time `json:"placed_at"`
	// Revision is the revision of the workflow's story that the order follows from its start to its end: orders of an
	// older revision, which are open while a new one is rolled out, replay as they began.
	Revision int `json:"revision,omitempty"`
	// StartBy is the time by which the workflow must start. If it starts later, the order expires. nil for orders of older
	// versions.
	StartBy *time.Time `json:"start_by,omitempty"`
	// Review says why an operator must approve the order before it is paid; nil if none must.
	Review *Review `json:"review,omitempty"`
	// WaitSeconds is how long the order waits for stock if there is too little; 0: it is rejected then.
	WaitSeconds int `json:"wait_seconds,omitempty"`
	// Continues says that an earlier run of the workflow has recorded the order as paid or backordered, and that this run
	// goes on from the order's row.
	Continues bool `json:"continues,omitempty"`
	// Keys are the Idempotency-Keys of the changes that the earlier run has carried out, the last ones.
	Keys []string `json:"keys,omitempty"`
	// ReservationNumber is the number of the order's reservation, above 1 once an earlier run has changed the lines; 0
	// stands for 1.
	ReservationNumber int `json:"reservation_number,omitempty"`
	// RefundByHand is of a run that only records that an operator made a refund; nil otherwise.
	RefundByHand *RefundByHand `json:"refund_by_hand,omitempty"`
	// Repair is the repair that has started this run of an order that had ended; nil otherwise.
	Repair *RunRepair `json:"repair,omitempty"`
}

// Contents are what an order consists of, once its lines were changed, with the number of the reservation of these
// lines.
type Contents struct {
	Lines             []Line       `json:"lines"`
	Total             money.Amount `json:"total"`
	ReservationNumber int          `json:"reservation_number"`
}

// Placer returns the subject of the token with which the order was placed: the customer's, or that of a shop which
// ordered for the customer.
func (in OrderInput) Placer() string { return cmp.Or(in.PlacedBy, in.CustomerID) }

// HasCharges reports whether a shop has set amounts of the order. They belong to the lines as they are.
func (in OrderInput) HasCharges() bool {
	return in.Shipping.Minor > 0 || slices.ContainsFunc(in.Lines, func(l Line) bool {
		return l.Discount.Minor > 0 || l.Tax.Minor > 0
	})
}

// StockGrantedInput tells an order that inventory has reserved the stock for which the order waits.
type StockGrantedInput struct {
	CorrelationID string `json:"correlation_id,omitempty"`
}

// StockGrantedResult answers it.
type StockGrantedResult struct {
	View View `json:"view"`
}

// Review is why an operator must look at an order, and for how long the order waits for that.
type Review struct {
	Reasons []string `json:"reasons"` // names of rules
	Seconds int      `json:"seconds"` // the stock is held for so long; then the order expires
}

// Revisions of the order's story.
const (
	// RevisionLocalSteps carries out a payment, and the expiry at the deadline, in the workflow task that learns of it:
	// the steps are local activities first (ADR 11). Before it, each of these steps was a regular activity.
	RevisionLocalSteps = 1
	// RevisionFulfilment keeps the workflow of a paid order running until the order is delivered (ADR 15). Before it, the
	// workflow ended once the order was paid.
	RevisionFulfilment = 2
	// RevisionReturns lets the workflow of a completed order go on while a return is open, and run again for one. It also
	// counts why an order needs an operator.
	RevisionReturns = 3
	// CurrentRevision is what new orders follow.
	CurrentRevision = RevisionReturns
)

// OrderResult is what an order's workflow ends with.
type OrderResult struct {
	State  order.State `json:"state"`
	Reason string      `json:"reason,omitempty"`
}

// View is an order's state as its workflow knows it; updates and the state query answer it.
type View struct {
	OrderID         uuid.UUID   `json:"order_id"`
	Number          string      `json:"number,omitempty"`
	RequestHash     string      `json:"request_hash"`
	Seq             int64       `json:"seq"`
	State           order.State `json:"state"`
	Reason          string      `json:"reason,omitempty"`
	ReservationID   *uuid.UUID  `json:"reservation_id,omitempty"`
	ExpiresAt       *time.Time  `json:"expires_at,omitempty"`
	PaymentAttempts int         `json:"payment_attempts"`
	Short           []ShortLine `json:"short,omitempty"`
	// RefusalCode says why a rejected order was refused: ErrOutOfStock, or a code of inventory's contract.
	RefusalCode string `json:"refusal_code,omitempty"`
	// ChangedAt is the time of the last timeline entry, by the workflow's clock.
	ChangedAt  time.Time   `json:"changed_at,omitzero"`
	Fulfilment *Fulfilment `json:"fulfilment,omitempty"` // of a paid order
	ActionURL  string      `json:"action_url,omitempty"` // where the customer confirms the payment that is under way
	// Idle says of a paid order that nothing is under way: everything is recorded, and what the order owes is given back.
	Idle bool `json:"idle,omitempty"`
}

// PlaceInput is the argument of the place update.
type PlaceInput struct{}

// PlaceResult answers the place update.
type PlaceResult struct {
	View View `json:"view"`
}

// PayInput asks to pay an order.
type PayInput struct {
	Method        string `json:"method"`
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// PayOutcome says how a payment ended.
type PayOutcome string

// How a payment can end.
const (
	PayCaptured    PayOutcome = "captured"
	PayDeclined    PayOutcome = "declined"    // the order stays reserved, or fails at the last attempt
	PayExpired     PayOutcome = "expired"     // too late; nothing was taken
	PayUnavailable PayOutcome = "unavailable" // the provider gave no answer in time; nothing was taken
	PayCancelled   PayOutcome = "cancelled"   // called off before anything was taken
	PayFailed      PayOutcome = "failed"      // compensated
	// PayActionRequired: the customer must confirm the payment at the bank, at View.ActionURL. The payment goes on then.
	PayActionRequired PayOutcome = "action_required"
)

// PayResult answers the pay update.
type PayResult struct {
	Method  string     `json:"method"` // as requested: the same key with another method is another request
	Outcome PayOutcome `json:"outcome"`
	Reason  string     `json:"reason,omitempty"`
	View    View       `json:"view"`
}

// CancelInput asks to call an order off.
type CancelInput struct {
	Actor         string `json:"actor"`
	Reason        string `json:"reason,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// CancelResult answers the cancel update.
type CancelResult struct {
	View View `json:"view"`
}

// ApproveInput approves an order that waits for review.
type ApproveInput struct {
	Actor         string `json:"actor"`
	Reason        string `json:"reason,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// ApproveResult answers the approve update.
type ApproveResult struct {
	View View `json:"view"`
}

// ExtendInput asks to hold the stock for longer: until TTLSeconds from now, never shorter than before.
type ExtendInput struct {
	TTLSeconds    int    `json:"ttl_seconds"`
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// ExtendOutcome says how an extension ended.
type ExtendOutcome string

// How an extension can end.
const (
	Extended          ExtendOutcome = "extended"    // or the deadline was as late already
	ExtendTooLate     ExtendOutcome = "expired"     // the deadline had passed
	ExtendUnavailable ExtendOutcome = "unavailable" // inventory gave no answer in time; it may still take effect
	ExtendClosed      ExtendOutcome = "closed"      // the reservation had ended without the workflow
)

// ExtendResult answers the extend update.
type ExtendResult struct {
	TTLSeconds int           `json:"ttl_seconds"` // as requested
	Outcome    ExtendOutcome `json:"outcome"`
	View       View          `json:"view"`
}

// EditInput asks to change the lines of an order that is not paid: these lines replace all others. They are priced as
// those of a new order.
type EditInput struct {
	Lines         []Line       `json:"lines"`
	Total         money.Amount `json:"total"`
	Request       string       `json:"request"` // tells requests with the same key apart: the hash of the client's request
	Actor         string       `json:"actor"`
	CorrelationID string       `json:"correlation_id,omitempty"`
}

// EditOutcome says how a change of the lines ended. Only Edited has changed them.
type EditOutcome string

// How a change of the lines can end.
const (
	Edited         EditOutcome = "edited"
	EditOutOfStock EditOutcome = "out_of_stock" // EditResult.Short names the lines; the order stays as it was
	EditRefused    EditOutcome = "refused"      // inventory finds the request wrong; the order stays as it was
	EditTooLate    EditOutcome = "expired"      // the deadline has passed
	EditCancelled  EditOutcome = "cancelled"    // the order was cancelled before inventory answered
	EditClosed     EditOutcome = "closed"       // the reservation had ended without the workflow
)

// EditResult answers the edit update.
type EditResult struct {
	Request string      `json:"request"`
	Outcome EditOutcome `json:"outcome"`
	Short   []ShortLine `json:"short,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	View    View        `json:"view"`
}

// Kinds of owners of a reservation, as inventory names them.
const (
	OwnerOrder    = "order"
	OwnerCustomer = "customer" // held from outside, without an order
)

// ReservationRef names a reservation by its owner and number; its id derives from these three.
type ReservationRef struct {
	OwnerKind  string    `json:"owner_kind"`
	OwnerID    uuid.UUID `json:"owner_id"`
	Number     int       `json:"number"`
	WorkflowID string    `json:"workflow_id"` // which owns the timer
}

// ReserveLine is what one line of a reservation asks for.
type ReserveLine struct {
	LineNo    int       `json:"line_no"`
	ProductID uuid.UUID `json:"product_id"`
	Quantity  int64     `json:"quantity"`
	// SKU is for operators: of a reservation without an order, if the catalogue has the product.
	SKU string `json:"sku,omitempty"`
}

// ReserveInput asks inventory to hold lines, all or nothing.
type ReserveInput struct {
	Reservation   ReservationRef `json:"reservation"`
	Actor         string         `json:"actor"`
	TTLSeconds    int            `json:"ttl_seconds"` // 0 leaves it to inventory
	Lines         []ReserveLine  `json:"lines"`
	CorrelationID string         `json:"correlation_id,omitempty"`
	// WaitSeconds is how long the order waits for stock, of ReserveOrWait.
	WaitSeconds int `json:"wait_seconds,omitempty"`
	// Replaces is the number of the reservation to replace, of ReplaceReservation.
	Replaces int `json:"replaces,omitempty"`
}

// ReservationInput names a reservation and the write to it.
type ReservationInput struct {
	Reservation   ReservationRef `json:"reservation"`
	Actor         string         `json:"actor"`
	Reason        string         `json:"reason,omitempty"`
	ExpiresAt     *time.Time     `json:"expires_at,omitempty"` // for an extension: the least deadline wanted
	CorrelationID string         `json:"correlation_id,omitempty"`
	// Backorder says that the reservation may still be a backorder that waits for stock.
	Backorder bool `json:"backorder,omitempty"`
}

// ReservationResult is a reservation after a write.
type ReservationResult struct {
	ReservationID uuid.UUID `json:"reservation_id"`
	// Status is the reservation's. ReservationWaiting is that of a backorder; a release or an expiry answers it if it has
	// ended the wait of one, which held no stock.
	Status    string    `json:"status"`
	ExpiresAt time.Time `json:"expires_at"` // of a pending reservation, or the end of the wait for stock
	// Lines say where the stock of a reservation was taken. Only its confirmation answers them.
	Lines []ReservedLine `json:"lines,omitempty"`
	// Returned is how many units ReturnUnits has put back.
	Returned int64 `json:"returned,omitempty"`
}

// Statuses of a reservation, as inventory names them.
const (
	ReservationWaiting   = "waiting" // a backorder; inventory will make it a reservation
	ReservationPending   = "pending"
	ReservationConfirmed = "confirmed"
	ReservationReleased  = "released"
	ReservationExpired   = "expired"
	// ReservationRefused is no status of inventory: it has refused the reservation.
	ReservationRefused = "refused"
)

// PaymentInput names one attempt to pay and how.
type PaymentInput struct {
	OrderID       uuid.UUID    `json:"order_id"`
	PaymentKey    string       `json:"payment_key"`
	RefundKey     string       `json:"refund_key,omitempty"` // of a refund
	Attempt       int          `json:"attempt"`
	Method        string       `json:"method,omitempty"`
	Amount        money.Amount `json:"amount"`
	Reason        string       `json:"reason,omitempty"`
	CorrelationID string       `json:"correlation_id,omitempty"`
	// MayAct says of an authorisation that the order can wait for an action of the customer.
	MayAct bool `json:"may_act,omitempty"`
}

// PaymentChangedInput says that the provider has news of a payment of the order.
type PaymentChangedInput struct {
	PaymentKey    string `json:"payment_key"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// PaymentChangedResult answers the update.
type PaymentChangedResult struct {
	View View `json:"view"`
}

// PaymentResult is what the provider answered.
type PaymentResult struct {
	Provider        string     `json:"provider"`
	ProviderRef     string     `json:"provider_ref"`
	AuthorisedUntil *time.Time `json:"authorised_until,omitempty"`
	// ActionURL is where the customer must act before the money is set aside. It is empty once it is.
	ActionURL string `json:"action_url,omitempty"`
	// RefundedMinor is the amount of a refund that FindRefund has found.
	RefundedMinor int64 `json:"refunded_minor,omitempty"`
	// Repair is the id of the repair by which an operator says that the step was done by hand.
	Repair string `json:"repair,omitempty"`
}

// Actors that are not a client's subject.
const (
	ActorSystem   = "system"            // what the workflow does by itself
	ActorTemporal = "temporal-operator" // an operator who cancelled the workflow with Temporal's own tools
)
