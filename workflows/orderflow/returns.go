package orderflow

import (
	"slices"
	"time"
)

// ReturnStatus is the status of a return.
type ReturnStatus string

// The statuses of a return. The orders database knows no other.
const (
	ReturnRequested ReturnStatus = "requested" // the customer asks; an operator decides
	ReturnApproved  ReturnStatus = "approved"  // the goods may come until ReceiveBy
	ReturnRejected  ReturnStatus = "rejected"
	ReturnCancelled ReturnStatus = "cancelled" // by the customer, before anything has arrived
	ReturnReceived  ReturnStatus = "received"  // the warehouse has looked at what arrived
	ReturnLapsed    ReturnStatus = "lapsed"    // nothing has arrived until ReceiveBy
)

// ReturnStatuses lists all statuses.
func ReturnStatuses() []ReturnStatus {
	return []ReturnStatus{
		ReturnRequested,
		ReturnApproved,
		ReturnRejected,
		ReturnCancelled,
		ReturnReceived,
		ReturnLapsed,
	}
}

// Open reports whether something is still to happen to the return.
func (s ReturnStatus) Open() bool { return s == ReturnRequested || s == ReturnApproved }

// ReturnReason is why a customer sends goods back.
type ReturnReason string

// The reasons of a return.
const (
	ReturnUnwanted  ReturnReason = "no_longer_wanted"
	ReturnDamaged   ReturnReason = "damaged"
	ReturnWrongItem ReturnReason = "wrong_item"
	ReturnDifferent ReturnReason = "not_as_described"
	ReturnOther     ReturnReason = "other"
	// ReturnGoodwill is the reason of a refund for which nothing comes back. No request for a return has it.
	ReturnGoodwill ReturnReason = "goodwill"
)

// ReturnReasons lists the reasons of a request for a return.
func ReturnReasons() []ReturnReason {
	return []ReturnReason{ReturnUnwanted, ReturnDamaged, ReturnWrongItem, ReturnDifferent, ReturnOther}
}

// Return is a part of an order that the customer sends back.
type Return struct {
	Number    int          `json:"number"` // from 1 within the order
	Status    ReturnStatus `json:"status"`
	Reason    ReturnReason `json:"reason"`
	Note      string       `json:"note,omitempty"`       // the customer's words, or why an operator rejects the return
	Key       string       `json:"key,omitempty"`        // the Idempotency-Key of the request
	ReceiveBy *time.Time   `json:"receive_by,omitempty"` // when an approved return lapses
	Lines     []ReturnLine `json:"lines"`
}

// ReturnLine is what a return has of one line of the order. What neither went back on the shelf nor arrived damaged
// has not arrived, once the return is received.
type ReturnLine struct {
	LineNo      int   `json:"line_no"`
	Quantity    int64 `json:"quantity"`               // that the customer sends back
	Restocked   int64 `json:"restocked,omitempty"`    // arrived and went back on the shelf
	Damaged     int64 `json:"damaged,omitempty"`      // arrived and cannot be sold again
	RefundMinor int64 `json:"refund_minor,omitempty"` // what the customer gets back
}

// ReturnInput asks for a step of a return. Each update reads the fields that concern it.
type ReturnInput struct {
	Return    int            `json:"return,omitempty"`     // its number; UpdateRequestReturn makes a new one
	Lines     []LineQuantity `json:"lines,omitempty"`      // of UpdateRequestReturn
	Reason    ReturnReason   `json:"reason,omitempty"`     // of UpdateRequestReturn
	Note      string         `json:"note,omitempty"`       // of UpdateRequestReturn and UpdateRejectReturn
	Approved  bool           `json:"approved,omitempty"`   // of UpdateRequestReturn: an operator asks, so it is approved
	ReceiveBy *time.Time     `json:"receive_by,omitempty"` // when the return lapses, once it is approved
	Arrived   []Arrival      `json:"arrived,omitempty"`    // of UpdateReceiveReturn
	Refunds   []LineRefund   `json:"refunds,omitempty"`    // of UpdateRefund
	Key       string         `json:"key,omitempty"`        // the request's Idempotency-Key, of UpdateRequestReturn
	Request   string         `json:"request,omitempty"`    // tells requests with the same key apart

	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

// LineRefund is what an operator gives back of the price of a line, though nothing comes back.
type LineRefund struct {
	LineNo int   `json:"line_no"`
	Minor  int64 `json:"minor"` // in minor units of the order's currency
}

// Arrival is what the warehouse found of one line of a return.
type Arrival struct {
	LineNo    int   `json:"line_no"`
	Restocked int64 `json:"restocked,omitempty"`
	Damaged   int64 `json:"damaged,omitempty"`
	// RefundMinor is what the customer gets back for the units; nil: their price.
	RefundMinor *int64 `json:"refund_minor,omitempty"`
}

// ReturnPreview is what a return would do, if everything that is sent arrives.
type ReturnPreview struct {
	RefundMinor int64          `json:"refund_minor"`
	Restocked   []LineQuantity `json:"restocked,omitempty"`
	// Refusal and Detail say why the request would be refused; empty if it would not.
	Refusal string `json:"refusal,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// PreviewReturnInput asks what a step of a return would do.
type PreviewReturnInput struct {
	Update string      `json:"update"` // UpdateRequestReturn, UpdateReceiveReturn or UpdateRefund
	Input  ReturnInput `json:"input"`
}

func cloneReturns(returns []Return) []Return {
	out := slices.Clone(returns)
	for i := range out {
		out[i].Lines = slices.Clone(out[i].Lines)
	}
	return out
}
