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
		order.Pay:          "order_not_ready",
		order.Cancel:       "→ cancelled",
		order.Extend:       "order_not_ready",
		order.StockDelayed: "→ pending",
		order.StockHeld:    "→ reserved",
		order.StockRefused: "→ rejected",
		order.GaveUp:       "→ failed",
	},
	order.Pending: {
		order.Pay:          "order_not_ready",
		order.Cancel:       "→ cancelled",
		order.Extend:       "order_not_ready",
		order.StockHeld:    "→ reserved",
		order.StockRefused: "→ rejected",
		order.GaveUp:       "→ failed",
	},
	order.Reserved: {
		order.Pay:            "→ paying",
		order.Cancel:         "→ cancelled",
		order.Extend:         "→ reserved",
		order.DeadlinePassed: "→ expired",
		order.GaveUp:         "→ failed",
	},
	order.Paying: {
		order.Pay:              "payment_in_progress",
		order.Cancel:           "→ cancelled",
		order.Extend:           "payment_in_progress",
		order.DeadlinePassed:   "→ expired",
		order.PaymentCaptured:  "→ confirmed",
		order.PaymentDeclined:  "→ reserved",
		order.PaymentAbandoned: "→ reserved",
		order.GaveUp:           "→ failed",
	},
	order.Expired:   {order.Pay: "order_expired", order.Extend: "order_expired"},
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
				require.NotEmpty(t, rule.Event, "a transition has a name in the timeline")
			case rule.Impossible():
				got = ""
			}

			require.Equal(t, want, got, "%s × %s", s, i)
			tested++
		}
	}
	require.Equal(t, 14*11, tested)
}

// TestClosedStatesAreLeftByNothing: the table has no transition from a closed state.
func TestClosedStatesAreLeftByNothing(t *testing.T) {
	t.Parallel()
	for _, tr := range order.Transitions() {
		require.False(t, tr.From.Closed(), "%s", tr)
	}
}

// TestPageIsCurrent fails if the table has changed and the page in docs has not.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/architecture/order-states.md")
	require.NoError(t, err)
	require.Equal(t, order.Page(), string(raw), "run make generate")
}

// TestEventsAreComplete: Events and States list every constant in the source. Other tests use these lists and would not
// notice a missing constant.
func TestEventsAreComplete(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{
		"transition.go": len(order.Events()),
		"state.go":      len(order.States()) + 1, // States does not list New
	} {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		declared := regexp.MustCompile(`(?m)^\t\w+ +(Event|State) += "`).FindAllString(string(raw), -1)
		require.Len(t, declared, want, file)
	}
}
