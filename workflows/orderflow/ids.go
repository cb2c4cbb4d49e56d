package orderflow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// namespaces of our name-based ids (UUIDv5, RFC 9562). They never change: the ids of running orders
// and of their writes to the inventory derive from them.
var (
	orderIDs     = uuid.MustParse("6b8f3c52-9f0e-5f43-8a0a-7f8d0a4c1e01")
	customerIDs  = uuid.MustParse("6b8f3c52-9f0e-5f43-8a0a-7f8d0a4c1e02")
	operationIDs = uuid.MustParse("6b8f3c52-9f0e-5f43-8a0a-7f8d0a4c1e03")
)

// OrderID derives an order's id from the caller (issuer and subject) and the idempotency key, so that a
// repeated request names the same order on every instance. The parts are length-prefixed: ("ab","c")
// and ("a","bc") are different.
func OrderID(issuer, subject, key string) uuid.UUID {
	return derive(orderIDs, issuer, subject, key)
}

// CustomerReservationOwner derives the owner of a reservation without an order, from the caller (issuer and subject)
// and the id of the caller's own order that the reservation is for.
func CustomerReservationOwner(issuer, subject, theirOrder string) uuid.UUID {
	return derive(customerIDs, issuer, subject, theirOrder)
}

// OperationID derives the id of one write to the inventory. A repeated attempt has the same id, so
// it takes effect once.
func OperationID(reservation uuid.UUID, step string, attempt int) uuid.UUID {
	return derive(operationIDs, reservation.String(), step, strconv.Itoa(attempt))
}

// PaymentKey names one attempt to pay an order; authorise, capture and void of it share the key.
func PaymentKey(order uuid.UUID, attempt int) string {
	return order.String() + "-" + strconv.Itoa(attempt)
}

// OrderOfPayment returns the order that a payment's key names, and false if it names none.
func OrderOfPayment(key string) (uuid.UUID, bool) {
	end := strings.LastIndex(key, "-")
	if end < 0 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(key[:end])
	return id, err == nil
}

// RefundKey names the refund of all that one payment took.
func RefundKey(order uuid.UUID, attempt int) string { return PaymentKey(order, attempt) + "-refund" }

// PartRefundKey names one of the refunds of a paid order, from 1. Together they give back a part or all of a payment.
func PartRefundKey(order uuid.UUID, attempt, number int) string {
	return RefundKey(order, attempt) + "-" + strconv.Itoa(number)
}

// The beginnings of workflow ids.
const (
	orderPrefix       = "order-"
	reservationPrefix = "reservation-"
)

// OrderWorkflowID is the workflow id of an order.
func OrderWorkflowID(order uuid.UUID) string { return orderPrefix + order.String() }

// OrderOfWorkflow returns the order that has the workflow id, and false if it is not an order's.
func OrderOfWorkflow(id string) (uuid.UUID, bool) { return parseWorkflowID(id, orderPrefix) }

// ReservationWorkflowID is the workflow id of a reservation without an order.
func ReservationWorkflowID(reservation uuid.UUID) string {
	return reservationPrefix + reservation.String()
}

// ReservationOfWorkflow returns the reservation without an order that has the workflow id, and false if it is not a
// reservation's.
func ReservationOfWorkflow(id string) (uuid.UUID, bool) {
	return parseWorkflowID(id, reservationPrefix)
}

func parseWorkflowID(id, prefix string) (uuid.UUID, bool) {
	text, found := strings.CutPrefix(id, prefix)
	parsed, err := uuid.Parse(text)
	return parsed, found && err == nil
}

func derive(space uuid.UUID, parts ...string) uuid.UUID {
	var b strings.Builder
	for _, p := range parts {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p)))) //nolint:gosec // parts are bounded by request limits
		b.WriteString(p)
	}
	return uuid.NewSHA1(space, []byte(b.String()))
}

// RequestHash returns the SHA-256, in hex, of a client's request as it is before anything is added to it, such as
// prices: the decoded body written as JSON again, with its fields in a fixed order and the keys of maps sorted. A
// repeated request has the hash of the first one, and so is told from another request under the same id.
func RequestHash(request any) (string, error) {
	canonical, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("write the canonical request: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}
