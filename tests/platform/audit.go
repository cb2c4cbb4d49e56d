package platform

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/internal/order"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/eventcheck"
	"holdfast/workflows/orderflow"
)

// settled is how long the workflows may take to end after the last request: a killed worker costs the
// time-out of a workflow task, and retries pause for up to ten seconds.
const settled = 90 * time.Second

// audited is an order as the databases of orders, inventory and the payment provider have it.
type audited struct {
	ID       uuid.UUID
	State    string
	Seq      int64
	Total    int64
	Shipping int64 // a part of Total
	Ordered  int64 // units
	timeline []entry
	held     []reservation
	charges  []charge
	shipped  []shippedLine
}

// shippedLine is one line of a paid order with what its shipments have of it.
type shippedLine struct {
	OrderID         uuid.UUID
	Total, Quantity int64
	Brought         int64 // units that have come to the customer, or still will
	Kept            int64 // units that have left the stock for good
	Granted         int64 // for units that came back
	Arrived         int64 // of the units that came back
}

// given is what the customer gets back: the price of the units that no shipment brings, rounded half up, and what was
// granted for those that came back.
func (l shippedLine) given() int64 {
	return min(l.Total, (l.Total*(l.Quantity-l.Brought)+l.Quantity/2)/l.Quantity+l.Granted)
}

type entry struct {
	OrderID     uuid.UUID
	Seq         int64
	From, To    string
	Event       string
	HasActor    bool
	HasMoment   bool
	NextIsThere bool
}

type reservation struct {
	OwnerID            uuid.UUID
	Status             string
	Quantity, Returned int64
}

// outside is a reservation without an order.
type outside struct{ ID uuid.UUID }

type charge struct {
	Key                string
	State              string
	Captured, Refunded int64
}

// Audit waits until every order's workflow has ended, or waits for the warehouse with nothing under way. Then it
// compares the books of orders, inventory and the payment provider:
//   - every order is in an end state or waits for the warehouse, and its timeline explains that state;
//   - counters = ledger = reservations, and no reservation is pending, of an order or from outside;
//   - money is taken once for each paid order, and for no other; no money is left set aside; the price of units that
//     no shipment brings, what was granted for returns, and the price of the shipment if the customer has nothing, is
//     refunded, to the cent;
//   - stock has left for each paid order and for no other; the stock of cancelled and restocked units is back;
//   - every reservation of an order and every payment has its order;
//   - every event matches its schema.
//
// It returns how many orders are in each state.
func (p *Platform) Audit() map[order.State]int {
	p.T.Helper()
	orders := p.books()
	p.awaitWorkflows(orders)
	orders = p.books()
	count := map[order.State]int{}
	for _, o := range orders {
		count[order.State(o.State)]++
		p.auditTimeline(o)
		p.auditBooks(o)
	}
	pending := query[outside](p, p.Stock, "SELECT reservation_id AS id FROM reservations WHERE status = 'pending'")
	require.Empty(p.T, pending, "stock is left held")
	inventorytest.RequireConsistent(p.T, p.Stock)
	eventcheck.RequireValid(p.T, p.Orders, "orders")
	eventcheck.RequireValid(p.T, p.Stock, "inventory")
	return count
}

func (p *Platform) awaitWorkflows(orders map[uuid.UUID]*audited) {
	ctx, cancel := context.WithTimeout(p.T.Context(), settled)
	defer cancel()
	for id := range orders {
		p.AwaitIdle(id)
	}
	p.WithTemporal(func(c client.Client) {
		for _, r := range query[outside](p, p.Orders, "SELECT reservation_id AS id FROM customer_reservations") {
			err := c.GetWorkflow(ctx, orderflow.ReservationWorkflowID(r.ID), "").Get(ctx, nil)
			var gone *serviceerror.NotFound
			if errors.As(err, &gone) {
				continue // an operator has deleted the workflow; Audit looks for stock that is left held
			}
			require.NoError(p.T, err, "the workflow of reservation %s does not end", r.ID)
		}
	})
}

// AwaitIdle waits until the workflow of an order has ended, or waits for the warehouse with nothing under way. It
// returns the order's state as the workflow knows it, or "" if an operator has deleted the workflow.
func (p *Platform) AwaitIdle(id uuid.UUID) order.State {
	p.T.Helper()
	return p.follow(id, func(w workflowNow) bool { return w.resting }).state
}

// AwaitTurn is AwaitIdle, but it also returns if the workflow waits for the customer: nothing is under way, and no
// deadline comes soon. It reports whether the workflow is at rest.
func (p *Platform) AwaitTurn(id uuid.UUID) (state order.State, resting bool) {
	p.T.Helper()
	quiet, events := 0, int64(0)
	now := p.follow(id, func(w workflowNow) bool {
		if quiet++; w.busy || w.events != events || w.deadline != nil && time.Until(*w.deadline) < time.Minute {
			quiet = 0
		}
		events = w.events
		return w.resting || quiet == 10
	})
	return now.state, now.resting
}

// workflowNow is what a look at the workflow of an order shows.
type workflowNow struct {
	state    order.State
	resting  bool // it has ended, or waits for the warehouse with nothing under way
	busy     bool // an activity or a workflow task is under way
	events   int64
	deadline *time.Time // of the order, if the workflow is open
}

// follow looks at an order's workflow twenty times a second until it is as wanted.
func (p *Platform) follow(id uuid.UUID, wanted func(workflowNow) bool) (now workflowNow) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.T.Context(), settled)
	defer cancel()
	p.WithTemporal(func(c client.Client) {
		for {
			if now = look(ctx, c, orderflow.OrderWorkflowID(id)); wanted(now) {
				return
			}
			select {
			case <-ctx.Done():
				require.Fail(p.T, "the workflow does not come to rest", "order %s: %+v", id, now)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return now
}

func look(ctx context.Context, c client.Client, workflow string) workflowNow {
	described, err := c.DescribeWorkflowExecution(ctx, workflow, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return workflowNow{resting: true}
	}
	switch info := described.GetWorkflowExecutionInfo(); info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		var result orderflow.OrderResult
		err := c.GetWorkflow(ctx, workflow, "").Get(ctx, &result)
		return workflowNow{state: result.State, resting: err == nil, busy: true}
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		var view orderflow.View
		answer, err := c.QueryWorkflow(ctx, workflow, "", orderflow.QueryState)
		known := err == nil && answer.Get(&view) == nil
		return workflowNow{
			state:    view.State,
			resting:  known && view.Idle,
			busy:     !known || described.GetPendingWorkflowTask() != nil || len(described.GetPendingActivities()) > 0,
			events:   info.GetHistoryLength(),
			deadline: view.ExpiresAt,
		}
	default:
		return workflowNow{busy: true}
	}
}

// books reads the three databases.
func (p *Platform) books() map[uuid.UUID]*audited {
	p.T.Helper()
	ctx := p.T.Context()
	out := map[uuid.UUID]*audited{}
	for _, o := range query[audited](p, p.Orders, `
		SELECT order_id AS id, state, seq, total_minor AS total, shipping_minor AS shipping,
			coalesce(sum(quantity), 0)::bigint AS ordered
		FROM orders
		LEFT JOIN order_lines USING (order_id)
		GROUP BY order_id`) {
		out[o.ID] = &o
	}

	for _, e := range query[entry](p, p.Orders, `
		SELECT order_id, seq, from_state AS "from", state AS "to", event, actor <> '' AS has_actor,
			at > 'epoch' AS has_moment, next_deadline IS NOT NULL AS next_is_there
		FROM order_timeline
		ORDER BY order_id, seq`) {
		out[e.OrderID].timeline = append(out[e.OrderID].timeline, e)
	}

	for _, l := range query[shippedLine](p, p.Orders, `
		SELECT l.order_id, l.line_total_minor AS total, l.quantity,
			sum(s.rerouting + CASE WHEN h.status = 'lost' THEN 0 ELSE s.quantity END)::bigint AS brought,
			sum(s.quantity + s.short - s.restocked)::bigint AS kept,
			coalesce((
				SELECT sum(r.refund_minor) FROM return_lines r WHERE r.order_id = l.order_id AND r.line_no = l.line_no
			), 0)::bigint AS granted,
			coalesce((
				SELECT sum(r.restocked + r.damaged) FROM return_lines r
				WHERE r.order_id = l.order_id AND r.line_no = l.line_no
			), 0)::bigint AS arrived
		FROM order_lines l
		JOIN shipment_lines s USING (order_id, line_no)
		JOIN shipments h USING (order_id, number)
		GROUP BY l.order_id, l.line_no`) {
		out[l.OrderID].shipped = append(out[l.OrderID].shipped, l)
	}

	for _, r := range query[reservation](p, p.Stock, `
		SELECT owner_id, status, coalesce(sum(l.quantity), 0)::bigint AS quantity,
			coalesce(sum(l.returned), 0)::bigint AS returned
		FROM reservations r
		LEFT JOIN reservation_lines l USING (reservation_id)
		WHERE owner_kind = 'order'
		GROUP BY reservation_id`) {
		o := out[r.OwnerID]
		require.NotNil(p.T, o, "a reservation (%s) of order %s, which is not recorded", r.Status, r.OwnerID)
		o.held = append(o.held, r)
	}

	provider, err := pgx.Connect(ctx, p.env["SANDBOX_DATABASE_URL"])
	require.NoError(p.T, err)
	defer func() { require.NoError(p.T, provider.Close(ctx)) }()
	for _, c := range query[charge](p, provider, `
		SELECT payment_key AS key, state, captured_minor AS captured, refunded_minor AS refunded FROM charges`) {
		id, err := uuid.Parse(c.Key[:strings.LastIndex(c.Key, "-")])
		require.NoError(p.T, err)
		o := out[id]
		require.NotNil(p.T, o, "a payment (%s) of order %s, which is not recorded", c.State, id)
		o.charges = append(o.charges, c)
	}
	return out
}

func query[T any](p *Platform, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, sql string,
) []T {
	p.T.Helper()
	rows, err := db.Query(p.T.Context(), sql)
	require.NoError(p.T, err)
	out, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[T])
	require.NoError(p.T, err)
	return out
}

// auditTimeline follows an order from entry to entry to the state that its row has.
func (p *Platform) auditTimeline(o *audited) {
	p.T.Helper()
	state := order.New
	for i, e := range o.timeline {
		require.EqualValues(p.T, i, e.Seq, "order %s: entries are numbered without a gap", o.ID)
		require.Equal(p.T, string(state), e.From, "order %s, entry %d", o.ID, e.Seq)
		require.True(p.T, e.HasActor && e.HasMoment, "order %s, entry %d", o.ID, e.Seq)
		to := order.State(e.To)
		require.Equal(p.T, to.Holding() || to == order.Backordered, e.NextIsThere,
			"order %s, entry %d (%s): a deadline while stock is held or waited for, and only then", o.ID, e.Seq, e.Event)
		state = order.State(e.To)
	}
	require.Equal(p.T, o.State, string(state), "order %s: the timeline explains the state", o.ID)
	require.Len(p.T, o.timeline, int(o.Seq)+1, "order %s", o.ID)
}

func (p *Platform) auditBooks(o *audited) {
	p.T.Helper()
	var captures, captured, taken int64
	for _, c := range o.charges {
		require.NotEqual(p.T, "authorised", c.State, "order %s is %s: money is left set aside", o.ID, o.State)
		if c.State == "captured" {
			captures++
			captured += c.Captured - c.Refunded
		}
	}

	for _, r := range o.held {
		require.NotEqual(p.T, "pending", r.Status, "order %s is %s: stock is left held", o.ID, o.State)
		if r.Status == "confirmed" {
			taken += r.Quantity - r.Returned
		}
	}

	if len(o.shipped) > 0 {
		owed, kept, with := o.Total, int64(0), int64(0)
		for _, l := range o.shipped {
			owed -= l.given()
			kept += l.Kept
			with += l.Brought - l.Arrived
		}
		if with == 0 { // the customer has none of the units
			owed -= o.Shipping
		}
		require.EqualValues(p.T, 1, captures, "order %s: money is taken once", o.ID)
		require.Equal(p.T, owed, captured, "order %s is %s: the customer has paid what comes", o.ID, o.State)
		require.Equal(p.T, kept, taken, "order %s is %s: the stock that was paid has left", o.ID, o.State)
		return
	}
	switch order.State(o.State) {
	case order.Confirmed: // by a version that plans no shipments
		require.EqualValues(p.T, 1, captures, "order %s: money is taken once", o.ID)
		require.Equal(p.T, o.Total, captured, "order %s: money is taken in full", o.ID)
		require.Equal(p.T, o.Ordered, taken, "order %s: the stock that was paid has left", o.ID)
	case order.Rejected, order.Expired, order.Cancelled, order.Failed:
		require.Zero(p.T, captured, "order %s is %s: the customer is not charged", o.ID, o.State)
		require.Zero(p.T, taken, "order %s is %s: no stock has left", o.ID, o.State)
	default:
		require.Fail(p.T, "an order that has ended is in no end state", "order %s is %s", o.ID, o.State)
	}
}

// Count counts in the orders database.
func (p *Platform) Count(query string, args ...any) (n int) {
	p.T.Helper()
	require.NoError(p.T, p.Orders.QueryRow(p.T.Context(), query, args...).Scan(&n))
	return n
}
