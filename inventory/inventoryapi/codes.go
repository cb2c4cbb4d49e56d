package inventoryapi

import (
	"errors"
	"net/http"

	"holdfast/internal/problem"
)

// Code names a kind of refusal. A Code is itself an error, so that errors.Is(err, inventoryapi.NotDue) tests for the
// kind, in the service and in the client.
type Code problem.Code

// Error returns the code.
func (c Code) Error() string { return string(c) }

// The codes of this contract.
const (
	InvalidInput    Code = "invalid_input"    // a field is missing or malformed
	InvalidQuantity Code = "invalid_quantity" // below 1 or above the limit
	InvalidDuration Code = "invalid_duration" // a time to live or a deadline outside the limits

	NegativeQuantity Code = "negative_quantity" // the stock would be below 0

	ProductNotFound     Code = "product_not_found"
	ItemNotFound        Code = "item_not_found"
	ReservationNotFound Code = "reservation_not_found"
	BackorderNotFound   Code = "backorder_not_found"
	IncomingNotFound    Code = "incoming_not_found"
	ProposalNotFound    Code = "proposal_not_found"

	AlreadyExists   Code = "already_exists"   // the id, number or operation id was used for something else
	AlreadyResolved Code = "already_resolved" // it ended in another way; the error has the current status
	// IdempotencyKeyReused refuses another request under a known Idempotency-Key.
	IdempotencyKeyReused Code = "idempotency_key_reused"

	VersionConflict Code = "version_conflict" // other requests changed the stock, or expected_version is not the version

	PreconditionFailed Code = "precondition_failed" // If-Match names another version

	InsufficientStock     Code = "insufficient_stock"
	ReservationNotPending Code = "reservation_not_pending"
	NotDue                Code = "not_due"         // the deadline has not passed; the error has the deadline
	InvalidRelease        Code = "invalid_release" // more than the item has reserved
	InvalidConfirm        Code = "invalid_confirm" // more than the item has, or has reserved
	InvalidReturn         Code = "invalid_return"  // not confirmed, or more than is left to return

	BackorderNotWaiting Code = "backorder_not_waiting" // it has ended; the error has its status
	IncomingClosed      Code = "incoming_closed"       // the delivery was received or cancelled

	BackorderPastDeadline Code = "backorder_expired"
	ProposalClosed        Code = "proposal_closed" // the reorder proposal was received or dismissed before

	ReservationExpired Code = "reservation_expired"

	Unavailable Code = "unavailable" // the service did not answer; send the same request again
)

// Category groups codes by what the caller can do about them.
type Category string

// The categories. Unavailable has no category, because it says nothing about the request.
const (
	Validation   Category = "validation"
	NotFound     Category = "not_found"
	Conflict     Category = "conflict"
	BusinessRule Category = "business_rule"
	Expired      Category = "expired"
)

type row struct {
	code     Code
	status   int
	retry    bool
	category Category
	title    string
}

// rows is the one table: code, HTTP status, whether the same request may succeed later, category.
var rows = []row{
	{InvalidInput, http.StatusBadRequest, false, Validation, "The request is not valid"},
	{InvalidQuantity, http.StatusUnprocessableEntity, false, Validation, "The quantity is not valid"},
	{NegativeQuantity, http.StatusUnprocessableEntity, false, Validation, "The quantity would be negative"},
	{InvalidDuration, http.StatusUnprocessableEntity, false, Validation, "The duration is not valid"},
	{ProductNotFound, http.StatusNotFound, false, NotFound, "No such product in stock-keeping"},
	{ItemNotFound, http.StatusNotFound, false, NotFound, "The product has no stock at this location"},
	{ReservationNotFound, http.StatusNotFound, false, NotFound, "No such reservation"},
	{BackorderNotFound, http.StatusNotFound, false, NotFound, "No such backorder"},
	{IncomingNotFound, http.StatusNotFound, false, NotFound, "No such delivery"},
	{ProposalNotFound, http.StatusNotFound, false, NotFound, "No such reorder proposal"},
	{AlreadyExists, http.StatusConflict, false, Conflict, "The id was used for something else"},
	{AlreadyResolved, http.StatusConflict, false, Conflict, "The reservation ended another way"},
	{IdempotencyKeyReused, http.StatusUnprocessableEntity, false, Conflict, "The idempotency key names another request"},
	{VersionConflict, http.StatusConflict, true, Conflict, "The stock changed meanwhile"},
	{PreconditionFailed, http.StatusPreconditionFailed, false, Conflict, "The product has another version"},
	{InsufficientStock, http.StatusConflict, false, BusinessRule, "Not enough stock"},
	{ReservationNotPending, http.StatusConflict, false, BusinessRule, "The reservation is not pending"},
	{NotDue, http.StatusConflict, false, BusinessRule, "The deadline has not passed yet"},
	{BackorderNotWaiting, http.StatusConflict, false, BusinessRule, "The backorder does not wait any more"},
	{IncomingClosed, http.StatusConflict, false, BusinessRule, "The delivery is closed"},
	{InvalidRelease, http.StatusConflict, false, BusinessRule, "The release is not valid"},
	{InvalidConfirm, http.StatusConflict, false, BusinessRule, "The confirmation is not valid"},
	{InvalidReturn, http.StatusConflict, false, BusinessRule, "The return is not valid"},
	{ProposalClosed, http.StatusConflict, false, BusinessRule, "The reorder proposal is closed"},
	{ReservationExpired, http.StatusGone, false, Expired, "The reservation has expired"},
	{BackorderPastDeadline, http.StatusGone, false, Expired, "The deadline of the backorder has passed"},
}

// Table is the contract's table. Servers write problems with it, and clients read them.
var Table = problem.Common.Extend(ours())

var categories = func() map[Code]Category {
	m := make(map[Code]Category, len(rows))
	for _, r := range rows {
		m[r.code] = r.category
	}
	return m
}()

func ours() problem.Table {
	t := make(problem.Table, len(rows))
	for _, r := range rows {
		t[problem.Code(r.code)] = problem.Kind{Status: r.status, Retryable: r.retry, Title: r.title}
	}
	return t
}

// Category returns the code's category; it is empty if the code says nothing about the request.
func (c Code) Category() Category { return categories[c] }

// Retryable reports whether the same request may succeed later, unchanged.
func (c Code) Retryable() bool { return Table[problem.Code(c)].Retryable }

// CodeOf returns the code of err, or "" for an error that is not of this contract.
func CodeOf(err error) Code {
	var coded interface{ ErrorCode() Code }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}

// Retryable reports whether the caller may send the call that failed with err again, unchanged. Every operation is
// idempotent, so the caller may repeat it after every error except a refusal. A version conflict about the caller's own
// expected_version is such a refusal: the service would refuse the same request again.
func Retryable(err error) bool {
	code := CodeOf(err)
	var e *Error
	if errors.As(err, &e) && e.refusesExpectedVersion() {
		return false
	}
	return err != nil && (code == "" || code.Retryable())
}
