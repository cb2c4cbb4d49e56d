package merchantwebhook_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/events"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/webhook"
	"holdfast/tests/eventcheck"
)

// verify checks a webhook as a merchant does.
func verify(t *testing.T, secret string, r received) error {
	t.Helper()
	keys, err := webhook.ParseKeys([]string{secret})
	require.NoError(t, err)
	_, err = keys.Verify(r.header, r.body)
	return err
}

// TestDelivered: a merchant gets an event as its schema says, signed, with the event's id as the webhook's.
func TestDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusNoContent))
	s := w.subscribe(shop.URL)
	e := newEvent(events.TypeOrderPaid)
	w.consume(e)
	w.startSender()

	d := w.awaitStatus(s, merchantwebhook.Delivered, 1)[0]
	require.Equal(t, []any{e.EventID, int32(1), e.AggregateID, e.AggregateVersion},
		[]any{d.EventID, d.Attempts, d.AggregateID, d.AggregateVersion})
	got := shop.all()
	require.Len(t, got, 1)
	require.NoError(t, verify(t, s.Secret, got[0]))
	require.Equal(t, e.EventID.String(), got[0].id())
	require.Equal(t, "application/json", got[0].header.Get("Content-Type"))
	require.NoError(t, eventcheck.Message(got[0].body, "order"))
}

// TestRetries: a delivery that fails comes again with the same id and body, and a new time and signature.
func TestRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	w.startSender()

	d := w.awaitStatus(s, merchantwebhook.Delivered, 1)[0]
	require.EqualValues(t, 3, d.Attempts)
	got := shop.all()
	require.Len(t, got, 3)
	for _, r := range got {
		require.Equal(t, got[0].id(), r.id())
		require.Equal(t, got[0].body, r.body)
		require.NoError(t, verify(t, s.Secret, r))
	}
	require.Eventually(t, func() bool { return w.get(s).FailingSince == nil }, 10*time.Second, 10*time.Millisecond,
		"the last attempt succeeded, which is noted after the delivery")
}

// TestGivesUp: after the last attempt the delivery is failed, and the subscription goes on.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusBadGateway))
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	w.startSender()

	d := w.awaitStatus(s, merchantwebhook.Failed, 1)[0]
	require.EqualValues(t, len(w.pauses), d.Attempts)
	require.EqualValues(t, http.StatusBadGateway, d.LastStatus)
	require.Contains(t, d.LastError, "502 Bad Gateway")
	require.Len(t, shop.all(), len(w.pauses))
	got := w.get(s)
	require.True(t, got.Enabled)
	require.NotNil(t, got.FailingSince)
}

// TestRetryAfter: a receiver that asks to be left alone is left alone.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"seconds": strconv.Itoa(3600),
		"time":    time.Now().Add(time.Hour).UTC().Format(http.TimeFormat),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			shop := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			s := w.subscribe(shop.URL)
			w.consume(paid(1)...)
			w.startSender()

			require.Eventually(t, func() bool {
				d := w.awaitStatus(s, merchantwebhook.Pending, 1)[0]
				return d.LastStatus != 0 && time.Until(d.DueAt) > 55*time.Minute
			}, patience, 5*time.Millisecond)
			require.Len(t, shop.all(), 1)
		})
	}
}

// TestGone: a receiver that answers 410 gets nothing more, and operators see why.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.PerSubscription = 1
	shop := receive(t, always(http.StatusGone))
	s := w.subscribe(shop.URL)
	w.consume(paid(5)...)
	w.startSender()

	w.awaitStatus(s, merchantwebhook.Failed, 1)
	w.awaitStatus(s, merchantwebhook.Held, 4)
	got := w.get(s)
	require.False(t, got.Enabled)
	require.Contains(t, got.DisabledReason, "410")
	disabled, err := w.store.List(t.Context(), new(false), merchantwebhook.First, 10)
	require.NoError(t, err)
	require.Len(t, disabled, 1)
	_, actions, err := w.store.Get(t.Context(), s.SubscriptionID)
	require.NoError(t, err)
	require.Equal(t, []string{"disable", merchantwebhook.ActorSender},
		[]string{actions[len(actions)-1].Action, actions[len(actions)-1].Actor})

	w.consume(paid(1)...)
	w.awaitStatus(s, merchantwebhook.Held, 5)
	require.Len(t, shop.all(), 1)
}

// TestFailingForDays: a subscription whose every attempt fails for longer than the limit is switched off.
func TestFailingForDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusInternalServerError))
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	stop := w.startSender()
	w.awaitStatus(s, merchantwebhook.Failed, 1)
	require.True(t, w.get(s).Enabled)
	stop()

	w.exec(`UPDATE webhook_subscriptions SET failing_since = now() - interval '121 hours'`)
	w.consume(paid(1)...)
	w.startSender()
	w.awaitStatus(s, merchantwebhook.Held, 1)
	got := w.get(s)
	require.False(t, got.Enabled)
	require.Contains(t, got.DisabledReason, "every attempt has failed for 120h")
}

// TestRedirectsAreNotFollowed: an address that redirects has moved, and may lead anywhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	elsewhere := receive(t, always(http.StatusOK))
	shop := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	w.startSender()

	require.EqualValues(t, http.StatusTemporaryRedirect, w.awaitStatus(s, merchantwebhook.Failed, 1)[0].LastStatus)
	require.Empty(t, elsewhere.all())
}

// TestAnswersAreBounded: a receiver that answers without end, or not at all, holds no sender for long.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Timeout = time.Second
	endless := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat("x", 1024))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	silent := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	talks, hangs := w.subscribe(endless.URL), w.subscribe(silent.URL)
	w.consume(paid(1)...)
	w.startSender()

	w.awaitStatus(talks, merchantwebhook.Delivered, 1)
	d := w.awaitStatus(hangs, merchantwebhook.Failed, 1)[0]
	require.Zero(t, d.LastStatus)
	require.Contains(t, d.LastError, "deadline")
}

// TestSlowMerchantDelaysNoOther: while one receiver keeps its share of the sender busy, the others get their events.
func TestSlowMerchantDelaysNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Concurrency, w.config.PerSubscription = 4, 2
	released := make(chan struct{})
	slow := receive(t, func(int, http.ResponseWriter, *http.Request) { <-released })
	fast := receive(t, always(http.StatusOK))
	s := w.subscribe(slow.URL)
	w.consume(paid(40)...) // due earlier than the other's
	f := w.subscribe(fast.URL)
	w.consume(paid(20)...)
	w.startSender()
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // a failed test does not hang

	w.awaitStatus(f, merchantwebhook.Delivered, 20)
	w.consume(paid(20)...) // the slow one had the sender to itself meanwhile
	w.awaitStatus(f, merchantwebhook.Delivered, 40)
	require.Len(t, slow.all(), w.config.PerSubscription)
	release()
	w.awaitStatus(s, merchantwebhook.Delivered, 80)
}

// TestRotation: during a rotation a merchant may verify with either secret, and afterwards only with the new one. A
// second rotation ends the oldest secret at once.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusOK))
	first := w.subscribe(shop.URL)
	second, err := w.store.Rotate(t.Context(), first.SubscriptionID, time.Hour, "olga")
	require.NoError(t, err)
	require.NotEqual(t, first.Secret, second.Secret)
	require.WithinDuration(t, time.Now().Add(time.Hour), *second.PreviousSecretUntil, time.Minute)
	w.startSender()

	w.consume(paid(1)...)
	got := shop.await(t, 1)[0]
	require.NoError(t, verify(t, first.Secret, got))
	require.NoError(t, verify(t, second.Secret, got))

	third, err := w.store.Rotate(t.Context(), first.SubscriptionID, time.Hour, "olga")
	require.NoError(t, err)
	w.consume(paid(1)...)
	got = shop.await(t, 2)[1]
	require.Error(t, verify(t, first.Secret, got))
	require.NoError(t, verify(t, second.Secret, got))
	require.NoError(t, verify(t, third.Secret, got))

	w.exec(`UPDATE webhook_subscriptions SET previous_secret_until = now() - interval '1 second'`)
	w.consume(paid(1)...)
	got = shop.await(t, 3)[2]
	require.Error(t, verify(t, second.Secret, got))
	require.NoError(t, verify(t, third.Secret, got))
}

// TestSenderDies: if a sender dies after it has leased a delivery, another sends it when the lease ends. What the first
// one writes later is ignored.
func TestSenderDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusOK))
	s := w.subscribe(shop.URL)
	e := newEvent(events.TypeOrderPaid)
	w.consume(e)
	leased, err := w.store.Lease(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, leased, 1)
	again, err := w.store.Lease(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Empty(t, again, "it is leased")

	w.exec(`UPDATE webhook_deliveries SET due_at = now()`) // as after a minute
	stop := w.startSender()
	d := w.awaitStatus(s, merchantwebhook.Delivered, 1)[0]
	require.EqualValues(t, 2, d.Attempts)
	require.Equal(t, map[string]int{e.EventID.String(): 1}, shop.times())

	_, err = w.store.MarkFailed(t.Context(), leased[0], errors.New("too late"))
	require.NoError(t, err)
	require.Empty(t, w.awaitStatus(s, merchantwebhook.Delivered, 1)[0].LastError)
	require.Nil(t, w.get(s).FailingSince)

	stop()
	require.NoError(t, w.store.Redeliver(t.Context(), d.DeliveryID, "olga"))
	_, err = w.store.MarkFailed(t.Context(), leased[0], errors.New("too late"))
	require.NoError(t, err)
	require.NoError(t, w.store.MarkDelivered(t.Context(), leased[0]))
	w.awaitStatus(s, merchantwebhook.Pending, 1)
}

// TestSeveralSenders share the deliveries: each is sent once.
func TestSeveralSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shops := []*receiver{receive(t, always(http.StatusOK)), receive(t, always(http.StatusOK))}
	subscriptions := []merchantwebhook.Subscription{w.subscribe(shops[0].URL), w.subscribe(shops[1].URL)}
	const n = 100
	w.consume(paid(n)...)
	for range 4 {
		w.startSender()
	}

	for i, s := range subscriptions {
		w.awaitStatus(s, merchantwebhook.Delivered, n)
		require.Len(t, shops[i].all(), n)
		require.Len(t, shops[i].times(), n)
	}
}

// TestStopFinishesWhatItHasBegun: a sender that stops writes the outcome of the attempts under way.
func TestStopFinishesWhatItHasBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	shop := receive(t, func(n int, _ http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			close(begun)
			<-goOn
		}
	})
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	stop := w.startSender()
	<-begun
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(goOn)
	<-stopped
	w.awaitStatus(s, merchantwebhook.Delivered, 1)
}
