package stockwatch

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestWatch: the lowest items have a gauge each and no more than Lowest, and overdue reservations are counted. When the
// database does not answer, no gauge shows the old value.
func TestWatch(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
	proxied, _ := inventorytest.NewProxiedPool(t, url)
	reg := prometheus.NewRegistry()
	w := New(proxied, slog.New(slog.DiscardHandler), reg)

	plenty := s.Stock(t, 1000)
	low := s.Stock(t, 2)
	held := inventorytest.NewReserve(inventorytest.Line(plenty, 1))
	_, err := s.API.Reserve(t.Context(), held)
	require.NoError(t, err)
	s.Age(t, held.ReservationID)
	require.NoError(t, w.ask(t.Context()))

	require.NoError(t, testutil.CollectAndCompare(w.level, strings.NewReader(fmt.Sprintf(`
# HELP inventory_stock_level Available units of the 20 lowest items that are at or below their threshold.
# TYPE inventory_stock_level gauge
inventory_stock_level{location="near",product_id="%s"} 2
`, low))))
	require.InDelta(t, 1, testutil.ToFloat64(w.overdue), 0)
	require.Positive(t, testutil.ToFloat64(w.longest))

	for range Lowest {
		s.Stock(t, 1)
	}
	require.NoError(t, w.ask(t.Context()))
	require.Equal(t, Lowest, testutil.CollectAndCount(w.level), "the number of series is bounded")
	require.NotContains(t, gathered(t, reg), low.String(), "twenty others have less")

	proxied.Close()
	require.Error(t, w.ask(t.Context()))
	require.NotContains(t, gathered(t, reg), "inventory_")
}

// gathered returns the names and labels of all series.
func gathered(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	found, err := reg.Gather()
	require.NoError(t, err)
	var out strings.Builder
	for _, f := range found {
		out.WriteString(f.String() + "\n")
	}
	return out.String()
}
