package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
)

// loss travels in the context of a request whose answer is to be lost.
type loss struct {
	rule   *Rule
	client context.Context
}

type lossKey struct{}

func lossOf(r *http.Request) *loss {
	l, _ := r.Context().Value(lossKey{}).(*loss)
	return l
}

var errAnswerLost = errors.New("fault: the answer was lost")

// body is a request's body, read in full, so that rules can read it, and so that the server watches
// the connection and ends the request's context when the client goes away.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

func rewinding(match func(*http.Request) bool) func(*http.Request) bool {
	if match == nil {
		return nil
	}
	return func(r *http.Request) bool {
		b := r.Body.(body)
		defer func() {
			_, _ = b.Seek(0, io.SeekStart) // a bytes.Reader can
			r.Body = b
		}()
		return match(r)
	}
}

// serve handles one request. If it does not answer, it panics with http.ErrAbortHandler, so that the server
// cuts the connection.
func (p *HTTP) serve(w http.ResponseWriter, r *http.Request) {
	read, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = body{bytes.NewReader(read)}
	client := r.Context()
	if p.await(client) != nil {
		panic(http.ErrAbortHandler)
	}
	if held := p.holds.take(r); held != nil {
		held.acted()
		held.wait(client)
		if p.await(client) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if rule := p.losses.take(r); rule != nil {
		r = r.WithContext(context.WithValue(p.life, lossKey{}, &loss{rule, client}))
	}
	p.proxy.ServeHTTP(w, r)
}

// rewrite passes on everything as it came: ReverseProxy would drop the headers that say where a request came
// from, and queries that it cannot read.
func (p *HTTP) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.target.Load())
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// answer runs after the service has answered and before the answer goes to the client.
func (p *HTTP) answer(res *http.Response) error {
	l := lossOf(res.Request)
	if l == nil {
		return p.await(res.Request.Context())
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	l.rule.acted()
	if l.rule.withholds {
		l.rule.wait(l.client)
	}
	return errAnswerLost
}

// failed runs in place of an answer.
func failed(_ http.ResponseWriter, r *http.Request, err error) {
	if l := lossOf(r); l != nil && !errors.Is(err, errAnswerLost) {
		l.rule.giveBack()
	}
	panic(http.ErrAbortHandler)
}
