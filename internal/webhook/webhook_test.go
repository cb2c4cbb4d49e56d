package webhook

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/problem"
)

// The vector of the specification's reference libraries.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 0)

func keys(t testing.TB, secrets ...string) Keys {
	t.Helper()
	k, err := ParseKeys(secrets)
	require.NoError(t, err)
	return k
}

func sign(t testing.TB, k Keys, at time.Time) http.Header {
	t.Helper()
	h, err := k.Sign(vectorID, at, []byte(vectorBody))
	require.NoError(t, err)
	return h
}

func requireCode(t testing.TB, want problem.Code, err error) {
	t.Helper()
	var p *problem.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, want, p.Code, p.Detail)
}

// TestSpecificationsVector: the signature is that of the specification's reference libraries.
func TestSpecificationsVector(t *testing.T) {
	t.Parallel()
	h := sign(t, keys(t, vectorSecret), vectorTime)
	require.Equal(t, vectorID, h.Get("webhook-id"))
	require.Equal(t, "1614265330", h.Get("webhook-timestamp"))
	require.Equal(t, vectorSignature, h.Get("webhook-signature"))
}

// TestVerify: a webhook is genuine as it was signed, and with any byte changed it is not.
func TestVerify(t *testing.T) {
	t.Parallel()
	k := keys(t, NewSecret())
	h := sign(t, k, time.Now())
	got, err := k.Verify(h, []byte(vectorBody))
	require.NoError(t, err)
	require.Equal(t, vectorID, got.ID)
	require.WithinDuration(t, time.Now(), got.SentAt, 2*time.Second)

	_, err = k.Verify(h, []byte(vectorBody+" "))
	requireCode(t, CodeSignatureInvalid, err)
	_, err = keys(t, NewSecret()).Verify(h, []byte(vectorBody))
	requireCode(t, CodeSignatureInvalid, err)
	_, err = Keys{}.Verify(h, []byte(vectorBody))
	requireCode(t, CodeSignatureInvalid, err)

	for header, wrong := range map[string]struct {
		value string
		code  problem.Code
	}{
		HeaderID:        {"msg_another", CodeSignatureInvalid},
		HeaderTimestamp: {strconv.FormatInt(time.Now().Unix()-1, 10), CodeSignatureInvalid},
		HeaderSignature: {strings.Replace(h.Get(HeaderSignature), "v1,", "v2,", 1), CodeSignatureInvalid},
	} {
		spoiled := h.Clone()
		spoiled.Set(header, wrong.value)
		_, err = k.Verify(spoiled, []byte(vectorBody))
		requireCode(t, wrong.code, err)

		spoiled.Del(header)
		_, err = k.Verify(spoiled, []byte(vectorBody))
		requireCode(t, CodeHeaderMissing, err)
	}
}

// TestHeadersThatAreNoneOfOurs: no header, however malformed, passes or panics.
func TestHeadersThatAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	k := keys(t, NewSecret())
	for _, c := range []struct {
		header, value string
		code          problem.Code
	}{
		{HeaderTimestamp, "yesterday", CodeHeaderInvalid},
		{HeaderTimestamp, strconv.Itoa(math.MaxInt64), CodeTooOld}, // it overflows
		{HeaderTimestamp, strconv.Itoa(math.MinInt64), CodeTooOld},
		{HeaderTimestamp, "0", CodeTooOld},
		{HeaderID, "msg.1", CodeHeaderInvalid},
		{HeaderID, "msg 1", CodeHeaderInvalid},
		{HeaderID, strings.Repeat("m", maxID+1), CodeHeaderInvalid},
		{HeaderSignature, "v1,", CodeSignatureInvalid},
		{HeaderSignature, "v1", CodeSignatureInvalid},
		{HeaderSignature, strings.Repeat("v1,x ", 1000), CodeSignatureInvalid},
	} {
		h := sign(t, k, time.Now())
		h.Set(c.header, c.value)
		_, err := k.Verify(h, []byte(vectorBody))
		var p *problem.Problem
		require.ErrorAs(t, err, &p, "%s: %.20s", c.header, c.value)
		require.Equal(t, c.code, p.Code, "%s: %.20s", c.header, c.value)
	}

	_, err := k.Sign("a.b", time.Now(), nil)
	requireCode(t, CodeHeaderInvalid, err)
}

// TestTolerance: a webhook may be five minutes old or ahead, and not a second more.
func TestTolerance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock stands still
		k := keys(t, NewSecret())
		for _, c := range []struct {
			at   time.Duration
			code problem.Code
		}{
			{-Tolerance, ""},
			{-Tolerance - time.Second, CodeTooOld},
			{Tolerance, ""},
			{Tolerance + time.Second, CodeTooNew},
		} {
			_, err := k.Verify(sign(t, k, time.Now().Add(c.at)), []byte(vectorBody))
			if c.code == "" {
				require.NoError(t, err, c.at)
				continue
			}
			requireCode(t, c.code, err)
		}
	})
}

// TestRotation: while two secrets are valid, sender and receiver may change theirs in any order.
func TestRotation(t *testing.T) {
	t.Parallel()
	before, after := NewSecret(), NewSecret()
	for _, c := range []struct {
		sender, receiver []string
		genuine          bool
	}{
		{[]string{before}, []string{before, after}, true},
		{[]string{before}, []string{after, before}, true},
		{[]string{before, after}, []string{after}, true},
		{[]string{before, after}, []string{before}, true},
		{[]string{after}, []string{before}, false},
	} {
		h := sign(t, keys(t, c.sender...), time.Now())
		_, err := keys(t, c.receiver...).Verify(h, []byte(vectorBody))
		if c.genuine {
			require.NoError(t, err)
		} else {
			requireCode(t, CodeSignatureInvalid, err)
		}
	}
}

// TestSecrets: a secret that is too short to be safe is refused, and no error repeats a secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	_, err := ParseKeys(nil)
	require.Error(t, err)
	for _, secret := range []string{
		"", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_no base64!",
	} {
		_, err := ParseKeys([]string{vectorSecret, secret})
		require.ErrorContains(t, err, "webhook secret 2 is not whsec_")
		if secret != "" && secret != "whsec_" {
			require.NotContains(t, err.Error(), strings.TrimPrefix(secret, "whsec_"))
		}
	}
	one, another := NewSecret(), NewSecret()
	require.NotEqual(t, one, another)
}

// TestBodyLimit: a body of the limit is read whole, and one byte more is refused.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, 101} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		body, err := ReadBody(r, 100)
		if size > 100 {
			requireCode(t, problem.BodyTooLarge, err)
			continue
		}
		require.NoError(t, err)
		require.Len(t, body, size)
	}
}

// memory is an inbox of one test.
type memory struct {
	ids map[string]bool
	err error
}

func (m memory) Processed(_ context.Context, source, id string) (bool, error) {
	return m.ids[source+"/"+id], m.err
}

func (m memory) MarkProcessed(_ context.Context, source, id string, _ time.Time) error {
	m.ids[source+"/"+id] = true
	return nil
}

// TestOnce: a webhook is processed until that succeeds, and never afterwards; the same id of another source is another
// webhook.
func TestOnce(t *testing.T) {
	t.Parallel()
	inbox := memory{ids: map[string]bool{}}
	processed := 0
	count := func(err error) func(context.Context) error {
		return func(context.Context) error { processed++; return err }
	}

	failed := errors.New("the database is down")
	require.ErrorIs(t, Once(t.Context(), inbox, "payments", "1", count(failed)), failed)
	require.NoError(t, Once(t.Context(), inbox, "payments", "1", count(nil)))
	require.ErrorIs(t, Once(t.Context(), inbox, "payments", "1", count(nil)), ErrReplayed)
	require.Equal(t, 2, processed)
	require.NoError(t, Once(t.Context(), inbox, "carrier", "1", count(nil)))

	inbox.err = failed
	require.ErrorIs(t, Once(t.Context(), inbox, "payments", "2", count(nil)), failed)
	require.Equal(t, 3, processed)
}

// TestSend: a receiver can verify what a sender sends; only 2xx counts as delivered, and a redirect is not followed.
func TestSend(t *testing.T) {
	t.Parallel()
	k := keys(t, NewSecret())
	answer := http.StatusNoContent
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = k.Verify(r.Header, body)
		}
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answer)
	}))
	defer receiver.Close()
	s := Sender{HTTP: receiver.Client(), Keys: k}
	send := func() error { return s.Send(t.Context(), receiver.URL, vectorID, []byte(vectorBody)) }

	require.NoError(t, send())
	answer = http.StatusGone
	require.ErrorIs(t, send(), ErrGone)
	answer = http.StatusFound
	require.ErrorContains(t, send(), "302")
	answer = http.StatusInternalServerError
	require.ErrorContains(t, send(), "500")
	var refused *RefusedError
	require.ErrorAs(t, send(), &refused)
	require.Equal(t, RefusedError{Status: 500}, *refused)
	s.Keys = keys(t, NewSecret())
	require.ErrorContains(t, send(), "418")
	s.Timeout = time.Nanosecond
	require.ErrorIs(t, send(), context.DeadlineExceeded)
}

// TestRetryAfter: a receiver may ask for a number of seconds or name a time. Anything else asks for nothing.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"120":                           2 * time.Minute,
		"0":                             0,
		"-1":                            0,
		"1.5":                           0,
		"99999999999999999999":          0,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"soon":                          0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}

// TestPause: the pauses double up to ten minutes.
func TestPause(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for _, failed := range []int{0, 1, 2, 3, 10, 11, 1000} {
		got = append(got, Pause(failed))
	}
	require.Equal(t, []time.Duration{
		0, time.Second, 2 * time.Second, 4 * time.Second, 512 * time.Second, maxPause, maxPause,
	}, got)
}
