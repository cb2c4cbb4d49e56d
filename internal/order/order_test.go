package order_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
)

// cells repeats the table of package order: what each input does in each state. Cells that are not listed here have
// the default; the test checks them too.
var cells = map[order.State]map[order.Input]string{
	order.New: {
		order.Create:       "→ pending",
		order.Pay:          "order_not_ready",
		order.Cancel:       "→ cancelled",
		order.Extend:       "order_not_ready",
		order.Edit:         "order_not_ready",
		order.StockDelayed: "→ pending",
		order.StockHeld:    "→ reserved",
		order.StockRefused: "→ rejected",
		order.GaveUp:       "→ failed",
	},
	order.Pending: {
		order.Pay:            "order_not_ready",
		order.Cancel:         "→ cancelled",
		order.Extend:         "order_not_ready",
		order.Edit:           "order_not_ready",
		order.CancelLines:    "order_not_ready",
		order.Hold:           "order_not_ready",
		order.Unhold:         "order_not_ready",
		order.Approve:        "order_not_ready",
		order.Pick:           "order_not_ready",
		order.Carry:          "order_not_ready",
		order.Return:         "order_not_ready",
		order.DeadlinePassed: "→ expired",
		order.StockDelayed:   "→ pending",
		order.StockHeld:      "→ reserved",
		order.StockAwaited:   "→ backordered",
		order.ReviewNeeded:   "→ in_review",
		order.StockRefused:   "→ rejected",
		order.GaveUp:         "→ failed",
	},
	order.Backordered: {
		order.Pay:            "order_backordered",
		order.Cancel:         "→ cancelled",
		order.Extend:         "order_backordered",
		order.Edit:           "order_backordered",
		order.DeadlinePassed: "→ expired",
		order.StockHeld:      "→ reserved",
		order.ReviewNeeded:   "→ in_review",
		order.GaveUp:         "→ failed",
	},
	order.InReview: {
		order.Pay:            "order_in_review",
		order.Cancel:         "→ cancelled",
		order.Extend:         "order_in_review",
		order.Edit:           "order_in_review",
		order.Approve:        "→ reserved",
		order.DeadlinePassed: "→ expired",
		order.GaveUp:         "→ failed",
	},
	order.Reserved: {
		order.Pay:            "→ paying",
		order.Cancel:         "→ cancelled",
		order.Extend:         "→ reserved",
		order.Edit:           "→ reserved",
		order.DeadlinePassed: "→ expired",
		order.GaveUp:         "→ failed",
	},
	order.Paying: {
		order.Pay:              "payment_in_progress",
		order.Cancel:           "→ cancelled",
		order.Extend:           "payment_in_progress",
		order.Edit:             "payment_in_progress",
		order.DeadlinePassed:   "→ expired",
		order.PaymentCaptured:  "→ confirmed",
		order.PaymentDeclined:  "→ reserved",
		order.PaymentAbandoned: "→ reserved",
		order.GaveUp:           "→ failed",
	},
	order.Confirmed: {
		order.Cancel:      "→ cancelled",
		order.CancelLines: "→ confirmed",
		order.Hold:        "→ confirmed",
		order.Unhold:      "→ confirmed",
		order.Pick:        "→ fulfilling",
	},
	order.Fulfilling: {
		order.Cancel:        "→ cancelled",
		order.CancelLines:   "→ fulfilling",
		order.Hold:          "→ fulfilling",
		order.Unhold:        "→ fulfilling",
		order.Pick:          "→ fulfilling",
		order.Carry:         "→ fulfilling",
		order.Return:        "→ fulfilling",
		order.ReturnOverdue: "→ fulfilling",
		order.AllDelivered:  "→ completed",
		order.NoneDelivered: "→ refunded",
	},
	order.Completed: {
		order.Return:        "→ completed",
		order.ReturnOverdue: "→ completed",
		order.AllReturned:   "→ refunded",
	},
	order.Expired:   {order.Pay: "order_expired", order.Extend: "order_expired", order.Edit: "order_expired"},
	order.Cancelled: {order.Cancel: "="},
}

func TestEveryCell(t *testing.T) {
	t.Parallel()
	tested := 0
	for _, s := range append([]order.State{order.New}, order.States()...) {
		for _, i := range order.Inputs() {
			want, listed := cells[s][i]
			if !listed && i.IsRequest() {
				want = "invalid_state"
			}

			rule := order.Decide(s, i)
			got := string(rule.Refusal)
			switch {
			case rule.Repeated:
				got = "="
			case rule.To != "":
				got = "→ " + string(rule.To)
				named := i == order.Pick || i == order.Carry || i == order.Return // the request names what happened
				require.Equal(t, named, rule.Event == "", "a transition has a name in the timeline")
			case rule.Impossible():
				got = ""
			}

			require.Equal(t, want, got, "%s × %s", s, i)
			tested++
		}
	}
	require.Equal(t, 14*26, tested)
}

// TestClosedStatesStayClosed: an order leaves a closed state only when all of it is returned, and is closed then too.
func TestClosedStatesStayClosed(t *testing.T) {
	t.Parallel()
	for _, tr := range order.Transitions() {
		if tr.From.Closed() {
			require.Equal(t, order.Transition{From: order.Completed, To: order.Refunded}, tr)
		}
	}
}

// TestPageIsCurrent fails if the table has changed and the page in docs has not.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/architecture/order-states.md")
	require.NoError(t, err)
	require.Equal(t, order.Page(), string(raw), "run make generate")
}

var constant = regexp.MustCompile(`(?m)^\t\w+ +(?:Event|State|Input) += "(\w*)"`)

// TestListsAreComplete: Events, States and Inputs list every constant in the source once. Other tests use these lists
// and would not notice a missing constant.
func TestListsAreComplete(t *testing.T) {
	t.Parallel()
	for file, list := range map[string][]string{
		"event.go":      texts(order.Events()),
		"state.go":      texts(append(order.States(), order.New)), // States does not list New
		"transition.go": texts(order.Inputs()),
	} {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var declared []string
		for _, m := range constant.FindAllStringSubmatch(string(raw), -1) {
			declared = append(declared, m[1])
		}
		require.NotEmpty(t, declared, file)
		require.ElementsMatch(t, declared, list, file)
	}
	require.NotContains(t, order.Page(), "`: .\n", "an input has no meaning")
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = string(one)
	}
	return out
}

// TestEventsKeepTheirDecisions names the events that other services receive, and the events that the workflow records
// before its task is in the history. Consumers and the histories of open orders rely on both.
func TestEventsKeepTheirDecisions(t *testing.T) {
	t.Parallel()
	published := map[order.Event]string{}
	var repeatable []order.Event
	for _, e := range order.Events() {
		if name := e.PublishedAs(); name != "" {
			published[e] = name
		}
		if e.Repeatable() {
			repeatable = append(repeatable, e)
		}
	}
	require.Equal(t, map[order.Event]string{
		order.EventCreated:         "created",
		order.EventReserved:        "reserved",
		order.EventRejected:        "rejected",
		order.EventLinesChanged:    "lines_changed",
		order.EventPaid:            "paid",
		order.EventConfirmed:       "confirmed",
		order.EventExpired:         "expired",
		order.EventCancelled:       "cancelled",
		order.EventFailed:          "failed",
		order.EventPaymentRefunded: "refunded",
		order.EventInReview:        "in_review",
		order.EventBackordered:     "backordered",
		order.EventShipped:         "shipped",
		order.EventCompleted:       "completed",
	}, published)
	require.ElementsMatch(t, []order.Event{
		order.EventReserved,
		order.EventPaymentStarted,
		order.EventPaymentDeclined,
		order.EventPaymentAbandoned,
		order.EventPaid,
		order.EventConfirmed,
		order.EventPacked,
		order.EventDelivered,
		order.EventHeld,
		order.EventUnheld,
	}, repeatable)
}
