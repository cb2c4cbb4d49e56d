// Package httpx has the parts that all HTTP servers of the project share: the router with its middleware, strict
// decoding, problem answers, health endpoints and serving with a graceful stop.
package httpx

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/internal/correlation"
	"holdfast/internal/problem"
	"holdfast/internal/telemetry"
)

// DefaultMaxBody bounds a request body, in bytes.
const DefaultMaxBody = 1 << 20

// Options says how a router is made.
type Options struct {
	Log      *slog.Logger
	Registry *prometheus.Registry // also served at /metrics
	Health   *Health
	MaxBody  int64 // bytes; 0 means DefaultMaxBody
	// LargeBodies are the limits of the routes that accept more than MaxBody, by route as in /api/orders/:order_id.
	LargeBodies map[string]int64
	// Edge is middleware that runs before any request is refused or routed, but after the access log has begun.
	Edge []gin.HandlerFunc
	// Tracing makes a span of each request; nil means none.
	Tracing *telemetry.Tracing
	// Public leaves out /startup, /ready and /metrics, which OperatorHandler then serves on a private address, and makes
	// each request a trace of its own, whatever the client says.
	Public bool
}

// NewRouter returns an engine with recovery, correlation ids, access log, metrics, body limit, /health, /startup,
// /ready and /metrics (see Options.Public), and problem answers for unknown routes and methods. Before any route, it
// refuses a request that two servers could read in two ways. It trusts no proxy: only the gateway faces clients, and
// the gateway has its own rule for proxies.
func NewRouter(o Options) *Router {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.ContextWithFallback = true // a *gin.Context used as a context sees the request's deadline and values
	if err := e.SetTrustedProxies(nil); err != nil {
		panic(err) // nil cannot fail
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}

	router := &Router{Engine: e}
	e.Use(correlate)
	if traced := o.Tracing.Middleware(o.Public); traced != nil {
		e.Use(traced)
	}
	e.Use(observe(o.Log, o.Registry), recovery(o.Log))
	e.Use(o.Edge...)
	e.Use(router.ownMethods, oneMeaning, guardBody(o.MaxBody, o.LargeBodies))

	e.NoRoute(func(c *gin.Context) {
		Fail(c, problem.Common.New(problem.RouteNotFound, "there is no %s; see /docs for what there is", c.Request.URL.Path))
	})
	e.NoMethod(func(c *gin.Context) { otherMethod(c, strings.Split(c.Writer.Header().Get("Allow"), ", ")) })

	e.GET("/health", o.Health.live)
	if !o.Public {
		forOperators(e, o.Health, o.Registry)
	}
	return router
}

// forOperators adds what only operators and their tools may see: the dependencies of the process, and its metrics.
func forOperators(e *gin.Engine, health *Health, reg *prometheus.Registry) {
	e.GET("/startup", health.startup)
	e.GET("/ready", health.ready)
	e.GET("/metrics", gin.WrapH(promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg})))
}

// OperatorHandler serves /health, /startup, /ready and /metrics of a process whose router is public (Options.Public).
func OperatorHandler(health *Health, reg *prometheus.Registry) http.Handler {
	e := gin.New()
	e.GET("/health", health.live)
	forOperators(e, health, reg)
	return e
}

const annotations = "holdfast.annotations"

// Annotate adds names and values to the request's entry in the access log. They must not be secrets.
func Annotate(c *gin.Context, pairs ...any) {
	known, _ := c.Get(annotations)
	all, _ := known.([]any)
	c.Set(annotations, append(all, pairs...))
}

// correlate puts a correlation id into the request's context and the answer's headers. It uses the caller's id if that
// is valid, else a new one.
func correlate(c *gin.Context) {
	id := c.GetHeader(correlation.Header)
	if !correlation.Valid(id) {
		id = uuid.NewString()
		c.Request.Header.Set(correlation.Header, id)
	}
	c.Request = c.Request.WithContext(correlation.With(c.Request.Context(), id))
	c.Header(correlation.Header, id)
	c.Next()
}

// subjects are the parameters of paths that name what a request is about.
var subjects = []string{"order_id", "reservation_id", "product_id"}

// customers begins the paths that name a customer, by a subject that may be an e-mail address.
const customers = "/admin/customers/"

// loggedPath returns the request's path, or its route if the path may name a customer. Such a path without a route, as
// of a wrong method, is cut off.
func loggedPath(c *gin.Context) string {
	path := c.Request.URL.Path
	switch {
	case !strings.HasPrefix(path, customers):
		return path
	case c.FullPath() != "":
		return c.FullPath()
	}
	return customers + "…"
}

// observe counts, times and logs each request. Its metrics have the route as a label and not the path, because each id
// in a path would make a series. It logs health checks and scrapes at debug level.
func observe(log *slog.Logger, reg prometheus.Registerer) gin.HandlerFunc {
	f := promauto.With(reg)
	total := f.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "Requests answered.",
	}, []string{"method", "route", "status"})
	seconds := f.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time from the request's head to the end of the answer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 2.5, 5, 10},
	}, []string{"method", "route"})

	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		took := time.Since(start)

		route := c.FullPath()
		if route == "" {
			route = "unmatched"
		}
		method := knownMethod(methodOf(c.Request))
		total.WithLabelValues(method, route, strconv.Itoa(c.Writer.Status())).Inc()
		seconds.WithLabelValues(method, route).Observe(took.Seconds())

		level := slog.LevelInfo
		switch {
		case c.Writer.Status() >= 500:
			level = slog.LevelWarn
		case route == "/health" || route == "/startup" || route == "/ready" || route == "/metrics":
			level = slog.LevelDebug
		}
		entry := []any{
			"method", methodOf(c.Request), "path", loggedPath(c), "status", c.Writer.Status(),
			"bytes", c.Writer.Size(), "duration_ms", float64(took.Microseconds()) / 1000,
		}
		if len(c.Errors) > 0 {
			entry = append(entry, "errors", c.Errors.Errors())
		}
		for _, name := range subjects {
			if id := c.Param(name); id != "" {
				entry = append(entry, name, id)
			}
		}
		more, _ := c.Get(annotations)
		annotated, _ := more.([]any)
		log.Log(c.Request.Context(), level, "request", append(entry, annotated...)...)
	}
}

// knownMethod returns m, or "other" for an unknown method, so that a client cannot make a metrics series with each
// method that it invents.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// recovery turns a panic into a 500 problem and a log entry with the stack. It does not stop http.ErrAbortHandler,
// which net/http uses to cut a connection on purpose.
func recovery(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if r == http.ErrAbortHandler { //nolint:errorlint // net/http panics with this very value
				panic(r)
			}
			log.ErrorContext(c.Request.Context(), "panic in a handler", "panic", r, "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				Fail(c, problem.Common.New(problem.Internal, "the request could not be processed; report the correlation id"))
			}
		}()
		c.Next()
	}
}
