package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/httpx/httpxtest"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// scripted answers for the workflows as a test says. A test must script each call that its requests cause.
type scripted struct {
	Workflows
	place  func(orderflow.OrderInput) (orderflow.PlaceResult, error)
	pay    func(key string, in orderflow.PayInput) (orderflow.PayResult, error)
	cancel func(orderflow.CancelInput) (orderflow.CancelResult, error)
	extend func(key string, in orderflow.ExtendInput) (orderflow.ExtendResult, error)
	edit   func(key string, in orderflow.EditInput) (orderflow.EditResult, error)

	reserve      func(in orderflow.ReservationStart) (orderflow.ReservationView, error)
	reserveAgain func(in orderflow.ReservationStart) (orderflow.ReservationView, error)
	running      bool
	resolve      func(id uuid.UUID, name string) error

	skip          func(orderflow.SkipStepInput) error
	takeUpSettled func(orderflow.OrderInput) (bool, error)
	takeUp        func(orderflow.OrderInput) (bool, error)
	isRunning     func() (bool, error)
	retryNow      func() ([]string, error)
}

func (s *scripted) Place(_ context.Context, in orderflow.OrderInput) (orderflow.PlaceResult, error) {
	if s.place == nil { // the line of waiting orders starts an order of another case that took long
		return orderflow.PlaceResult{}, orderclient.ErrEnded
	}
	return s.place(in)
}

func (s *scripted) Pay(_ context.Context, _ uuid.UUID, key string, in orderflow.PayInput) (orderflow.PayResult, error) {
	return s.pay(key, in)
}

func (s *scripted) Cancel(_ context.Context, _ uuid.UUID, in orderflow.CancelInput) (orderflow.CancelResult, error) {
	return s.cancel(in)
}

func (s *scripted) Extend(
	_ context.Context, _ uuid.UUID, key string, in orderflow.ExtendInput,
) (orderflow.ExtendResult, error) {
	return s.extend(key, in)
}

func (s *scripted) Reserve(
	_ context.Context, in orderflow.ReservationStart,
) (orderflow.ReservationView, error) {
	return s.reserve(in)
}

func (s *scripted) ReserveAgain(
	_ context.Context, in orderflow.ReservationStart,
) (orderflow.ReservationView, error) {
	return s.reserveAgain(in)
}

func (s *scripted) IsRunning(context.Context, uuid.UUID) (bool, error) { return s.running, nil }

func (s *scripted) Confirm(_ context.Context, id uuid.UUID, _ orderflow.ResolveInput) error {
	return s.resolve(id, orderflow.UpdateConfirm)
}

func (s *scripted) Release(_ context.Context, id uuid.UUID, _ orderflow.ResolveInput) error {
	return s.resolve(id, orderflow.UpdateRelease)
}

func (s *scripted) ExtendReservation(_ context.Context, id uuid.UUID, _ string, _ orderflow.ExtendInput) error {
	return s.resolve(id, orderflow.UpdateExtend)
}

var price = money.Amount{Minor: 1490, Currency: "EUR"}

// recorded puts an order into the database as its workflow would have recorded it, and returns its path.
func (s catalogueServer) recorded(state order.State) string {
	s.t.Helper()
	id, deadline := uuid.New(), time.Now().Add(time.Minute)
	in := recordOf(id, "somebody", strings.Repeat("ab", 32), state, &deadline)
	_, err := orderstore.New(s.pool).Record(s.t.Context(), in)
	require.NoError(s.t, err)
	return "/api/orders/" + id.String()
}

func recordOf(id uuid.UUID, customer, hash string, state order.State, deadline *time.Time) orderflow.RecordInput {
	line := orderflow.Line{
		LineNo:    1,
		ProductID: uuid.New(),
		SKU:       "A",
		Name:      "A thing",
		Quantity:  1,
		UnitPrice: price,
		Total:     price,
	}
	entry := orderflow.TimelineEntry{
		Seq:   1,
		Event: order.EventReserved,
		From:  state,
		State: state,
		At:    time.Now(),
		Actor: orderflow.ActorSystem,
	}
	return orderflow.RecordInput{
		Order: &orderflow.OrderInput{
			OrderID:     id,
			RequestHash: hash,
			CustomerID:  customer,
			Issuer:      authtest.Issuer,
			Total:       price,
			PlacedAt:    time.Now(),
			Lines:       []orderflow.Line{line},
		},
		View:       orderflow.View{OrderID: id, Seq: 1, State: state, ExpiresAt: deadline},
		Entries:    []orderflow.TimelineEntry{entry},
		WorkflowID: orderflow.OrderWorkflowID(id),
		RunID:      "run",
	}
}

// answer is what a request must get.
type answer struct {
	status int
	code   problem.Code
	words  string
}

func (s catalogueServer) expect(role auth.Role, method, path, body string, want answer, headers ...string) {
	s.t.Helper()
	res, raw := s.send(role, method, path, body, headers...)
	require.Equal(s.t, want.status, res.StatusCode, raw)
	require.Contains(s.t, raw, want.words)
	if want.code != "" {
		require.Equal(s.t, want.code, decode[problem.Problem](s.t, raw).Code, raw)
	}
}

var (
	errOpen    = errors.New("the connection to Temporal broke")
	whileStuck = answer{http.StatusServiceUnavailable, problem.Unavailable, "send it again"}
)

// refusedAs is a refusal of the workflow.
func refusedAs(kind string) error {
	return &orderclient.RefusedError{Kind: kind, Detail: "the workflow's words"}
}

// TestPayOrder checks the answer to each outcome of a payment.
func TestPayOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, c := range []struct {
		name  string
		row   order.State
		res   orderflow.PayResult
		err   error
		wants answer
	}{
		{
			name:  "captured",
			row:   order.Confirmed,
			res:   orderflow.PayResult{Outcome: orderflow.PayCaptured},
			wants: answer{200, "", `"status":"confirmed"`},
		},
		{
			name:  "declined",
			row:   order.Reserved,
			res:   orderflow.PayResult{Outcome: orderflow.PayDeclined, Reason: "card_declined"},
			wants: answer{402, "payment_declined", "card_declined"},
		},
		{
			name:  "expired",
			row:   order.Expired,
			res:   orderflow.PayResult{Outcome: orderflow.PayExpired},
			wants: answer{410, "order_expired", "nothing was taken"},
		},
		{
			name:  "no answer of the provider",
			row:   order.Reserved,
			res:   orderflow.PayResult{Outcome: orderflow.PayUnavailable},
			wants: answer{503, "payment_unavailable", "nothing was taken"},
		},
		{
			name:  "failed",
			row:   order.Failed,
			res:   orderflow.PayResult{Outcome: orderflow.PayFailed, Reason: "it went wrong"},
			wants: answer{409, "payment_failed", "it went wrong"},
		},
		{
			name:  "under way",
			row:   order.Paying,
			err:   orderclient.ErrUnderWay,
			wants: answer{202, "", `"status":"paying"`},
		},
		{
			name:  "refused",
			row:   order.Paying,
			err:   refusedAs(string(order.PaymentInProgress)),
			wants: answer{409, "payment_in_progress", "the workflow's words"},
		},
		{
			name:  "cannot be recorded",
			row:   order.Reserved,
			err:   refusedAs(orderflow.ErrRecordImpossible),
			wants: answer{409, "order_rejected", "nothing is taken"},
		},
		{
			name:  "ended",
			row:   order.Confirmed,
			err:   orderclient.ErrEnded,
			wants: answer{409, "invalid_state", "confirmed"},
		},
		{
			name:  "stopped by an operator",
			row:   order.Reserved,
			err:   orderclient.ErrEnded,
			wants: answer{409, "order_stopped", "ask the shop"},
		},
		{
			name:  "not known",
			row:   order.Reserved,
			err:   errOpen,
			wants: whileStuck,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.pay = func(key string, in orderflow.PayInput) (orderflow.PayResult, error) {
				require.Equal(t, "key-1", key)
				want := orderflow.PayInput{Method: "pm_ok", Actor: "somebody", CorrelationID: in.CorrelationID}
				require.Equal(t, want, in)
				c.res.Method = in.Method
				return c.res, c.err
			}
			s.expect(auth.Customer, http.MethodPost, s.recorded(c.row)+"/pay", `{"payment_method":"pm_ok"}`, c.wants,
				"Idempotency-Key", "key-1")
		})
	}

	t.Run("the key of another payment", func(t *testing.T) {
		s := s.with(t)
		s.workflows.pay = func(string, orderflow.PayInput) (orderflow.PayResult, error) {
			return orderflow.PayResult{Outcome: orderflow.PayCaptured, Method: "pm_declined"}, nil
		}
		s.expect(auth.Customer, http.MethodPost, s.recorded(order.Confirmed)+"/pay", `{"payment_method":"pm_ok"}`,
			answer{422, "idempotency_key_reused", ""})
	})
	t.Run("no such order", func(t *testing.T) {
		path := "/api/orders/" + uuid.NewString() + "/pay"
		s.with(t).expect(auth.Customer, http.MethodPost, path, `{"payment_method":"pm_ok"}`,
			answer{404, "order_not_found", ""})
	})
}

// TestCancelOrder checks the answer to each outcome of a cancellation.
func TestCancelOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, c := range []struct {
		name  string
		row   order.State
		err   error
		wants answer
	}{
		{"cancelled", order.Cancelled, nil, answer{200, "", `"status":"cancelled"`}},
		{"an earlier run had confirmed it", order.Confirmed, nil, answer{409, "invalid_state", "confirmed"}},
		{"cancelled before, and ended", order.Cancelled, orderclient.ErrEnded, answer{200, "", `"status":"cancelled"`}},
		{
			"refused", order.Confirmed, refusedAs(string(order.InvalidState)),
			answer{409, "invalid_state", "the workflow's words"},
		},
		{"under way", order.Paying, orderclient.ErrUnderWay, answer{202, "", ""}},
		{"stopped by an operator", order.Reserved, orderclient.ErrEnded, answer{409, "order_stopped", "ask the shop"}},
		{"not known", order.Reserved, errOpen, whileStuck},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.cancel = func(in orderflow.CancelInput) (orderflow.CancelResult, error) {
				require.Equal(t, "changed my mind", in.Reason)
				return orderflow.CancelResult{}, c.err
			}
			path := s.recorded(c.row) + "/cancel"
			s.expect(auth.Customer, http.MethodPost, path, `{"reason":"changed my mind"}`, c.wants)
		})
	}
}

// TestExtendOrder checks the answer to each outcome of an extension.
func TestExtendOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, c := range []struct {
		name  string
		row   order.State
		res   orderflow.ExtendOutcome
		err   error
		wants answer
	}{
		{
			name:  "extended",
			row:   order.Reserved,
			res:   orderflow.Extended,
			wants: answer{200, "", `"status":"reserved"`},
		},
		{
			name:  "too late",
			row:   order.Expired,
			res:   orderflow.ExtendTooLate,
			wants: answer{410, "order_expired", ""},
		},
		{
			name:  "no answer of inventory",
			row:   order.Reserved,
			res:   orderflow.ExtendUnavailable,
			wants: answer{503, "inventory_unavailable", "expires_at"},
		},
		{
			name:  "too long",
			row:   order.Reserved,
			err:   refusedAs(orderflow.ErrInvalidDuration),
			wants: answer{422, "invalid_duration", "the workflow's words"},
		},
		{
			name:  "too often",
			row:   order.Reserved,
			err:   refusedAs(orderflow.ErrTooManyExtensions),
			wants: answer{409, "too_many_extensions", ""},
		},
		{
			name:  "not known",
			row:   order.Reserved,
			err:   errOpen,
			wants: whileStuck,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.extend = func(_ string, in orderflow.ExtendInput) (orderflow.ExtendResult, error) {
				return orderflow.ExtendResult{TTLSeconds: in.TTLSeconds, Outcome: c.res}, c.err
			}
			s.expect(auth.Customer, http.MethodPost, s.recorded(c.row)+"/extend", `{"ttl_seconds":60}`, c.wants)
		})
	}
}

// TestRowThatCannotBeReadIsAFaultOfOurs: a row that the server cannot read is no outage of the database. The answer is
// 500 and names the correlation id to report.
func TestRowThatCannotBeReadIsAFaultOfOurs(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	path := s.recorded(order.Reserved)
	_, err := s.pool.Exec(t.Context(), `UPDATE orders SET ship_to = '"nowhere"'`)
	require.NoError(t, err)
	s.expect(auth.Customer, http.MethodGet, path, "",
		answer{http.StatusInternalServerError, problem.Internal, "correlation_id"})
}

// TestNothingOfOthersIsVisible sends each operation of the contract on an order, a shipment or a reservation as another
// customer than its owner. The answer is the same as for one that does not exist, or 403 where no customer may do it.
func TestNothingOfOthersIsVisible(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	id, held := uuid.New(), uuid.New()
	in := recordOf(id, "mallory", strings.Repeat("ab", 32), order.Reserved, nil)
	_, err := orderstore.New(s.pool).Record(t.Context(), in)
	require.NoError(t, err)
	err = orderstore.New(s.pool).RegisterReservation(t.Context(), orderstore.Reservation{
		ID:           held,
		OwnerID:      uuid.New(),
		Issuer:       authtest.Issuer,
		CustomerID:   "mallory",
		TheirOrderID: "theirs",
	})
	require.NoError(t, err)

	bodies := map[string]string{}
	for _, o := range httpxtest.Operations(t, api.Spec) {
		bodies[o.Method+" "+o.Route] = httpxtest.Write(t, o.Body)
	}
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	require.NoError(t, err)
	tested := map[int]int{}
	for path, item := range doc.Paths.Map() {
		if !strings.Contains(path, "{order_id}") && !strings.Contains(path, "{reservation_id}") {
			continue
		}
		for method, op := range item.Operations() {
			roles, err := auth.ReadRoles(op.Extensions["x-gateway"])
			require.NoError(t, err)
			theirs := answer{http.StatusNotFound, orderapi.OrderNotFound, "there is no order"}
			absent := strings.NewReplacer("{order_id}", uuid.NewString(), "{reservation_id}", uuid.NewString())
			present := strings.NewReplacer("{order_id}", id.String(), "{reservation_id}", held.String())
			switch {
			case !slices.Contains(roles, auth.Customer):
				theirs = answer{http.StatusForbidden, problem.Forbidden, "operators"}
			case strings.Contains(path, "{reservation_id}"):
				theirs = answer{http.StatusNotFound, orderapi.ReservationNotFound, "there is no reservation"}
			}
			for _, of := range []*strings.Replacer{present, absent} {
				at := strings.ReplaceAll(of.Replace(path), "{number}", "1")
				s.expect(auth.Customer, method, at, bodies[method+" "+path], theirs)
			}
			tested[theirs.status]++
		}
	}
	require.GreaterOrEqual(t, tested[http.StatusNotFound], 9)
	require.GreaterOrEqual(t, tested[http.StatusForbidden], 10)

	_, raw := s.send(auth.Customer, http.MethodGet, "/api/orders", "")
	require.Contains(t, raw, `"items":[]`)
	list, raw := s.send(auth.Customer, http.MethodGet, "/api/orders?customer_id=mallory", "")
	require.Equal(t, http.StatusForbidden, list.StatusCode, raw)
}
