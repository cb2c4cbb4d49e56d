package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/audit"
	"holdfast/inventory/inventoryapi"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// auditResult is the output of `holdfast audit --json`.
type auditResult struct {
	Items        int
	Reservations int
	Orders       int
	Payments     int `json:"provider_payments"`
	Passing      int
	Violations   []struct {
		Kind, Subject, Detail, Remedy string
	}
}

// runAudit runs the command and returns its result and its exit status.
func runAudit(p *platform.Platform, args ...string) (out auditResult, status int) {
	p.T.Helper()
	stdout, stderr, err := p.Run(append([]string{"audit", "--json"}, args...))
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else {
		require.NoError(p.T, err)
	}
	if status != 2 {
		require.NoError(p.T, json.Unmarshal([]byte(stdout), &out), "%s\n%s", stdout, stderr)
	}
	return out, status
}

// planter breaks the books of a platform.
type planter struct {
	*platform.Platform
	product uuid.UUID
	sandbox *pgx.Conn
	want    map[string]bool // kind and subject
}

func (p *planter) expect(subject any, kinds ...audit.Kind) {
	for _, kind := range kinds {
		p.want[fmt.Sprintf("%s %v", kind, subject)] = true
	}
}

// reserved places an order of two units.
func (p *planter) reserved() string {
	p.T.Helper()
	return p.Place("alice", http.StatusCreated, platform.OneLine(p.product, 2)).Str("order_id")
}

// paid places an order of two units and pays it.
func (p *planter) paid() string {
	p.T.Helper()
	id := p.reserved()
	require.Equal(p.T, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
	return id
}

// hold reserves one unit without an order.
func (p *planter) hold() string {
	p.T.Helper()
	answer := p.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id": uuid.NewString(), "product_id": p.product, "quantity": 1, "ttl_seconds": 3600,
	})
	require.Equal(p.T, http.StatusCreated, answer.Status, answer.Raw)
	return answer.Str("reservation_id")
}

// reservation returns the id of an order's first reservation.
func reservation(order string) uuid.UUID {
	return inventoryapi.NewReservationID(inventoryapi.OwnerOrder, uuid.MustParse(order), 1)
}

// stocked breaks the inventory database by a statement without its triggers, and mends it when the test ends. Each
// statement must change a row.
func (p *planter) stocked(breaks, mends string, arg any) {
	p.T.Helper()
	p.change(p.T.Context(), breaks, arg)
	p.T.Cleanup(func() { p.change(context.Background(), mends, arg) })
}

func (p *planter) change(ctx context.Context, sql string, args ...any) {
	p.T.Helper()
	require.NoError(p.T, pgx.BeginFunc(ctx, p.Stock, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sql, args...)
		require.Positive(p.T, tag.RowsAffected(), sql)
		return err
	}))
}

// ordered runs a statement on the orders database, and must change a row.
func (p *planter) ordered(sql string, args ...any) {
	p.T.Helper()
	tag, err := p.Orders.Exec(p.T.Context(), sql, args...)
	require.NoError(p.T, err)
	require.Positive(p.T, tag.RowsAffected(), sql)
}

// charged runs a statement on the payment provider's database, and must change a row.
func (p *planter) charged(sql string, args ...any) {
	p.T.Helper()
	tag, err := p.sandbox.Exec(p.T.Context(), sql, args...)
	require.NoError(p.T, err)
	require.Positive(p.T, tag.RowsAffected(), sql)
}

// item returns the id of a product's item.
func (p *planter) item(product uuid.UUID) (id int64) {
	p.T.Helper()
	require.NoError(p.T,
		p.Stock.QueryRow(p.T.Context(), "SELECT item_id FROM items WHERE product_id = $1", product).Scan(&id))
	return id
}

// plantStock breaks what inventory has.
func (p *planter) plantStock() {
	counted := p.Product(7)
	p.stocked("UPDATE items SET quantity = quantity + 5 WHERE product_id = $1",
		"UPDATE items SET quantity = quantity - 5 WHERE product_id = $1", counted)
	p.expect(p.item(counted), audit.LedgerMismatch)

	held := p.Product(7)
	p.stocked("UPDATE items SET reserved = reserved + 1 WHERE product_id = $1",
		"UPDATE items SET reserved = reserved - 1 WHERE product_id = $1", held)
	p.expect(p.item(held), audit.LedgerMismatch, audit.ReservedMismatch)

	ended := p.reserved()
	require.Equal(p.T, http.StatusOK, p.Act("alice", ended, "cancel", map[string]any{"reason": "no need"}).Status)
	p.stocked("UPDATE reservation_lines SET open = true WHERE reservation_id = $1",
		"UPDATE reservation_lines SET open = false WHERE reservation_id = $1", reservation(ended))
	p.expect(reservation(ended), audit.ReservationLines)

	stray := p.hold()
	p.ordered("DELETE FROM customer_reservations WHERE reservation_id = $1", stray)
	p.expect(stray, audit.ReservationWithoutOwner)

	late := p.hold()
	_, err := p.Stock.Exec(p.T.Context(),
		"UPDATE reservations SET expires_at = now() - interval '1 hour' WHERE reservation_id = $1", late)
	require.NoError(p.T, err)
	p.expect(late, audit.ReservationOverdue)

	stopped := p.hold()
	terminate(p.T.(*testing.T), p.Platform, orderflow.ReservationWorkflowID(uuid.MustParse(stopped)))
	p.expect(stopped, audit.ReservationNotRunning)
}

// plantBetween breaks what the orders and inventory say of each other.
func (p *planter) plantBetween() {
	ctx := p.T.Context()
	ended := p.reserved()
	p.ordered("UPDATE orders SET state = 'cancelled' WHERE order_id = $1", ended)
	p.expect(ended, audit.EndedHoldsStock)

	lost := p.reserved()
	_, err := p.Inventory.Release(ctx, reservation(lost), inventoryapi.ReleaseRequest{
		OperationID: uuid.New(), Actor: "test", Reason: "planted",
		OwnerKind: inventoryapi.OwnerOrder, OwnerID: uuid.MustParse(lost), Number: 1,
	})
	require.NoError(p.T, err)
	p.expect(lost, audit.OpenWithoutStock)

	returned := p.paid()
	_, err = p.Inventory.Return(ctx, reservation(returned), inventoryapi.ReturnRequest{
		OperationID: uuid.New(), Actor: "test", Reason: "planted",
		Lines: []inventoryapi.ReturnLine{{LineNo: 1, Location: "main", Quantity: 1}},
	})
	require.NoError(p.T, err)
	p.expect(returned, audit.StockTaken)

	stopped := p.reserved()
	terminate(p.T.(*testing.T), p.Platform, orderflow.OrderWorkflowID(uuid.MustParse(stopped)))
	p.expect(stopped, audit.OrderNotRunning)

	unshipped := p.paid()
	terminate(p.T.(*testing.T), p.Platform, orderflow.OrderWorkflowID(uuid.MustParse(unshipped)))
	p.expect(unshipped, audit.OrderNotRunning)
}

// plantMoney breaks the payments.
func (p *planter) plantMoney() {
	twice := p.paid()
	p.ordered(`INSERT INTO payments (order_id, step, attempt, provider, amount_minor, currency, state, created_at)
		VALUES ($1, 'capture', 2, 'sandbox', 0, 'EUR', 'captured', now())`, twice)
	p.expect(twice, audit.NotCapturedOnce)

	dearer := p.paid()
	p.ordered("UPDATE orders SET total_minor = total_minor + 100 WHERE order_id = $1", dearer)
	p.expect(dearer, audit.AmountKept)

	refunded := p.paid()
	p.ordered(`INSERT INTO payments (order_id, step, attempt, number, provider, amount_minor, currency, state, created_at)
		VALUES ($1, 'refund', 1, 1, 'sandbox', 2501, 'EUR', 'refunded', now())`, refunded)
	p.expect(refunded, audit.RefundedTooMuch, audit.AmountKept, audit.ProviderDiffers)

	begun := p.paid()
	p.ordered("INSERT INTO payment_intents (order_id, attempt) VALUES ($1, 2)", begun)
	p.expect(begun, audit.PaymentUnended)

	shipped := p.paid()
	p.ordered("UPDATE shipment_lines SET quantity = quantity + 1 WHERE order_id = $1", shipped)
	p.expect(shipped, audit.ShippedTooMuch, audit.AmountKept, audit.StockTaken)

	differs := p.paid()
	p.charged("UPDATE charges SET refunded_minor = 100 WHERE payment_key = $1", differs+"-1")
	p.expect(differs, audit.ProviderDiffers)

	both := p.paid()
	p.ordered(`INSERT INTO payments (order_id, step, attempt, number, provider, amount_minor, currency, state, created_at)
		VALUES ($1, 'refund', 1, 1, 'by_hand', 100, 'EUR', 'refunded', now())`, both)
	p.charged("UPDATE charges SET refunded_minor = 100 WHERE payment_key = $1", both+"-1")
	p.charged("INSERT INTO refunds (refund_key, payment_key, amount_minor) VALUES ($1 || '-refund-1', $1, 100)", both+"-1")
	p.expect(both, audit.AmountKept, audit.RefundedTwice)

	setAside := p.reserved()
	require.Equal(p.T, http.StatusPaymentRequired, p.Pay("alice", setAside, "pm_declined").Status)
	require.Equal(p.T, http.StatusOK, p.Act("alice", setAside, "cancel", map[string]any{"reason": "no need"}).Status)
	p.charged("UPDATE charges SET state = 'authorised' WHERE payment_key = $1", setAside+"-1")
	p.expect(setAside, audit.ProviderHolds)
}

// TestAuditFindsEach: the books of a platform agree; then each violation is planted, and the audit finds those and no
// other.
func TestAuditFindsEach(t *testing.T) {
	t.Parallel()
	p := &planter{Platform: platform.Start(t), want: map[string]bool{}}
	p.product = p.Product(200)
	sandbox, err := pgx.Connect(t.Context(), p.Variable("SANDBOX_DATABASE_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sandbox.Close(context.Background())) })
	p.sandbox = sandbox

	p.paid()
	p.reserved()
	p.hold()
	clean, status := runAudit(p.Platform, "--page", "1", "--settle", "1s")
	require.Empty(t, clean.Violations)
	require.Zero(t, status)
	require.Equal(t, auditResult{
		Items: 1, Reservations: 3, Orders: 2, Payments: 1, Violations: clean.Violations,
	}, clean)

	p.plantStock()
	p.plantBetween()
	p.plantMoney()
	metrics := filepath.Join(t.TempDir(), "audit.prom")
	broken, status := runAudit(p.Platform, "--page", "3", "--settle", "1s", "--metrics", metrics)
	require.Equal(t, 1, status)
	got, kinds := map[string]bool{}, map[string]bool{}
	for _, v := range broken.Violations {
		got[v.Kind+" "+v.Subject] = true
		kinds[v.Kind] = true
		require.NotEmpty(t, v.Remedy, v.Kind)
	}
	require.Equal(t, p.want, got)
	require.Len(t, kinds, len(audit.Kinds()), "every kind was planted")

	raw, err := os.ReadFile(metrics)
	require.NoError(t, err)
	require.Contains(t, string(raw), `holdfast_audit_violations{kind="shipped_too_much"} 1`)
	require.Contains(t, string(raw), "holdfast_audit_last_timestamp_seconds")
}

// TestAuditUnderLoad: while customers place, pay, cancel and let expire, audits find nothing, although they look at
// many orders that are on their way.
func TestAuditUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, audits, orders = 6, 4, 100 // at least
	p := platform.Start(t)
	product := p.Product(5000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load errgroup.Group
	for i := range clients {
		load.Go(func() error {
			for n := i; ctx.Err() == nil; n++ {
				if err := live(p, product, n); err != nil {
					return err
				}
			}
			return nil
		})
	}

	passing, seen := 0, 0
	for n := 0; n < audits || seen < orders; n++ {
		result, status := runAudit(p, "--page", "20", "--settle", "3s")
		require.Empty(t, result.Violations)
		require.Zero(t, status)
		passing, seen = passing+result.Passing, result.Orders
		t.Logf("%d orders, %d reservations, %d payments; %d suspicions passed",
			result.Orders, result.Reservations, result.Payments, result.Passing)
	}
	stop()
	require.NoError(t, load.Wait())
	p.Audit()
	result, status := runAudit(p, "--settle", "1s")
	require.Empty(t, result.Violations)
	require.Zero(t, status)
	require.Positive(t, passing, "audits looked at orders on their way")
	t.Logf("%d suspicions passed in all", passing)
}

// live places an order and lets it end in one of several ways.
func live(p *platform.Platform, product uuid.UUID, n int) error {
	placed, err := p.Try("alice", http.MethodPost, "/api/orders",
		platform.OneLine(product, 1+n%3, "ttl_seconds", 2+n%5), "Idempotency-Key", uuid.NewString())
	if err != nil {
		return err
	}
	if placed.Status != http.StatusCreated && placed.Status != http.StatusAccepted {
		return fmt.Errorf("place: %d %s", placed.Status, placed.Raw)
	}
	path := "/api/orders/" + placed.Str("order_id")
	steps := [][]any{
		{"/pay", map[string]any{"payment_method": "pm_ok"}},
		{"/pay", map[string]any{"payment_method": "pm_ok"}, "/cancel", map[string]any{"reason": "no need"}},
		{"/pay", map[string]any{"payment_method": "pm_declined"}, "/cancel", map[string]any{"reason": "no need"}},
		{"/cancel", map[string]any{"reason": "no need"}},
		{}, // it expires
	}[n%5]
	for i := 0; i < len(steps); i += 2 {
		if _, err := p.Try("alice", http.MethodPost, path+steps[i].(string), steps[i+1], //nolint:forcetypeassert // above
			"Idempotency-Key", uuid.NewString()); err != nil {
			return err
		}
	}
	return nil
}

// TestAuditIncomplete: an audit that cannot compare everything says so, and does not say that the books agree.
func TestAuditIncomplete(t *testing.T) {
	t.Parallel()
	p := &planter{Platform: platform.Start(t)}
	p.product = p.Product(10)
	p.paid()

	p.Process("payment-sandbox").Stop()
	_, status := runAudit(p.Platform, "--settle", "1s")
	require.Equal(t, 2, status, "the provider does not answer")
	left, status := runAudit(p.Platform, "--settle", "1s", "--skip", "payments")
	require.Zero(t, status)
	require.Empty(t, left.Violations)
	p.Start("payment-sandbox")

	for _, wrong := range [][]string{
		{"--settle", "0s"},
		{"--page", "0"},
		{"--skip", "orders"},
		{"--skip", "payments", "--metrics", filepath.Join(t.TempDir(), "audit.prom")},
		{"--payment-rate", "0"},
		{"--no-such-flag"},
		{"orders"},
	} {
		_, status := runAudit(p.Platform, wrong...)
		require.Equal(t, 2, status, wrong)
	}
	_, _, err := p.Run([]string{"audit", "--skip", "payments"}, "TEMPORAL_ADDRESS", "127.0.0.1:1")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 2, exit.ExitCode(), "Temporal does not answer")
}
