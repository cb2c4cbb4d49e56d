package fault

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHTTPHangEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	p.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan struct{})
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(written) },
	})
	sent := result(func() error { return post(traced, c, p.URL(), "") })
	soon(t, "the request is sent", written)
	blocked(t, "the request", sent)
	cancel()
	require.ErrorIs(t, ended(t, "the request", sent), context.Canceled)
	require.Zero(t, s.performed.Load())
}

func TestHTTPGoesOnAfterHang(t *testing.T) {
	t.Parallel()
	s := newService(t, true)
	p, c := NewHTTP(t, s.URL), newClient(t)
	before := result(func() error { return post(t.Context(), c, p.URL(), "") })
	soon(t, "the request arrives", s.entered)
	p.Hang()
	s.proceed <- struct{}{} // the service answers, and the answer does not pass
	during := result(func() error { return post(t.Context(), c, p.URL(), "") })
	blocked(t, "the request before", before)
	blocked(t, "the request during", during)
	p.Up()
	require.NoError(t, ended(t, "the request before", before))
	soon(t, "the other request arrives", s.entered)
	close(s.proceed)
	require.NoError(t, ended(t, "the request during", during))
}

func TestHTTPDownCutsAndUpRecovers(t *testing.T) {
	t.Parallel()
	s := newService(t, true)
	p, c := NewHTTP(t, s.URL), newClient(t)
	for range 3 {
		sent := result(func() error { return post(t.Context(), c, p.URL(), "") })
		soon(t, "the request arrives", s.entered)
		p.Down()
		require.Error(t, ended(t, "the request under way", sent))
		soon(t, "the service learns of it", s.gone)
		require.Error(t, post(t.Context(), c, p.URL(), ""), "a new one")
		p.Up()
		sent = result(func() error { return post(t.Context(), c, p.URL(), "") })
		soon(t, "the request arrives", s.entered)
		s.proceed <- struct{}{}
		require.NoError(t, ended(t, "the request after", sent))
	}
	require.EqualValues(t, 3, s.performed.Load())
}

func TestHTTPHoldStopsBeforeTheService(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	rule := p.Hold(func(r *http.Request) bool { return r.URL.Path == "/held" }, 2)
	first := result(func() error { return post(t.Context(), c, p.URL()+"/held", "") })
	soon(t, "the request arrives", rule.Reached())
	require.NoError(t, post(t.Context(), c, p.URL()+"/other", ""))
	require.EqualValues(t, 1, s.performed.Load())
	lost := p.LoseAnswer(nil, 1)
	rule.Release()
	require.Error(t, ended(t, "the held request", first), "the next rule acts on it")
	require.Equal(t, 1, lost.Count())
	require.NoError(t, post(t.Context(), c, p.URL()+"/held", ""), "a released rule acts no more")
	require.Equal(t, 1, rule.Count())
	require.EqualValues(t, 3, s.performed.Load())
}

func TestHTTPHeldRequestDiesWithItsConnection(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	rule := p.Hold(nil, 1)
	held := result(func() error { return post(t.Context(), c, p.URL(), "") })
	soon(t, "the request arrives", rule.Reached())
	p.Down()
	p.Up()
	rule.Release()
	require.Error(t, ended(t, "the held request", held))
	require.NoError(t, post(t.Context(), c, p.URL(), ""))
	require.EqualValues(t, 1, s.performed.Load())
}

// TestHTTPSwitchesUnderTraffic tests for races and for requests that never end.
func TestHTTPSwitchesUnderTraffic(t *testing.T) {
	t.Parallel()
	s := newService(t, false)
	p, c := NewHTTP(t, s.URL), newClient(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				_ = post(t.Context(), c, p.URL(), "some")
			}
		})
	}
	for range 30 {
		p.Down()
		p.Up()
		p.LoseAnswer(nil, 1)
		p.Hang()
		p.Hold(nil, 1).Release()
		p.Retarget(s.URL)
		p.Up()
	}
	all := result(func() error { wg.Wait(); return nil })
	require.NoError(t, ended(t, "the traffic", all))
	require.LessOrEqual(t, s.performed.Load(), int64(160))
}

// TestProxiesEndWhateverTheyAreDoing: requests that a proxy holds, hangs or withholds end with the test.
func TestProxiesEndWhateverTheyAreDoing(t *testing.T) {
	t.Parallel()
	var sent []<-chan error
	t.Run("held, hung and withheld", func(t *testing.T) {
		s := newService(t, false)
		c := newClient(t)
		for _, rule := range []func(*HTTP) *Rule{
			func(p *HTTP) *Rule { return p.Hold(nil, 1) },
			func(p *HTTP) *Rule { return p.WithholdAnswer(nil, 1) },
		} {
			p := NewHTTP(t, s.URL)
			r := rule(p)
			sent = append(sent, result(func() error { return post(context.Background(), c, p.URL(), "") }))
			soon(t, "the request arrives", r.Reached())
		}
		hung := NewHTTP(t, s.URL)
		hung.Hang()
		sent = append(sent, result(func() error { return post(context.Background(), c, hung.URL(), "") }))
		NewGRPC(t, "127.0.0.1:1")
	})
	for _, s := range sent {
		require.Error(t, ended(t, "the request", s))
	}
}
