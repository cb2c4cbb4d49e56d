package inventory_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/correlation"
	"holdfast/internal/events"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestTwoWriters: 20 callers read the same version and write at once, in process and over HTTP, with the version in the
// header or in the body. One succeeds, every other caller gets a refusal, and no update is lost.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	over, _ := inventorytest.NewServer(t)
	for _, c := range []struct {
		name string
		s    inventorytest.Subject
	}{
		{"service", inventorytest.NewService(t)},
		{"http", over},
	} {
		for _, byHeader := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", c.name, byHeader), func(t *testing.T) {
				t.Parallel()
				p := c.s.Stock(t, 100)
				read, err := c.s.API.Availability(t.Context(), p, 1)
				require.NoError(t, err)
				require.EqualValues(t, 1, read.Version)
				refusal := inventoryapi.VersionConflict
				if byHeader {
					refusal = inventoryapi.PreconditionFailed
				}

				var outcomes inventorytest.Tally
				inventorytest.Together(20, func(i int) {
					in := inventoryapi.AdjustRequest{Location: "near", Quantity: new(int64(50 + i)), Reason: "count"}
					o := inventorytest.By
					if byHeader {
						o.IfMatch = inventoryapi.ETag(read.Version)
					} else {
						in.ExpectedVersion = &read.Version
					}
					_, err := c.s.API.(inventoryapi.Administration).AdjustStock(t.Context(), p, in, o)
					outcomes.Add(err)
				})

				require.Equal(t, map[inventoryapi.Code]int{"": 1, refusal: 19}, outcomes.Counts())
				inventorytest.RequireConsistent(t, c.s.Pool)
			})
		}
	}
}

// TestTransfersAgainstReservations moves stock to and fro while other callers reserve and release it: nothing is lost,
// nothing is oversold, and no two requests wait for each other.
func TestTransfersAgainstReservations(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	admin := s.API.(inventoryapi.Administration)
	p := s.Stock(t, 5, 5)

	var outcomes inventorytest.Tally
	inventorytest.Together(24, func(i int) {
		for n := range 5 {
			switch i % 3 {
			case 0:
				from, to := "near", "far"
				if (i+n)%2 == 0 {
					from, to = to, from
				}
				move := inventoryapi.TransferRequest{From: from, To: to, Quantity: 2, Reason: "r"}
				_, err := admin.TransferStock(t.Context(), p, move, inventorytest.By)
				outcomes.Add(err)
			case 1:
				in := inventorytest.NewReserve(inventorytest.Line(p, 2))
				_, err := s.API.Reserve(t.Context(), in)
				outcomes.Add(err)
				if err == nil {
					_, err = s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
					outcomes.Add(err)
				}
			default:
				threshold := inventoryapi.ThresholdRequest{LowStockThreshold: new(int64(i + n))}
				_, err := admin.SetThreshold(t.Context(), p, threshold, inventorytest.By)
				outcomes.Add(err)
			}
		}
	})

	for code := range outcomes.Counts() {
		require.Contains(t, []inventoryapi.Code{"", inventoryapi.InsufficientStock}, code)
	}
	available, reserved := s.Available(t, p)
	require.EqualValues(t, 10, available)
	require.Zero(t, reserved)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestDeleteAgainstReserve: one caller deletes an item while another reserves its last unit. The item ends deleted or
// reserved, never both.
func TestDeleteAgainstReserve(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	admin := s.API.(inventoryapi.Administration)
	for range 20 {
		p := s.Stock(t, 1)
		var mu sync.Mutex
		ok := 0
		inventorytest.Together(2, func(i int) {
			var err error
			if i == 0 {
				in := inventoryapi.DeleteItemRequest{Reason: "r"}
				_, err = admin.DeleteItem(t.Context(), p, "near", in, inventorytest.By)
			} else {
				_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				ok++
				return
			}
			code := inventoryapi.CodeOf(err)
			if code != inventoryapi.InsufficientStock && code != inventoryapi.ProductNotFound {
				t.Errorf("unexpected: %v", err)
			}
		})
		require.Equal(t, 1, ok)
	}
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestSameOperationAtOnce: callers send the same adjustment and the same transfer many times at once. Each acts once.
func TestSameOperationAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	admin := s.API.(inventoryapi.Administration)
	p := s.Stock(t, 10)
	in := inventoryapi.AdjustRequest{
		OperationID: uuid.New(),
		Location:    "near",
		Delta:       new(int64(-3)),
		Reason:      "broken",
	}
	move := inventoryapi.TransferRequest{
		OperationID: uuid.New(),
		From:        "near",
		To:          "far",
		Quantity:    2,
		Reason:      "r",
	}

	var outcomes inventorytest.Tally
	inventorytest.Together(20, func(i int) {
		var err error
		if i%2 == 0 {
			_, err = admin.AdjustStock(t.Context(), p, in, inventorytest.By)
		} else {
			_, err = admin.TransferStock(t.Context(), p, move, inventorytest.By)
		}
		outcomes.Add(err)
	})

	require.Equal(t, map[inventoryapi.Code]int{"": 20}, outcomes.Counts())
	got, err := s.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.EqualValues(t, 5, got.Locations[0].Quantity)
	require.EqualValues(t, 2, got.Locations[1].Quantity)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestItemEvents: changes of items by an operator cause events, and so does an item that becomes low and out of stock.
func TestItemEvents(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	admin := s.API.(inventoryapi.Administration)
	ctx := correlation.With(t.Context(), "corr-2")
	p := s.Stock(t, 15)

	move := inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 3, Reason: "rebalance"}
	_, err := admin.TransferStock(ctx, p, move, inventorytest.By)
	require.NoError(t, err)
	adjust := inventoryapi.AdjustRequest{Location: "near", Delta: new(int64(-1)), Reason: "broken"}
	_, err = admin.AdjustStock(ctx, p, adjust, inventorytest.By)
	require.NoError(t, err)
	_, err = s.API.Reserve(ctx, inventorytest.NewReserve(inventorytest.Line(p, 11)))
	require.NoError(t, err)

	rows, err := s.Pool.Query(ctx, `
		SELECT event_type, aggregate_version, payload, headers FROM outbox
		WHERE aggregate_type = 'item' ORDER BY event_id`)
	require.NoError(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var eventType string
		var version int64
		var payload, raw []byte
		require.NoError(t, rows.Scan(&eventType, &version, &payload, &raw))
		require.NotContains(t, string(payload), inventorytest.Actor, "events carry no actor")

		var headers events.Headers
		require.NoError(t, json.Unmarshal(raw, &headers))
		var data inventoryapi.AdjustedEvent
		require.NoError(t, json.Unmarshal(payload, &data))
		require.Equal(t, p, data.ProductID)
		require.Equal(t, version, data.Stock.Version)
		kind := strings.TrimPrefix(eventType, "inventory.")
		got = append(got, fmt.Sprintf("%s %s %d %d", kind, data.Location, data.Quantity, data.Stock.Available))
		if eventType == inventoryapi.EventAdjusted {
			require.Equal(t, "corr-2", headers.CorrelationID)
			require.NotContains(t, string(payload), "broken", "events carry no words of a person")
		}
	}
	require.NoError(t, rows.Err())
	require.ElementsMatch(t, []string{
		"restocked near 15 15",
		"transferred near -3 12",
		"transferred far 3 3",
		"adjusted near -1 11",
		"depleted near 0 0",
		"low_stock near 0 0",
	}, got)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestETag: a product's entity tag is its version, and a write with If-Match acts only on that version.
func TestETag(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	p := s.Stock(t, 4, 4)
	send := func(method, path, body, ifMatch string) *http.Response {
		t.Helper()
		url := base + "/api/inventory/" + p.String() + path
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		authtest.Authorize(t, req.Header, servicetoken.Inventory, "olga", auth.Operator)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Actor", "olga")
		if ifMatch != "" {
			req.Header.Set("If-Match", ifMatch)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res
	}

	tag := send(http.MethodGet, "", "", "").Header.Get("ETag")
	require.Equal(t, `"2"`, tag)

	adjust := `{"location":"near","delta":-1,"reason":"broken"}`
	res := send(http.MethodPost, "/adjust", adjust, tag)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, `"3"`, res.Header.Get("ETag"))
	require.Equal(t, http.StatusPreconditionFailed, send(http.MethodPost, "/adjust", adjust, tag).StatusCode)
	require.Equal(t, http.StatusBadRequest, send(http.MethodPost, "/adjust", adjust, "3").StatusCode)
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/adjust", adjust, "*").StatusCode)
	require.Equal(t, http.StatusOK, send(http.MethodPut, "/locations/near", "", "").StatusCode)

	tooMuch := `{"location":"near","delta":-99,"reason":"r"}`
	require.Equal(t, http.StatusUnprocessableEntity, send(http.MethodPost, "/adjust", tooMuch, "").StatusCode)
	oldVersion := `{"location":"near","delta":-1,"reason":"r","expected_version":2}`
	require.Equal(t, http.StatusConflict, send(http.MethodPost, "/adjust", oldVersion, "").StatusCode)
	require.Equal(t, http.StatusBadRequest, send(http.MethodPut, "/locations/%00", "", "").StatusCode)
	require.Equal(t, http.StatusBadRequest, send(http.MethodDelete, "/locations/%ff", `{"reason":"r"}`, "").StatusCode)
}

// TestAdministrationGuards: the database refuses a deleted item with stock.
func TestAdministrationGuards(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	s.Stock(t, 1)
	_, err := s.Pool.Exec(t.Context(), "UPDATE items SET deleted_at = now()")
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "items_deleted_empty", pg.ConstraintName)
}

// TestConfiguredStrategy: a reservation that names no strategy takes the configured one.
func TestConfiguredStrategy(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	most := inventory.New(inventory.Options{Pool: pool, Strategy: inventoryapi.StrategyMostStock})
	s := inventorytest.NewSubject(t, most, pool)
	p := s.Stock(t, 3, 5)
	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	out, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, "far", out.Lines[0].Location)

	again, err := inventory.New(inventory.Options{Pool: pool}).Reserve(t.Context(), in)
	require.NoError(t, err, "a service with another default must recognise the same request")
	require.True(t, again.Replayed)

	in = inventorytest.NewReserve(inventorytest.Line(p, 2))
	in.Strategy = inventoryapi.StrategyPriority
	out, err = s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, "near", out.Lines[0].Location)

	cfg := inventory.Config{TTL: inventory.DefaultTTL, Strategy: "cheapest"}
	require.ErrorContains(t, cfg.Validate(), "ALLOCATION_STRATEGY")
	inventorytest.RequireConsistent(t, pool)
}
