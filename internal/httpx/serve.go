package httpx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// DrainTimeout bounds how long a stopping server waits for open requests.
const DrainTimeout = 12 * time.Second

// How long the parts of a request may take. A usual request has ten seconds for its body and at most fifteen for its
// work, and its answer has the rest of answerTime. For a route with large bodies, guardBody sets longer deadlines.
const (
	headTime   = 5 * time.Second
	bodyLimit  = 30 * time.Second // for a body that no handler reads
	answerTime = 40 * time.Second // from the end of the head to the end of the answer, which the client must read
	idleTime   = 2 * time.Minute
)

// Server says what to serve and where.
type Server struct {
	Addr     string // host:port; port 0 takes a free one
	Handler  http.Handler
	Health   *Health
	Log      *slog.Logger
	OnListen func(net.Addr) // called once with the bound address; may be nil
	Says     string         // what the log says when it listens; "" means "listening"

	answerTime time.Duration // for tests; 0 means the constant answerTime
}

// Serve listens and serves until ctx ends. Then it fails readiness, lets open requests finish and returns nil. If the
// address is in use, the error says what to do.
func (s Server) Serve(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; end the process that holds the port (ss -ltnp) "+
			"or set another one in the environment", s.Addr, err)
	}

	srv := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: headTime,
		ReadTimeout:       bodyLimit,
		WriteTimeout:      cmp.Or(s.answerTime, answerTime),
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	if s.OnListen != nil {
		s.OnListen(l.Addr())
	}
	s.Log.InfoContext(ctx, cmp.Or(s.Says, "listening"), "address", l.Addr().String())

	done := make(chan error, 1)
	go func() { done <- srv.Serve(problemListener{l, s.Log}) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve on %s: %w", s.Addr, err)
	case <-ctx.Done():
	}
	s.Health.Drain()
	// ctx has ended; the open requests get a new deadline.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), DrainTimeout)
	defer cancel()
	err = srv.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("requests were still under way after %s", DrainTimeout), srv.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop serving on %s: %w", s.Addr, err)
	}
	return nil
}
