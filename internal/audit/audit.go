// Package audit compares the books of the platform: the ledger, the counters and the reservations of inventory, the
// orders with their payments and shipments, the workflows in Temporal, and the payment provider. It changes nothing.
//
// The books are in different places and are read at different moments, so an order that moves on in between looks wrong
// for an instant. A violation therefore counts only if the audit sees it twice, some seconds apart.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/orderstore"
	"holdfast/internal/payment"
	"holdfast/inventory/store"
)

// Violation is a rule that the books break.
type Violation struct {
	Kind    Kind
	Subject string // the id of the item, the reservation or the order
	Detail  string // what was found
}

// Workflows knows which workflows of orders and reservations run.
type Workflows interface {
	// ListRunning calls each with the id of every running workflow. The list may be some seconds behind.
	ListRunning(ctx context.Context, each func(workflowID string)) error
	// WorkflowIsRunning asks for one workflow, and is exact.
	WorkflowIsRunning(ctx context.Context, workflowID string) (bool, error)
}

// Payments is the part of a payment.Provider that an audit asks.
type Payments interface {
	Get(ctx context.Context, key string) (payment.Payment, error)
	GetRefund(ctx context.Context, key, refundKey string) (payment.Refund, error)
}

// Options says what to audit and how. Workflows and Payments may be nil: then they are not checked.
type Options struct {
	Orders    *orderstore.Store
	Stock     *store.Store
	Workflows Workflows
	Payments  Payments

	Page   int           // rows that one statement reads
	Pause  time.Duration // after each page
	Settle time.Duration // between the two looks at a suspicion
	Grace  time.Duration // after its deadline, before a pending reservation counts as overdue
	// PaymentsSince leaves out the provider's books of orders that have not changed since then.
	PaymentsSince time.Time
	// Allow is called before each call of the payment provider, and limits their rate.
	Allow    func(context.Context) error
	Progress func(step string, done int)
}

// Check refuses options outside their limits.
func (o Options) Check() error {
	var faults []error
	if o.Page < 1 || o.Page > maxPage {
		faults = append(faults, fmt.Errorf("--page is %d; it lies between 1 and %d", o.Page, maxPage))
	}
	if o.Pause < 0 {
		faults = append(faults, fmt.Errorf("--pause is %s; it must not be negative", o.Pause))
	}
	if o.Settle < time.Second {
		faults = append(faults, fmt.Errorf("--settle is %s; it must be at least 1s, because orders move on meanwhile",
			o.Settle))
	}
	if o.Grace < 0 {
		faults = append(faults, fmt.Errorf("--grace is %s; it must not be negative", o.Grace))
	}
	return errors.Join(faults...)
}

// maxPage bounds the rows of one statement.
const maxPage = 10_000

// Result is what an audit found.
type Result struct {
	Items        int
	Reservations int
	Orders       int
	Payments     int         // calls of the provider; 0 if they were not checked
	Violations   []Violation // in the order of their kinds and subjects
	Passing      int         // suspicions that were gone at the second look
}

// Run audits everything. Any error means that the audit is not complete.
func Run(ctx context.Context, o Options) (Result, error) {
	a := &auditor{Options: o}
	if err := a.listRunning(ctx); err != nil {
		return a.result, err
	}
	suspicions, err := a.lookAtAll(ctx)
	if err != nil || len(suspicions) == 0 {
		return a.result, err
	}

	a.Progress("suspicions, which are looked at again", len(suspicions))
	select {
	case <-ctx.Done():
		return a.result, ctx.Err()
	case <-time.After(o.Settle):
	}
	again, err := a.lookAgain(ctx, suspicions)
	if err != nil {
		return a.result, err
	}
	a.result.Violations = confirmed(suspicions, again)
	a.result.Passing = len(suspicions) - len(a.result.Violations)
	return a.result, nil
}

// confirmed returns what was seen both times, as it was seen last.
func confirmed(first, second []Violation) []Violation {
	seen := map[Violation]bool{}
	for _, v := range first {
		seen[Violation{Kind: v.Kind, Subject: v.Subject}] = true
	}
	out := slices.DeleteFunc(slices.Clone(second), func(v Violation) bool {
		return !seen[Violation{Kind: v.Kind, Subject: v.Subject}]
	})
	kinds := Kinds()
	slices.SortFunc(out, func(x, y Violation) int {
		return cmp.Or(
			cmp.Compare(slices.Index(kinds, x.Kind), slices.Index(kinds, y.Kind)),
			cmp.Compare(x.Subject, y.Subject),
		)
	})
	return out
}

// auditor is one run.
type auditor struct {
	Options
	orders  *orderstore.AuditSnapshot
	stock   *store.AuditSnapshot
	running map[string]bool           // the workflows that Temporal listed; nil at the second look
	toAsk   []orderstore.AuditedOrder // whose payments the provider is asked about
	found   []Violation
	result  Result
}

// note keeps a suspicion.
func (a *auditor) note(kind Kind, subject fmt.Stringer, format string, args ...any) {
	a.found = append(a.found, Violation{Kind: kind, Subject: subject.String(), Detail: fmt.Sprintf(format, args...)})
}

// listRunning keeps which workflows run, so that only the others are asked for one by one.
func (a *auditor) listRunning(ctx context.Context) error {
	if a.Workflows == nil {
		return nil
	}
	a.running = map[string]bool{}
	return a.Workflows.ListRunning(ctx, func(id string) {
		a.running[id] = true
		a.Progress("running workflows", len(a.running))
	})
}

// isRunning reports whether a workflow runs. If workflows are not checked, it says yes.
func (a *auditor) isRunning(ctx context.Context, workflow string) (bool, error) {
	if a.Workflows == nil || a.running[workflow] {
		return true, nil
	}
	return a.Workflows.WorkflowIsRunning(ctx, workflow)
}

// snapshot begins to read both databases as they are now.
func (a *auditor) snapshot(ctx context.Context) (end func(), err error) {
	if a.stock, err = a.Stock.AuditSnapshot(ctx); err != nil {
		return nil, err
	}
	if a.orders, err = a.Orders.AuditSnapshot(ctx); err != nil {
		a.stock.Close(ctx)
		return nil, err
	}
	return func() {
		a.orders.Close(ctx)
		a.stock.Close(ctx)
	}, nil
}

// lookAtAll returns every suspicion. It asks the provider after the snapshots have ended, because that may take long.
func (a *auditor) lookAtAll(ctx context.Context) ([]Violation, error) {
	if err := a.readAll(ctx); err != nil {
		return nil, err
	}
	err := a.askProvider(ctx)
	return a.found, err
}

func (a *auditor) readAll(ctx context.Context) error {
	end, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()

	a.result.Items, err = pages(ctx, a, "items", a.stock.ItemIDs, a.auditItems)
	if err != nil {
		return err
	}
	a.result.Reservations, err = pages(ctx, a, "reservations", a.stock.ReservationIDs, a.auditReservations)
	if err != nil {
		return err
	}
	a.result.Orders, err = pages(ctx, a, "orders", a.orders.OrderIDs, a.auditOrders)
	return err
}

// lookAgain looks at what the suspicions are about, and returns those that it has now.
func (a *auditor) lookAgain(ctx context.Context, suspicions []Violation) ([]Violation, error) {
	a.found, a.running = nil, nil
	var items []int64
	var reservations, orders []uuid.UUID
	for _, v := range suspicions {
		switch v.Kind {
		case LedgerMismatch, ReservedMismatch:
			var id int64
			if _, err := fmt.Sscan(v.Subject, &id); err != nil {
				return nil, fmt.Errorf("read the item %q: %w", v.Subject, err)
			}
			items = append(items, id)
		case ReservationLines, ReservationWithoutOwner, ReservationOverdue, ReservationNotRunning:
			reservations = append(reservations, uuid.MustParse(v.Subject))
		default:
			orders = append(orders, uuid.MustParse(v.Subject))
		}
	}

	if err := a.readAgain(ctx, items, reservations, orders); err != nil {
		return nil, err
	}
	err := a.askProvider(ctx)
	return a.found, err
}

func (a *auditor) readAgain(ctx context.Context, items []int64, reservations, orders []uuid.UUID) error {
	end, err := a.snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := parts(a, items, func(ids []int64) error { return a.auditItems(ctx, ids) }); err != nil {
		return err
	}
	if err := parts(a, reservations, func(ids []uuid.UUID) error { return a.auditReservations(ctx, ids) }); err != nil {
		return err
	}
	return parts(a, orders, func(ids []uuid.UUID) error { return a.auditOrders(ctx, ids) })
}

// parts calls do with a page of ids at a time, each id once.
func parts[ID int64 | uuid.UUID](a *auditor, ids []ID, do func([]ID) error) error {
	once := map[ID]bool{}
	ids = slices.DeleteFunc(ids, func(id ID) bool {
		seen := once[id]
		once[id] = true
		return seen
	})
	for page := range slices.Chunk(ids, a.Page) {
		if err := do(page); err != nil {
			return err
		}
	}
	return nil
}

// pages reads a table page by page, and returns how many rows it has.
func pages[ID int64 | uuid.UUID](
	ctx context.Context,
	a *auditor,
	step string,
	list func(ctx context.Context, after ID, size int) ([]ID, error),
	do func(context.Context, []ID) error,
) (int, error) {
	var last ID
	for done := 0; ; {
		ids, err := list(ctx, last, a.Page)
		if err != nil || len(ids) == 0 {
			return done, err
		}
		if err := do(ctx, ids); err != nil {
			return done, err
		}
		last = ids[len(ids)-1]
		done += len(ids)
		a.Progress(step, done)

		select {
		case <-ctx.Done():
			return done, ctx.Err()
		case <-time.After(a.Pause):
		}
	}
}
