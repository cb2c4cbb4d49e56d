package fault

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// service counts the requests that it performs. A blocking service announces each request and waits, and
// announces a request whose client has gone meanwhile.
type service struct {
	performed              atomic.Int64
	entered, proceed, gone chan struct{}
	*httptest.Server
}

func newService(t *testing.T, blocking bool) *service {
	t.Helper()
	s := &service{}
	if blocking {
		s.entered, s.proceed, s.gone = make(chan struct{}), make(chan struct{}), make(chan struct{}, 10)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if blocking {
			s.entered <- struct{}{}
			select {
			case <-s.proceed:
			case <-r.Context().Done():
				s.gone <- struct{}{}
				return
			}
		}
		s.performed.Add(1)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Forwarded-For"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

// newClient keeps connections for another use, as the platform's clients do.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func post(ctx context.Context, c *http.Client, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", "Go's client repeats a request that has one")
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

func TestHTTPPassesOnWhatItGets(t *testing.T) {
	t.Parallel()
	p := NewHTTP(t, newService(t, false).URL)
	url := p.URL() + "/a%2Fb?x=1;2&y"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("body"))
	require.NoError(t, err)
	req.Header.Set("X-Forwarded-For", "192.0.2.1")
	res, err := newClient(t).Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "body", string(body))
	require.Equal(t, http.StatusTeapot, res.StatusCode)
	require.Equal(t, "PUT /a%2Fb?x=1;2&y 192.0.2.1", res.Header.Get("X-Seen"))
}

func TestHTTPLostAnswersWerePerformedOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	require.NoError(t, post(t.Context(), c, p.URL(), ""), "a connection that could be used again")
	rule := p.LoseAnswer(func(r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		return err == nil && string(body) == "lose" && r.URL.Path == "/some"
	}, 7)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range 20 {
		wg.Go(func() {
			if post(t.Context(), c, p.URL()+"/some", "lose") != nil {
				failed.Add(1)
			}
		})
		wg.Go(func() {
			if post(t.Context(), c, p.URL()+"/some", "keep") != nil {
				failed.Add(100)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, failed.Load())
	require.Equal(t, 7, rule.Count())
	require.EqualValues(t, 41, s.performed.Load())
}

func TestHTTPPerformsAlthoughTheClientHasGone(t *testing.T) {
	t.Parallel()
	s := newService(t, true)
	p, c := NewHTTP(t, s.URL), newClient(t)
	rule := p.LoseAnswer(nil, 1)
	ctx, cancel := context.WithCancel(t.Context())
	sent := result(func() error { return post(ctx, c, p.URL(), "") })
	soon(t, "the request arrives", s.entered)
	cancel()
	require.ErrorIs(t, ended(t, "the request", sent), context.Canceled)
	blocked(t, "the service learns of it", s.gone)
	close(s.proceed)
	soon(t, "the request is performed", rule.Reached())
	require.EqualValues(t, 1, s.performed.Load())
}

func TestHTTPWithheldAnswer(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	rule := p.WithholdAnswer(nil, 1)
	ctx, cancel := context.WithCancel(t.Context())
	sent := result(func() error { return post(ctx, c, p.URL(), "") })
	soon(t, "the request is performed", rule.Reached())
	blocked(t, "the request", sent)
	cancel()
	require.ErrorIs(t, ended(t, "the request", sent), context.Canceled)
	require.NoError(t, post(t.Context(), c, p.URL(), ""))

	rule = p.WithholdAnswer(nil, -1)
	sent = result(func() error { return post(t.Context(), c, p.URL(), "") })
	soon(t, "the request is performed", rule.Reached())
	rule.Release()
	require.Error(t, ended(t, "the request", sent))
	require.NoError(t, post(t.Context(), c, p.URL(), ""))
	require.EqualValues(t, 4, s.performed.Load())
}

func TestHTTPRuleIsNotSpentOnAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	away, s := newService(t, false), newService(t, false)
	away.Close()
	p, c := NewHTTP(t, away.URL), newClient(t)
	rule := p.LoseAnswer(nil, 1)
	require.Error(t, post(t.Context(), c, p.URL(), ""))
	require.Zero(t, rule.Count())
	p.Retarget(s.URL)
	require.Error(t, post(t.Context(), c, p.URL(), ""))
	require.Equal(t, 1, rule.Count())
	require.NoError(t, post(t.Context(), c, p.URL(), ""))
	require.EqualValues(t, 2, s.performed.Load())
}
