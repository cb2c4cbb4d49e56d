package sandboxserver

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/await"
	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/webhook"
)

// receiver verifies and keeps the webhooks that it gets, and answers as it is told.
type receiver struct {
	reader payment.Webhooks
	mu     sync.Mutex
	events []payment.Event
	bodies map[string][]string
	wrong  []error
	answer func(nth int) int // the status of the nth delivery, from 1
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	var event payment.Event
	if err == nil {
		event, err = r.reader.ReadWebhook(req.Header, body)
	}
	if err != nil {
		r.wrong = append(r.wrong, err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.events = append(r.events, event)
	r.bodies[event.ID] = append(r.bodies[event.ID], string(body))
	w.WriteHeader(r.answer(len(r.events)))
}

// got returns what has arrived.
func (r *receiver) got(t *testing.T) []payment.Event {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.wrong)
	return slices.Clone(r.events)
}

// startTelling runs a sandbox that delivers its webhooks to a receiver, with two secrets of which the receiver knows
// the second.
func startTelling(t *testing.T, answer func(nth int) int) (subject, *receiver) {
	t.Helper()
	secret := webhook.NewSecret()
	keys, err := webhook.ParseKeys([]string{secret})
	require.NoError(t, err)
	r := &receiver{reader: sandbox.Webhooks{Keys: keys}, bodies: map[string][]string{}, answer: answer}
	served := httptest.NewServer(r)
	t.Cleanup(served.Close)
	s := start(t, Config{WebhookURL: served.URL, WebhookSecrets: []string{webhook.NewSecret(), secret}})
	deliverUntilEnd(t, s)
	return s, r
}

// deliverUntilEnd runs the delivery of webhooks until the test ends.
func deliverUntilEnd(t *testing.T, s subject) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.server.deliver(ctx, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		stop()
		ended.Wait()
		s.server.sender.HTTP.CloseIdleConnections()
	})
}

func always(status int) func(int) int { return func(int) int { return status } }

// awaitEnded waits until n webhooks are delivered or given up, and none is left.
func (s subject) awaitEnded(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, await.Until(ctx, 10*time.Millisecond, func() error {
		var ended, open int
		err := s.pool.QueryRow(ctx, `
			SELECT count(*) FILTER (WHERE ended_at IS NOT NULL), count(*) FILTER (WHERE ended_at IS NULL)
			FROM webhooks`).Scan(&ended, &open)
		if err == nil && (ended != n || open != 0) {
			return errWaiting
		}
		return err
	}))
}

var errWaiting = context.DeadlineExceeded

// TestEveryEventIsTold: each change of a payment is told once, signed, with the state that it led to; what changes
// nothing is not told.
func TestEveryEventIsTold(t *testing.T) {
	t.Parallel()
	s, r := startTelling(t, always(http.StatusNoContent))
	ctx := t.Context()

	paid := paymenttest.New(sandbox.MethodOK)
	refundKey := uuid.NewString()
	for range 2 {
		_, err := s.Authorise(ctx, paid)
		require.NoError(t, err)
		_, err = s.Capture(ctx, paid.Key)
		require.NoError(t, err)
		_, err = s.Refund(ctx, paid.Key, refundKey, 250)
		require.NoError(t, err)
		_, err = s.Refund(ctx, paid.Key, uuid.NewString(), 9999)
		require.Error(t, err)
	}
	refused := paymenttest.New(sandbox.MethodDeclined)
	_, err := s.Authorise(ctx, refused)
	require.Error(t, err)
	approved, abandoned := paymenttest.New(sandbox.MethodActionRequired), paymenttest.New(sandbox.MethodActionRequired)
	require.NoError(t, s.CompleteAction(ctx, s.begin(t, approved).Action.URL, true))
	action := s.begin(t, abandoned).Action.URL
	require.NoError(t, s.CompleteAction(ctx, action, false))
	for range 2 {
		_, err = s.Void(ctx, approved.Key, "test")
		require.NoError(t, err)
		require.NoError(t, s.CompleteAction(ctx, action, true))
	}
	lapsed := paymenttest.New(sandbox.MethodOK)
	p, err := s.Authorise(ctx, lapsed)
	require.NoError(t, err)
	conforming(s).Lapse(t, p)
	_, err = s.Capture(ctx, p.Key)
	require.Error(t, err)

	s.awaitEnded(t, 11)
	told := map[string][]payment.EventType{}
	ids := map[string]bool{}
	for _, e := range r.got(t) {
		told[e.Payment.Key] = append(told[e.Payment.Key], e.Type)
		ids[e.ID] = true
		require.WithinDuration(t, time.Now(), e.At, time.Minute)
		requireState(t, e, refundKey)
	}
	require.Len(t, ids, 11)
	for key, want := range map[string][]payment.EventType{
		paid.Key:      {payment.EventAuthorised, payment.EventCaptured, payment.EventRefunded},
		refused.Key:   {payment.EventFailed},
		approved.Key:  {payment.EventActionCompleted, payment.EventAuthorised, payment.EventVoided},
		abandoned.Key: {payment.EventActionCompleted, payment.EventFailed},
		lapsed.Key:    {payment.EventAuthorised, payment.EventVoided},
	} {
		require.ElementsMatch(t, want, told[key])
	}
}

// requireState checks that an event has the state that it led to.
func requireState(t *testing.T, e payment.Event, refundKey string) {
	t.Helper()
	switch e.Type {
	case payment.EventCaptured:
		require.EqualValues(t, 1250, e.Payment.CapturedMinor)
	case payment.EventRefunded:
		require.EqualValues(t, 250, e.Payment.RefundedMinor)
		require.Equal(t, refundKey, e.Refund.Key)
		require.EqualValues(t, 250, e.Refund.AmountMinor)
	case payment.EventFailed:
		require.NotEmpty(t, e.Payment.DeclineCode)
	default:
		require.Nil(t, e.Refund)
	}
}

// TestWebhookIsRepeated: a webhook that the receiver does not accept comes again, the same to the byte and under the
// same id, with a new signature.
func TestWebhookIsRepeated(t *testing.T) {
	t.Parallel()
	s, r := startTelling(t, func(nth int) int {
		if nth <= 2 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	_, err := s.Authorise(t.Context(), paymenttest.New(sandbox.MethodOK))
	require.NoError(t, err)
	s.awaitEnded(t, 1)

	events := r.got(t)
	require.Len(t, events, 3)
	bodies := r.bodies[events[0].ID]
	require.Len(t, bodies, 3)
	require.Equal(t, bodies[0], bodies[1])
	require.Equal(t, bodies[0], bodies[2])
}

// TestWebhookOfAReceiverThatIsGone: 410 ends the repetitions.
func TestWebhookOfAReceiverThatIsGone(t *testing.T) {
	t.Parallel()
	s, r := startTelling(t, always(http.StatusGone))
	_, err := s.Authorise(t.Context(), paymenttest.New(sandbox.MethodOK))
	require.NoError(t, err)
	s.awaitEnded(t, 1)
	require.Len(t, r.got(t), 1)
}

// TestDuplicateAndLateWebhooks: the faults deliver a webhook twice under one id, and late.
func TestDuplicateAndLateWebhooks(t *testing.T) {
	t.Parallel()
	s, r := startTelling(t, always(http.StatusOK))
	s.on(t, sandbox.Fault{Kind: sandbox.FaultLateWebhook, Operation: sandbox.OperationAuthorise, DelayMS: 1500, Times: 1})
	s.on(t, sandbox.Fault{Kind: sandbox.FaultDuplicateWebhook, Operation: sandbox.OperationCapture, Times: 1})
	a := paymenttest.New(sandbox.MethodOK)
	_, err := s.Authorise(t.Context(), a)
	require.NoError(t, err)
	_, err = s.Capture(t.Context(), a.Key)
	require.NoError(t, err)
	s.awaitEnded(t, 2)

	events := r.got(t)
	require.Len(t, events, 3)
	require.Equal(t, payment.EventCaptured, events[0].Type, "what happened later arrives first")
	require.Equal(t, events[0], events[1])
	require.Equal(t, payment.EventAuthorised, events[2].Type)
}

// TestWebhookOutlivesTheProcess: a webhook that a process leased before it died is delivered by another one once the
// lease has ended.
func TestWebhookOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	s, r := startTelling(t, always(http.StatusOK))
	_, err := s.pool.Exec(t.Context(), `
		INSERT INTO webhooks (event_id, body, due_at, attempts)
		VALUES (gen_random_uuid(), '{"type":"payment.captured","data":{"payment":{"payment_key":"k"}}}',
			now() + interval '1 second', 1)`)
	require.NoError(t, err)
	s.awaitEnded(t, 1)
	require.Len(t, r.got(t), 1)
}

// TestOldWebhooksAreDeleted: what has ended does not stay for ever, and what is still due stays.
func TestOldWebhooksAreDeleted(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	_, err := s.pool.Exec(t.Context(), `
		INSERT INTO webhooks (event_id, body, due_at, ended_at, created_at)
		SELECT gen_random_uuid(), '{}', now(), ended, now() - interval '9 days'
		FROM unnest(ARRAY[now() - interval '8 days', now() - interval '6 days', NULL]) ended`)
	require.NoError(t, err)
	deleted, err := s.server.q.DeleteEndedWebhooks(t.Context(), s.pool, keptFor.Seconds())
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted)
}

// TestUnwantedWebhooks: a signed body that is no event is refused with a code.
func TestUnwantedWebhooks(t *testing.T) {
	t.Parallel()
	keys, err := webhook.ParseKeys([]string{webhook.NewSecret()})
	require.NoError(t, err)
	for _, body := range []string{"", "{}", "null", `{"data":{"payment":[]}}`} {
		header, err := keys.Sign("id", time.Now(), []byte(body))
		require.NoError(t, err)
		_, err = sandbox.Webhooks{Keys: keys}.ReadWebhook(header, []byte(body))
		require.ErrorContains(t, err, string(webhook.CodeContentInvalid))
	}
}
