// Package orderapi is the contract of the orders interface: types and a client generated from api/openapi.yaml, and the
// codes of its refusals.
package orderapi

import (
	"net/http"

	"holdfast/internal/problem"
)

// The codes of this contract, beside the common ones.
const (
	OrderNotFound        problem.Code = "order_not_found"
	ProductNotFound      problem.Code = "product_not_found"
	OutOfStock           problem.Code = "out_of_stock"
	OrderRejected        problem.Code = "order_rejected"
	UnknownProduct       problem.Code = "unknown_product"
	NoPrice              problem.Code = "no_price"
	AmountTooLarge       problem.Code = "amount_too_large"
	IdempotencyKeyReused problem.Code = "idempotency_key_reused"
	PaymentDeclined      problem.Code = "payment_declined"
	PaymentInProgress    problem.Code = "payment_in_progress"
	PaymentUnavailable   problem.Code = "payment_unavailable"
	PaymentFailed        problem.Code = "payment_failed"
	OrderNotReady        problem.Code = "order_not_ready"
	InvalidState         problem.Code = "invalid_state"
	OrderExpired         problem.Code = "order_expired"
	OrderStopped         problem.Code = "order_stopped"
	InvalidDuration      problem.Code = "invalid_duration"
	TooManyExtensions    problem.Code = "too_many_extensions"
	TooManyEdits         problem.Code = "too_many_edits"
	ReviewRequired       problem.Code = "review_required"
	InventoryUnavailable problem.Code = "inventory_unavailable"
	ReservationNotFound  problem.Code = "reservation_not_found"
	ReservationExpired   problem.Code = "reservation_expired"
	ReservationRefused   problem.Code = "reservation_refused"
	ReservationStopped   problem.Code = "reservation_stopped"
	AlreadyResolved      problem.Code = "already_resolved"
	OwnedByOrder         problem.Code = "owned_by_order"
	AlreadyExists        problem.Code = "already_exists"
	PreconditionFailed   problem.Code = "precondition_failed"
	PreconditionRequired problem.Code = "precondition_required"
	ShipmentNotFound     problem.Code = "shipment_not_found"
	InvalidShipmentState problem.Code = "invalid_shipment_state"
	ReturnNotFound       problem.Code = "return_not_found"
	InvalidReturnState   problem.Code = "invalid_return_state"
	NotReturnable        problem.Code = "not_returnable"
	ReturnWindowOver     problem.Code = "return_window_over"
	OpenOrderLimit       problem.Code = "open_order_limit"
	OrderOnHold          problem.Code = "order_on_hold"
	AlreadyShipped       problem.Code = "already_shipped"
	OrderInReview        problem.Code = "order_in_review"
	OrderBackordered     problem.Code = "order_backordered"
	CustomerNotFound     problem.Code = "customer_not_found"
	OrdersOpen           problem.Code = "orders_open"
	RepairNotApplicable  problem.Code = "repair_not_applicable"
	StepNotSkippable     problem.Code = "step_not_skippable"
)

// Table has every code with its HTTP status, and whether the same request may succeed later.
var Table = problem.Common.Extend(problem.Table{
	OrderNotFound:        {Status: http.StatusNotFound, Title: "No such order"},
	ProductNotFound:      {Status: http.StatusNotFound, Title: "No such product"},
	OutOfStock:           {Status: http.StatusConflict, Title: "Not enough stock"},
	OrderRejected:        {Status: http.StatusConflict, Title: "The order was rejected"},
	UnknownProduct:       {Status: http.StatusUnprocessableEntity, Title: "A product is not in the catalogue"},
	NoPrice:              {Status: http.StatusUnprocessableEntity, Title: "A product is not sold in this currency"},
	AmountTooLarge:       {Status: http.StatusUnprocessableEntity, Title: "The order's total is too large"},
	IdempotencyKeyReused: {Status: http.StatusUnprocessableEntity, Title: "The idempotency key names another request"},
	PaymentDeclined:      {Status: http.StatusPaymentRequired, Title: "The payment was declined"},
	PaymentInProgress:    {Status: http.StatusConflict, Retryable: true, Title: "A payment is under way"},
	PaymentUnavailable: {
		Status: http.StatusServiceUnavailable, Retryable: true, Title: "The payment provider did not answer",
	},
	PaymentFailed:        {Status: http.StatusConflict, Title: "The payment could not be completed"},
	OrderNotReady:        {Status: http.StatusConflict, Retryable: true, Title: "The order's stock is not decided yet"},
	InvalidState:         {Status: http.StatusConflict, Title: "The order's state does not allow this"},
	OrderExpired:         {Status: http.StatusGone, Title: "The order has expired"},
	OrderStopped:         {Status: http.StatusConflict, Title: "The order's processing was stopped"},
	InvalidDuration:      {Status: http.StatusUnprocessableEntity, Title: "Stock cannot be held unpaid for so long"},
	TooManyExtensions:    {Status: http.StatusConflict, Title: "The deadline was moved too often"},
	TooManyEdits:         {Status: http.StatusConflict, Title: "The lines were changed too often"},
	ReviewRequired:       {Status: http.StatusConflict, Title: "An operator would have to approve the order"},
	InventoryUnavailable: {Status: http.StatusServiceUnavailable, Retryable: true, Title: "Inventory did not answer"},
	ReservationNotFound:  {Status: http.StatusNotFound, Title: "No such reservation"},
	ReservationExpired:   {Status: http.StatusGone, Title: "The reservation has expired"},
	ReservationRefused:   {Status: http.StatusUnprocessableEntity, Title: "The reservation is not possible"},
	ReservationStopped:   {Status: http.StatusConflict, Title: "The reservation's processing was stopped"},
	AlreadyResolved:      {Status: http.StatusConflict, Title: "The reservation ended another way"},
	OwnedByOrder:         {Status: http.StatusConflict, Title: "The reservation belongs to an order"},
	AlreadyExists:        {Status: http.StatusConflict, Title: "The SKU is taken"},
	PreconditionFailed:   {Status: http.StatusPreconditionFailed, Title: "It has changed since it was read"},
	PreconditionRequired: {Status: http.StatusPreconditionRequired, Title: "If-Match is required"},
	ShipmentNotFound:     {Status: http.StatusNotFound, Title: "The order has no such shipment"},
	InvalidShipmentState: {Status: http.StatusConflict, Title: "The shipment's status does not allow this"},
	ReturnNotFound:       {Status: http.StatusNotFound, Title: "The order has no such return"},
	InvalidReturnState:   {Status: http.StatusConflict, Title: "The return's status does not allow this"},
	NotReturnable:        {Status: http.StatusConflict, Title: "The units cannot be returned"},
	ReturnWindowOver:     {Status: http.StatusConflict, Title: "The time for a return is over"},
	OpenOrderLimit:       {Status: http.StatusConflict, Title: "Too many unpaid orders"},
	OrderOnHold:          {Status: http.StatusConflict, Title: "The fulfilment is held"},
	OrderBackordered:     {Status: http.StatusConflict, Retryable: true, Title: "The order waits for stock"},
	OrderInReview:        {Status: http.StatusConflict, Retryable: true, Title: "The order waits for review"},
	CustomerNotFound:     {Status: http.StatusNotFound, Title: "No such customer"},
	OrdersOpen:           {Status: http.StatusConflict, Title: "Orders of the customer are open"},
	AlreadyShipped:       {Status: http.StatusConflict, Title: "A shipment has left"},
	RepairNotApplicable:  {Status: http.StatusConflict, Title: "The repair does not apply"},
	StepNotSkippable:     {Status: http.StatusUnprocessableEntity, Title: "The step may not be skipped"},
})
