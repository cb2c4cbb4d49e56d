// Package sandboxserver is the payment sandbox: a payment provider with its own database. It decides by the test method
// of a request and never moves real money.
package sandboxserver

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/sandboxdb"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/problem"
	"holdfast/internal/service"
)

// Config is the sandbox's configuration.
type Config struct {
	DatabaseURL string   `env:"SANDBOX_DATABASE_URL,required,notEmpty"`
	Listen      string   `env:"SANDBOX_LISTEN" envDefault:"127.0.0.1:3003"`
	ServiceKeys []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	Pool        database.Pool
}

// authorisedFor is how long the sandbox keeps money set aside, as card schemes commonly do.
const authorisedFor = 7 * 24 * time.Hour

// Run serves the sandbox until ctx ends.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	cfg.Pool.Holds = database.Sandbox
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "payment-sandbox", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()

	health := httpx.NewHealth(httpx.Check{Name: "database", Required: true, Probe: pool.Ping})
	router := httpx.NewRouter(httpx.Options{Log: env.Log, Registry: env.Registry, Health: health})
	register(router, pool, cfg.ServiceKeys)
	server := httpx.Server{
		Addr:     cfg.Listen,
		Handler:  router,
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}
	return server.Serve(ctx)
}

// register adds the sandbox's routes, behind the service keys.
func register(router gin.IRouter, pool *pgxpool.Pool, serviceKeys []string) {
	s := &server{pool: pool, q: sandboxdb.New()}
	v1 := router.Group("/v1/payments", httpx.RequireServiceKey(serviceKeys))
	v1.POST("", s.authorise)
	v1.GET("/:key", s.get)
	v1.POST("/:key/capture", s.capture)
	v1.POST("/:key/void", s.void)
	v1.POST("/:key/refund", s.refund)
}

type server struct {
	pool *pgxpool.Pool
	q    *sandboxdb.Queries
}

// behaviour says how the sandbox treats an authorisation with a test method.
type behaviour struct {
	state  payment.State
	reason string // of a decline

	// The first requests with a key do not learn the outcome: the first withheld ones get no answer, and the first
	// unavailable ones get 503. The caller learns the outcome when it repeats the request with the same key.
	withheld, unavailable int32
}

var behaviours = map[string]behaviour{
	sandbox.MethodOK:                {state: payment.Authorised},
	sandbox.MethodDeclined:          {state: payment.Declined, reason: "card_declined"},
	sandbox.MethodInsufficientFunds: {state: payment.Declined, reason: "insufficient_funds"},
	sandbox.MethodTimeout:           {state: payment.Authorised, withheld: 1},
	sandbox.MethodFlaky:             {state: payment.Authorised, unavailable: 2},
}

// withheldFor is how long the sandbox keeps a request that gets no answer: longer than callers wait, and short enough
// for an orderly stop of the process.
const withheldFor = 11 * time.Second

var validKey = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func (s *server) authorise(c *gin.Context) {
	var in payment.Authorisation
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	does, known := behaviours[in.Method]
	_, currencyErr := money.Exponent(in.Amount.Currency)
	switch {
	case !validKey.MatchString(in.Key):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "invalid_payment_key"))
		return
	case !known:
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "unknown_payment_method"))
		return
	case in.Amount.Minor < 0 || currencyErr != nil:
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "invalid_amount"))
		return
	}
	until := time.Now().UTC().Add(authorisedFor)
	_, err := s.q.InsertCharge(c, s.pool, sandboxdb.InsertChargeParams{
		PaymentKey:      in.Key,
		ProviderRef:     "sbx_" + uuid.NewString(),
		Method:          in.Method,
		AmountMinor:     in.Amount.Minor,
		Currency:        in.Amount.Currency,
		State:           string(does.state),
		DeclineReason:   does.reason,
		AuthorisedUntil: &until,
	})
	requests := int32(0)
	if err == nil {
		requests, err = s.q.CountAuthoriseRequest(c, s.pool, in.Key)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	charge, ok := s.load(c, in.Key)
	if !ok {
		return
	}

	switch {
	case requests <= does.withheld:
		select {
		case <-c.Request.Context().Done():
		case <-time.After(withheldFor):
		}
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	case requests <= does.unavailable:
		httpx.Fail(c, problem.Common.New(problem.Unavailable,
			"the sandbox is flaky on purpose; ask again with the same key"))
		return
	}

	amount := money.Amount{Minor: charge.AmountMinor, Currency: charge.Currency}
	switch {
	case charge.Method != "" && (charge.Method != in.Method || amount != in.Amount):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeKeyUsed,
			"the key names a payment by another method or of another amount"))
	case charge.State == string(payment.Declined):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeDeclined, "%s", charge.DeclineReason))
	case charge.State == string(payment.Voided):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeVoided, "the payment was voided before it was authorised"))
	default:
		c.JSON(http.StatusOK, wire(charge))
	}
}

func (s *server) get(c *gin.Context) {
	if charge, ok := s.load(c, c.Param("key")); ok {
		c.JSON(http.StatusOK, wire(charge))
	}
}

func (s *server) capture(c *gin.Context) {
	if _, err := s.q.CaptureCharge(c, s.pool, c.Param("key")); err != nil {
		httpx.Fail(c, err)
		return
	}
	charge, ok := s.load(c, c.Param("key"))
	switch {
	case !ok:
	case charge.State != string(payment.Captured):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "payment_is_%s_and_cannot_be_captured", charge.State))
	default:
		c.JSON(http.StatusOK, wire(charge))
	}
}

// void voids a charge. If the key is unknown, it inserts a voided charge, so that a late authorisation is refused.
func (s *server) void(c *gin.Context) {
	var in sandbox.VoidRequest
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	key := c.Param("key")
	if !validKey.MatchString(key) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "invalid_payment_key"))
		return
	}

	inserted, err := s.q.InsertCharge(c, s.pool, sandboxdb.InsertChargeParams{
		PaymentKey:  key,
		ProviderRef: "sbx_" + uuid.NewString(),
		Currency:    "XXX",
		State:       string(payment.Voided),
	})
	if err == nil && inserted == 0 {
		_, err = s.q.VoidCharge(c, s.pool, key)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	charge, ok := s.load(c, key)
	switch {
	case !ok:
	case charge.State == string(payment.Captured):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeCaptured, "the payment is captured and can only be refunded"))
	default:
		c.JSON(http.StatusOK, wire(charge))
	}
}

func (s *server) refund(c *gin.Context) {
	var in sandbox.RefundRequest
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	if in.AmountMinor <= 0 || !validKey.MatchString(in.RefundKey) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "invalid_refund"))
		return
	}
	key := c.Param("key")
	if _, ok := s.load(c, key); !ok {
		return
	}
	err := pgx.BeginFunc(c, s.pool, func(tx pgx.Tx) error {
		added, err := s.q.InsertRefund(c, tx, sandboxdb.InsertRefundParams{
			RefundKey:   in.RefundKey,
			PaymentKey:  key,
			AmountMinor: in.AmountMinor,
		})
		if err != nil || added == 0 {
			return err
		}
		changed, err := s.q.RefundCharge(c, tx, sandboxdb.RefundChargeParams{
			PaymentKey:  key,
			AmountMinor: in.AmountMinor,
		})
		if err == nil && changed == 0 {
			return sandbox.Table.New(sandbox.CodeRefused, "more_than_was_captured")
		}
		return err
	})
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	s.get(c)
}

func (s *server) load(c *gin.Context, key string) (sandboxdb.Charge, bool) {
	charge, err := s.q.GetCharge(c, s.pool, key)
	if errors.Is(err, pgx.ErrNoRows) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeUnknown, "no payment has the key %q", key))
		return charge, false
	}
	if err != nil {
		httpx.Fail(c, err)
		return charge, false
	}
	return charge, true
}

func wire(c sandboxdb.Charge) payment.Payment {
	return payment.Payment{
		Key:             c.PaymentKey,
		ProviderRef:     c.ProviderRef,
		Amount:          money.Amount{Minor: c.AmountMinor, Currency: c.Currency},
		CapturedMinor:   c.CapturedMinor,
		RefundedMinor:   c.RefundedMinor,
		State:           payment.State(c.State),
		AuthorisedUntil: c.AuthorisedUntil,
	}
}
