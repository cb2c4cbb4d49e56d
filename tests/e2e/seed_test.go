package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/seed"
	"holdfast/tests/platform"
)

// TestSeedAndSync uses the commands as an operator does, on a platform of its own, because a reset wipes it.
func TestSeedAndSync(t *testing.T) {
	p := platform.Start(t)
	run := func(ok bool, args ...string) (string, string) {
		t.Helper()
		out, errs, err := p.Run(args)
		require.Equal(t, ok, err == nil, "%v: %s%s", args, out, errs)
		return out, errs
	}

	// Without Temporal the seeder leaves the reservations out. That is a failure only if they are required.
	out, errs, err := p.Run([]string{"seed", "--dataset", "demo"}, "TEMPORAL_ADDRESS", "")
	require.NoError(t, err, errs)
	require.Contains(t, out, "11 new, 0 existing")
	require.Contains(t, out, "0 made, 0 existing, 0 refused, 24 left out")
	require.Contains(t, out, "TEMPORAL_ADDRESS is not set")
	require.Contains(t, errs, "products: 11 of 11")
	_, errs, err = p.Run([]string{"seed", "--dataset", "demo", "--reservations", "required"},
		"TEMPORAL_ADDRESS", "127.0.0.1:1")
	require.Error(t, err)
	require.Contains(t, errs, "connect to Temporal")

	out, errs = run(true, "seed", "--dataset", "demo", "--reservations", "required")
	require.Contains(t, out, "0 new, 11 existing")
	require.Contains(t, out, "0 units received")
	require.Contains(t, out, "24 made, 0 existing, 0 refused, 0 left out")
	require.Contains(t, errs, "reservations: 24 of 24")
	out, _ = run(true, "seed", "--dataset", "demo")
	require.Contains(t, out, "0 made, 24 existing")

	// They are like any other reservation: an operator reads and releases one, and its workflow gives the stock back.
	var id string
	require.NoError(t, p.Orders.QueryRow(t.Context(),
		"SELECT reservation_id::text FROM customer_reservations ORDER BY 1 LIMIT 1").Scan(&id))
	a := p.Do(platform.Operator, http.MethodDelete, "/api/inventory/reserve/"+id, nil)
	require.Contains(t, []int{http.StatusOK, http.StatusGone}, a.Status, a.Raw) // gone if it has expired
	require.Equal(t, http.StatusNotFound, p.Do("alice", http.MethodGet, "/api/inventory/reserve/"+id, nil).Status)

	// A reset asks for confirmation, refuses to delete data that is not example data, and then fills the tables again.
	_, errs = run(false, "seed", "--dataset", "test", "--reset")
	require.Contains(t, errs, "--yes")
	p.Place("alice", http.StatusCreated, platform.OneLine(seed.ProductID("DEMO-THOUSAND"), 1))
	_, errs = run(false, "seed", "--dataset", "test", "--reset", "--yes")
	require.Contains(t, errs, "1 orders")
	require.Contains(t, errs, "--force")
	out, _ = run(true, "seed", "--dataset", "test", "--reset", "--yes", "--force")
	require.Contains(t, out, "20 new, 0 existing")
	available, reserved, total := p.Available(seed.ProductID("TEST-06"))
	require.Equal(t, []int64{100, 0, 100}, []int64{available, reserved, total})
	placed := p.Place("alice", http.StatusCreated,
		platform.OneLine(seed.ProductID("TEST-06"), 2, "payment_method", "pm_ok"))
	p.Await("alice", placed.Str("order_id"), "confirmed", 10*time.Second)

	_, errs = run(false, "seed", "--dataset", "prod")
	require.Contains(t, errs, "demo, dev, test")
	_, errs = run(false, "seed", "--reservations", "perhaps")
	require.Contains(t, errs, "off, auto or required")

	created := p.Do(platform.Operator, http.MethodPost, "/api/products",
		`{"sku":"SYNCED","name":"Synced","prices":[{"amount_minor":1,"currency":"EUR"}]}`)
	require.Equal(t, http.StatusCreated, created.Status, created.Raw)
	out, _ = run(true, "sync", "--dry-run", "--default-quantity", "12")
	require.Contains(t, out, "dry run")
	require.Contains(t, out, "new       1, with 12 units")
	out, errs = run(true, "sync", "--default-quantity", "12")
	require.Contains(t, out, "new       1, with 12 units each at main\nexisting  20")
	require.Contains(t, errs, "products: 21")
	out, _ = run(true, "sync")
	require.Contains(t, out, "new       0")
	for _, c := range []struct {
		flags []string
		want  string
	}{{nil, "with 7 units each"}, {[]string{"--default-quantity", "3"}, "with 3 units each"}} {
		out, errs, err := p.Run(append([]string{"sync", "--dry-run"}, c.flags...), "SYNC_DEFAULT_QUANTITY", "7")
		require.NoError(t, err, errs)
		require.Contains(t, out, c.want, "a flag comes before the variable")
	}
	_, errs = run(false, "sync", "--location", "moon")
	require.Contains(t, errs, `no location "moon"`)
	_, errs, err = p.Run([]string{"sync"},
		"INVENTORY_DATABASE_URL", "postgres://nobody@127.0.0.1:1/x",
		"ORDERS_DATABASE_URL", "postgres://nobody@127.0.0.1:1/y")
	require.Error(t, err)
	require.Contains(t, errs, "the orders database: nothing answers at ")
	require.Contains(t, errs, "the inventory database: nothing answers at ")
}
