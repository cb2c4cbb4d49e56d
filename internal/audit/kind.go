package audit

import "strings"

// Kind is a rule that the books break. The kinds are stable: metrics and JSON name them.
type Kind string

// The kinds of violations.
const (
	// LedgerMismatch: an item's counters are not the sums of its ledger.
	LedgerMismatch Kind = "ledger_mismatch"
	// ReservedMismatch: an item's reserved quantity is not what pending reservations hold.
	ReservedMismatch Kind = "reserved_mismatch"
	// ReservationLines: a line is open although its reservation has ended, or closed although it is pending.
	ReservationLines Kind = "reservation_lines"
	// ReservationWithoutOwner: the orders database does not know the owner of a reservation.
	ReservationWithoutOwner Kind = "reservation_without_owner"
	// ReservationOverdue: a reservation is pending long after its deadline.
	ReservationOverdue Kind = "reservation_overdue"
	// ReservationNotRunning: no workflow runs for a pending reservation without an order.
	ReservationNotRunning Kind = "reservation_not_running"
	// EndedHoldsStock: an order that has ended, or is paid, still holds stock or waits for some.
	EndedHoldsStock Kind = "ended_holds_stock"
	// OpenWithoutStock: an order counts on reserved stock that inventory does not hold for it.
	OpenWithoutStock Kind = "open_without_stock"
	// StockTaken: the stock that has left for an order is not what its state and its shipments say.
	StockTaken Kind = "stock_taken"
	// NotCapturedOnce: a paid order has no captured payment, or several.
	NotCapturedOnce Kind = "not_captured_once"
	// AmountKept: the captured amount less refunds is not what the customer owes.
	AmountKept Kind = "amount_kept"
	// RefundedTooMuch: more is refunded than captured.
	RefundedTooMuch Kind = "refunded_too_much"
	// RefundedTwice: an operator made a refund by hand that the provider has made, too.
	RefundedTwice Kind = "refunded_twice"
	// PaymentUnended: an order that has ended has a payment whose outcome is not known.
	PaymentUnended Kind = "payment_unended"
	// ShippedTooMuch: the shipments have more units than a line.
	ShippedTooMuch Kind = "shipped_too_much"
	// OrderNotRunning: no workflow runs for an order that needs one.
	OrderNotRunning Kind = "order_not_running"
	// ProviderDiffers: the payment provider's books differ from the order's.
	ProviderDiffers Kind = "provider_differs"
	// ProviderHolds: the provider has money set aside for an order that has ended or is paid.
	ProviderHolds Kind = "provider_holds"
)

// code is for books that no command repairs: the code itself must have a fault.
const code = "No command repairs this. Keep the databases' logs and the output of this command, and ask the" +
	" developers of the platform."

// takeUp brings a workflow back.
const takeUp = "Run: temporal schedule trigger --schedule-id adoption. It takes up what was stopped within a day, and" +
	" an unpaid order or a reservation after its deadline."

// describe and reset are for orders whose workflow has something left to do.
const (
	describe = "Run: temporal workflow describe -w order-{subject}."
	reset    = "temporal workflow reset -w order-{subject} --type LastWorkflowTask --reason audit."
)

// accounts are asked where money must be looked at outside the platform.
const accounts = " Ask the people who keep the payment accounts."

// remedies say what to do about each kind: which command to run, or whom to ask. {subject} stands for the subject.
var remedies = map[Kind]string{
	LedgerMismatch: "The counters or the ledger were changed past the service. Stop selling the product until it is" +
		" counted. " + code,
	ReservedMismatch: code,
	ReservationLines: code,
	ReservationWithoutOwner: "If it is pending, the adoption expires it after its deadline, or run:" +
		" temporal schedule trigger --schedule-id adoption. If it is confirmed, its stock has left without an order:" +
		" ask the warehouse, and then the developers of the platform.",
	ReservationOverdue: "Run: temporal schedule describe --schedule-id adoption. If it is paused, unpause it. Then run:" +
		" temporal schedule trigger --schedule-id adoption.",
	ReservationNotRunning: takeUp,
	EndedHoldsStock: describe + " If it runs, it retries, and the failure says what it waits for. If it does not, run: " +
		reset,
	OpenWithoutStock: describe + " The order ends without a payment once it asks inventory. To end it now, run:" +
		" temporal workflow cancel -w order-{subject}.",
	StockTaken: describe + " If it retries an activity, it puts the stock right by itself. If it does not, run: " + reset +
		" If that changes nothing, ask the warehouse to count.",
	NotCapturedOnce: "Look the payments of order {subject} up at the provider before you do anything else." + accounts,
	AmountKept: describe + " If it retries a refund, the refund will come. If the order's timeline says that the" +
		" provider refused it, it must be paid by other means." + accounts,
	RefundedTooMuch: "Look the refunds of order {subject} up at the provider." + accounts,
	RefundedTwice: "The customer has the money twice. Look the refunds of order {subject} up at the provider and at the" +
		" bank, and take one of them back." + accounts,
	PaymentUnended: describe + " If it runs, it ends the payment by itself. If it does not, run: " + reset,
	ShippedTooMuch: "Ask the warehouse to keep the shipments of order {subject} back. " + code,
	OrderNotRunning: "Adopt it: POST /admin/orders/{subject}/repair with the action adopt. Or take up all that stand" +
		" still. " + takeUp + " If that changes nothing and Temporal still has the workflow, run: " + reset,
	ProviderDiffers: "Look the payments of order {subject} up at the provider: a person may have changed them there." +
		accounts,
	ProviderHolds: describe + " If it retries the void, the void will come. If it does not, void the payment at the" +
		" provider.",
}

// Remedy says what to do about a violation.
func (v Violation) Remedy() string {
	return strings.ReplaceAll(remedies[v.Kind], "{subject}", v.Subject)
}

// Kinds lists all kinds, in the order in which they are checked.
func Kinds() []Kind {
	return []Kind{
		LedgerMismatch,
		ReservedMismatch,
		ReservationLines,
		ReservationWithoutOwner,
		ReservationOverdue,
		ReservationNotRunning,
		EndedHoldsStock,
		OpenWithoutStock,
		StockTaken,
		NotCapturedOnce,
		AmountKept,
		RefundedTooMuch,
		RefundedTwice,
		PaymentUnended,
		ShippedTooMuch,
		OrderNotRunning,
		ProviderDiffers,
		ProviderHolds,
	}
}
