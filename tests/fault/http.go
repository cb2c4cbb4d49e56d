package fault

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// HTTP is a reverse proxy before one HTTP service. A service that cannot be reached looks as it does
// without a proxy: the connection breaks.
//
// It serves one request per connection, on both sides. If a connection breaks that was used before, Go's
// client itself repeats a request that is a GET or has an Idempotency-Key; a test must see each attempt.
type HTTP struct {
	*Switch
	t      testing.TB
	url    string
	target atomic.Pointer[url.URL]
	proxy  *httputil.ReverseProxy
	holds  rules[*http.Request]
	losses rules[*http.Request]
}

// NewHTTP starts a proxy before the service at the URL target.
func NewHTTP(t testing.TB, target string) *HTTP {
	t.Helper()
	p := &HTTP{Switch: newSwitch(), t: t}
	p.Retarget(target)
	quiet := log.New(io.Discard, "", 0)
	p.proxy = &httputil.ReverseProxy{
		Transport:      &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		Rewrite:        p.rewrite,
		ModifyResponse: p.answer,
		ErrorHandler:   failed,
		ErrorLog:       quiet,
		FlushInterval:  -1,
	}

	srv := &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          quiet,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(c.(*conn).alive, http.ServerContextKey, ctx.Value(http.ServerContextKey))
		},
	}
	srv.SetKeepAlivesEnabled(false)
	l := p.listen(t)
	p.url = "http://" + l.address()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		p.close()
		// The test's context has ended already. Every connection is cut, so this returns at once.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, srv.Shutdown(ctx))
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return p
}

// URL is the proxy's own address. It does not change.
func (p *HTTP) URL() string { return p.url }

// Retarget points the proxy to another address, because a restarted process may have another port.
func (p *HTTP) Retarget(target string) {
	p.t.Helper()
	u, err := url.Parse(target)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, u.Host, "the target must be a URL with a host: %s", target)
	p.target.Store(u)
}

// Hold stops the next requests that match, as many as times says, before they are forwarded, until the
// rule is released. A request whose client has gone by then is not forwarded. A nil match takes all
// requests; match may read the body, and must be safe for concurrent use.
func (p *HTTP) Hold(match func(*http.Request) bool, times int) *Rule {
	return p.holds.add(rewinding(match), newRule(times))
}

// LoseAnswer lets the service perform the next requests that match, even when the client goes away
// meanwhile, and then cuts the connection to the client. An answer of any status is lost; if the service
// gave no answer, the rule has not acted. See Hold for match and times.
func (p *HTTP) LoseAnswer(match func(*http.Request) bool, times int) *Rule {
	return p.losses.add(rewinding(match), newRule(times))
}

// WithholdAnswer is LoseAnswer, except that the client waits until it gives up, or until the rule is released.
func (p *HTTP) WithholdAnswer(match func(*http.Request) bool, times int) *Rule {
	r := newRule(times)
	r.withholds = true
	return p.losses.add(rewinding(match), r)
}
